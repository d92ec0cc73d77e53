"""How a webhook's requests are signed: HMAC-SHA256 over "<unix seconds>.<body>".

Two headers: `Replay-Timestamp: 1772323200` and `Replay-Signature: v1=<hex>`. A receiver copies this
file, or imports `verify`.
"""

import hashlib
import hmac

TIMESTAMP = "Replay-Timestamp"
SIGNATURE = "Replay-Signature"
VERSION = "v1="
TOLERANCE_SECONDS = 300.0


def sign(secret: bytes, timestamp: int, body: bytes) -> str:
    """Return the signature of a body that is sent at `timestamp`, unix seconds.

    >>> sign(b"0123456789abcdef", 1772323200, b"[]")[:19]
    'v1=ae57c3b0450d7ad4'
    """
    return VERSION + hmac.new(secret, b"%d." % timestamp + body, hashlib.sha256).hexdigest()


def verify(
    secret: bytes,
    timestamp: str,
    signature: str,
    body: bytes,
    now: float,
    tolerance: float = TOLERANCE_SECONDS,
) -> bool:
    """Whether a body came from who knows the secret, within `tolerance` seconds of `now`.

    `timestamp` and `signature` are the headers as they came, `body` the bytes before any parsing.
    Takes the same time wherever a wrong signature differs.

    >>> secret, body = b"0123456789abcdef", b"[]"
    >>> verify(secret, "1000", sign(secret, 1000, body), body, now=1300.0)
    True
    >>> verify(secret, "1000", sign(secret, 1000, body), body, now=1300.1)
    False
    """
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    if abs(now - int(timestamp)) > tolerance:
        return False
    wanted = sign(secret, int(timestamp), body)
    return hmac.compare_digest(wanted.encode(), signature.encode())
