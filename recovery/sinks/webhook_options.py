"""What a webhook's table in `replay.toml` may hold, and the secret that it leads to."""

import ipaddress
import os
from pathlib import Path

import httpx
from pydantic import BaseModel, ConfigDict, Field, model_validator

from recovery.sinks.options import Timeout, Wait, place
from recovery.sinks.sink import BadSink

SHORTEST_SECRET = 16


class WebhookOptions(BaseModel):
    """Give the secret's place: `secret_env`, a variable, or `secret_file`, relative to the lake."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    secret_env: str | None = None
    secret_file: str | None = None
    source: str = Field(default="urn:slidr-replay:verdicts", min_length=1)
    batch: int = Field(default=500, ge=1, le=10_000)
    attempts: int = Field(default=5, ge=1, le=100)
    timeout_seconds: Timeout = 10.0
    backoff_seconds: Wait = 0.5
    backoff_cap_seconds: Wait = 30.0
    retry_after_cap_seconds: Wait = 300.0
    allow_http: bool = False

    @model_validator(mode="before")
    @classmethod
    def _no_secret_here(cls, data: dict[str, object]) -> dict[str, object]:
        if "secret" in data:
            raise ValueError(
                "a secret does not belong in replay.toml, which is copied with the lake; write "
                "secret_env or secret_file"
            )
        return data


def target(options: WebhookOptions) -> httpx.URL:
    """Return the URL; raise BadSink for one that verdicts may not go to."""
    try:
        url = httpx.URL(options.url)
    except httpx.InvalidURL:  # it may quote a piece of a password
        raise BadSink("url: it cannot be read; write https://HOST:PORT/PATH") from None
    if url.scheme not in ("http", "https") or not url.host or not 0 < (url.port or 1) < 1 << 16:
        raise BadSink("url: write https://HOST/PATH")
    if url.userinfo:
        raise BadSink("url: a password does not belong in replay.toml; requests are signed")
    if url.scheme == "http" and not options.allow_http and not _is_here(url.host):
        raise BadSink(
            "url: http sends verdicts readable to all between here and there; write https, or "
            "allow_http = true"
        )
    return url


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_secret(options: WebhookOptions, home: Path) -> bytes:
    """Read the secret from where the options say; raise BadSink where it is none."""
    if (options.secret_env is None) == (options.secret_file is None):
        raise BadSink("give secret_env, an environment variable, or secret_file, and not both")
    if options.secret_env is not None:
        where = f"the environment variable {options.secret_env} (secret_env)"
        text = os.environ.get(options.secret_env)
        if text is None:
            raise BadSink(f"{where} is not set")
        secret = os.fsencode(text)
    else:
        path = place("secret_file", str(options.secret_file), home)
        where = f"{path} (secret_file)"
        try:
            secret = path.read_bytes().strip()
        except OSError as exc:
            raise BadSink(f"{where} cannot be read: {exc.strerror}") from exc
    if len(secret) < SHORTEST_SECRET:
        raise BadSink(
            f"{where} holds {len(secret)} bytes; a secret has {SHORTEST_SECRET} at least, as "
            "`openssl rand -hex 32` makes one"
        )
    return secret
