"""Clients that are slow, greedy, malformed or odd, over bare sockets."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from scorer.serving.limits import LIMITS
from tests.scorer.serving.service import (
    Service,
    click,
    eventually,
    head,
    read_all,
    service,
)

QUICK = replace(
    LIMITS,
    connections=8,
    pipelined=4,
    head_bytes=2048,
    headers=20,
    body_bytes=20_000,
    body_pieces=50,
    head_seconds=0.3,
    body_seconds=0.3,
    read_seconds=0.3,
    linger_seconds=0.3,
    idle_seconds=1,
)
BODY = json.dumps(click("raw")).encode()
REQUEST = head(BODY) + BODY
HEALTHZ = head(path="/healthz", method="GET")
CHUNKED = head(b"", "content-type: application/json", "transfer-encoding: chunked")
LAST = head(b"", "connection: close", path="/healthz", method="GET")


@pytest.fixture(scope="module")
def live() -> Iterator[Service]:
    """A service of which nothing is asked that its ordinary bounds forbid."""
    with service() as running:
        yield running


@pytest.fixture(scope="module")
def quick() -> Iterator[Service]:
    """A service with tight bounds."""
    with service(QUICK) as running:
        yield running


def statuses(raw: bytes) -> list[int]:
    """Return the status of each response in what a connection said, checking its framing."""
    found = []
    while raw:
        top, found_end, rest = raw.partition(b"\r\n\r\n")
        assert found_end, raw
        lines = top.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
        status = int(lines[0].split()[1])
        length = 0 if status == 100 else int(headers[b"content-length"])
        assert len(rest) >= length, raw
        if status >= 400 and length:
            assert headers[b"content-type"] == b"application/problem+json"
            assert json.loads(rest[:length])["status"] == status
        found.append(status)
        raw = rest[length:]
    return found


# Slow clients.


@pytest.mark.parametrize("start", [b"P", b"POST /v1/decisions HT", head(BODY)[:-2]])
def test_a_slow_head_is_given_up(quick: Service, start: bytes) -> None:
    assert statuses(quick.raw(start)) == [408]


def test_a_head_that_trickles_is_given_up(quick: Service) -> None:
    with quick.connect() as bare:
        bare.settimeout(0.02)
        said = b""
        for byte in LAST[:-1] * 50:
            try:
                bare.sendall(bytes([byte]))
                said += bare.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                break
            if said:
                break
    assert statuses(said) == [408]


@pytest.mark.parametrize("sent", [b"", BODY[:1], BODY[:-1]])
def test_a_slow_body_is_given_up(quick: Service, sent: bytes) -> None:
    assert statuses(quick.raw(head(BODY) + sent)) == [408]


def test_a_slow_chunked_body_is_given_up(quick: Service) -> None:
    assert statuses(quick.raw(CHUNKED + b"5\r\nabc")) == [408]
    assert statuses(quick.raw(CHUNKED + b"5;" + b"x" * 100)) == [408]
    assert statuses(quick.raw(CHUNKED + b"1\r\na\r\n0\r\nx: y\r\n")) == [408]


def test_who_says_nothing_is_hung_up_on_in_silence(quick: Service) -> None:
    assert quick.raw() == b""
    assert statuses(quick.raw(HEALTHZ)) == [200]
    assert quick.raw(b"\r\n\r\n") == b""
    assert statuses(quick.raw(HEALTHZ + b"\r\n")) == [200]


def test_a_client_that_reads_nothing_is_cut_off(quick: Service) -> None:
    with quick.connect() as bare:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        bare.settimeout(0.1)
        many = HEALTHZ.replace(b"/healthz", b"/openapi.json") * QUICK.pipelined
        eventually(lambda: _is_cut_off(bare, many))
    assert quick.client.get("/healthz").status_code == 200


def _is_cut_off(bare: socket.socket, data: bytes) -> bool:
    try:
        bare.sendall(data)
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


def test_a_request_in_small_pieces_is_served(live: Service) -> None:
    with live.connect() as bare:
        bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(REQUEST), 7):
            bare.sendall(REQUEST[at : at + 7])
        bare.sendall(LAST)
        assert statuses(read_all(bare)) == [200, 200]


# Greedy clients.


@pytest.mark.parametrize(
    "request_head",
    [
        head(path="/" + "x" * 3000, method="GET"),
        head(b"", "x: " + "y" * 3000),
        head(b"", "x" * 3000 + ": y"),
        head(b"", *["x: y"] * 30),
        head(b"", *["x: " + "y" * 200] * 15),
        b"GET /" + b"x" * 3000,
        head(b"", "x: " + "y" * 3000)[:-4],
        CHUNKED + b"0\r\n" + b"x: y\r\n" * 500,
    ],
)
def test_a_large_head_is_refused(quick: Service, request_head: bytes) -> None:
    assert statuses(quick.raw(request_head)) == [431]
    pieces = [request_head[at : at + 500] for at in range(0, len(request_head), 500)]
    assert statuses(quick.raw(*pieces)) == [431]


def test_a_head_at_the_bounds_is_taken(quick: Service) -> None:
    assert statuses(quick.raw(head(b"", "connection: close", *["x: y"] * 17))) == [415]
    assert statuses(quick.raw(head(b"", "connection: close", "x: " + "y" * 1900))) == [415]


def test_a_large_body_is_refused_before_it_is_sent(quick: Service) -> None:
    assert statuses(quick.raw(head(b"x" * 20_001))) == [413]
    assert statuses(quick.raw(head(b"x" * 20_001, "expect: 100-continue"))) == [413]
    for length in (b"9" * 18, b"9" * 40, b"-1", b"1e3"):
        raw = quick.raw(head(b"x").replace(b"length: 1", b"length: " + length))
        assert statuses(raw) in ([413], [400])


def test_a_large_body_without_a_length_is_refused(quick: Service) -> None:
    assert statuses(quick.raw(CHUNKED + b"3e8\r\n" + b"x" * 1000 + b"\r\n", *_chunks())) == [413]


def _chunks() -> list[bytes]:
    return [b"3e8\r\n" + b"x" * 1000 + b"\r\n"] * 30


def test_a_body_in_too_many_pieces_is_refused(quick: Service) -> None:
    assert statuses(quick.raw(CHUNKED + b"1\r\nx\r\n" * 60)) == [413]


def test_a_client_that_sends_on_hears_why_it_is_refused(quick: Service) -> None:
    with quick.connect() as bare:
        bare.sendall(head(b"x" * 10**7))
        sent = 0
        try:
            for _ in range(100):
                sent += bare.send(b"x" * 10_000)
        except OSError:
            assert sent > 20_000
        assert statuses(read_all(bare)) == [413]


def test_too_many_connections_are_refused_and_the_others_served() -> None:
    with service(replace(QUICK, connections=3)) as small:
        kept = [small.connect() for _ in range(3)]
        for bare in kept:
            bare.sendall(HEALTHZ)
            assert statuses(bare.recv(65536)) == [200]
        for _ in range(10):
            refused = small.raw(LAST)
            assert statuses(refused) == [429]
            assert b"\r\nretry-after: 1\r\n" in refused
        for bare in kept:
            bare.sendall(LAST)
            assert statuses(read_all(bare)) == [200]
            bare.close()
        eventually(lambda: statuses(small.raw(LAST)) == [200])


# Pipelines, keep-alive, and what is odd but allowed.


def test_a_pipeline_is_answered_in_order(live: Service) -> None:
    raw = live.raw(HEALTHZ + REQUEST + head(path="/x", method="GET") + HEALTHZ + LAST)
    assert statuses(raw) == [200, 200, 404, 200, 200]


def test_a_pipeline_that_is_too_long_is_answered_so_far_as_it_was_taken(quick: Service) -> None:
    raw = quick.raw(HEALTHZ * 100)
    assert statuses(raw) == [200] * (QUICK.pipelined + 1) + [429]


def test_answers_that_are_due_come_before_a_refusal(quick: Service) -> None:
    assert statuses(quick.raw(REQUEST * 2 + b"nonsense\r\n\r\n")) == [200, 200, 400]
    assert statuses(quick.raw(REQUEST * 2 + head(b"x" * 30_000))) == [200, 200, 413]
    assert statuses(quick.raw(REQUEST * 2 + head(BODY) + BODY[:5])) == [200, 200, 408]
    assert statuses(quick.raw(REQUEST * 2 + CHUNKED + b"zz\r\n")) == [200, 200, 400]


def test_a_connection_is_kept(live: Service) -> None:
    with live.connect() as bare:
        for _ in range(3):
            bare.sendall(REQUEST)
            assert statuses(bare.recv(65536)) == [200]
        bare.sendall(head(BODY, "connection: close") + BODY)
        raw = read_all(bare)
        assert statuses(raw) == [200]
        assert b"\r\nconnection: close\r\n" in raw


def test_http_1_0_is_answered_and_closed(live: Service) -> None:
    assert statuses(live.raw(b"GET /healthz HTTP/1.0\r\n\r\n")) == [200]


def test_what_follows_a_last_request_is_not_read(live: Service) -> None:
    last = head(BODY, "connection: close") + BODY
    assert statuses(live.raw(REQUEST + last + REQUEST)) == [200, 200]
    for _ in range(100):  # the kernel resets a connection that is closed with unread bytes
        assert statuses(live.raw(last, REQUEST, b"nonsense" * 1000)) == [200]


def test_a_client_that_sends_no_more_still_hears_its_answers(live: Service) -> None:
    with live.connect() as bare:
        bare.sendall(REQUEST * 3)
        bare.shutdown(socket.SHUT_WR)
        assert statuses(read_all(bare)) == [200] * 3
    with live.connect() as bare:
        bare.sendall(REQUEST[:-5])
        bare.shutdown(socket.SHUT_WR)
        assert read_all(bare) == b""


def test_a_body_is_asked_for_where_it_is_expected(live: Service) -> None:
    with live.connect() as bare:
        bare.sendall(head(BODY, "expect: 100-continue"))
        assert bare.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        bare.sendall(BODY + LAST)
        assert statuses(read_all(bare)) == [200, 200]


@pytest.mark.parametrize("path", ["/nothing", "/healthz"])
def test_an_answer_before_the_body_ends_the_connection(live: Service, path: str) -> None:
    raw = live.raw(head(BODY, "expect: 100-continue", path=path) + b"")
    assert statuses(raw) in ([404], [405])
    assert b"\r\nconnection: close\r\n" in raw


@pytest.mark.parametrize("offer", ["h2c", "websocket"])
def test_an_offer_to_upgrade_is_declined(live: Service, offer: str) -> None:
    lines = ("connection: Upgrade, HTTP2-Settings", f"upgrade: {offer}", "http2-settings: AAMAAA")
    request = head(BODY, *lines) + BODY
    assert statuses(live.raw(request * 2 + LAST)) == [200, 200, 200]
    assert statuses(live.raw(*(request[at : at + 9] for at in range(0, 500, 9)), LAST)) == [200] * 2


def test_a_chunked_body_is_read(live: Service) -> None:
    half = len(BODY) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (BODY[:half], BODY[half:]))
    trailer = b"0\r\ncontent-type: x\r\n\r\n"
    assert statuses(live.raw(CHUNKED + chunks + trailer + LAST)) == [200, 200]


@pytest.mark.parametrize(
    "request_bytes",
    [
        *(b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 50),
        b"GET /healthz\r\nhost: x\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\nhost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
        b"GET /healthz HTTP/1.1\nhost: x\n\n\n",
        b"GET /he\xffalthz HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"FOO /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
        head(b"", "x : y"),
        head(b"", "x\0: y"),
        head(b"", "x: y\r z"),
        head(BODY, "transfer-encoding: chunked") + BODY,
        head(BODY, f"content-length: {len(BODY)}") + BODY,
        head(b"", "transfer-encoding: chunked") + b"zz\r\n",
        head(b"", "transfer-encoding: gzip") + BODY,
        head(b"", "transfer-encoding: chunked, identity") + BODY,
    ],
)
def test_malformed_http_is_refused(quick: Service, request_bytes: bytes) -> None:
    assert statuses(quick.raw(request_bytes)) == [400]


def test_a_refused_head_request_hears_no_body(live: Service) -> None:
    raw = live.raw(head(path="/" + "x" * 20_000, method="HEAD"))
    assert raw.startswith(b"HTTP/1.1 431 ")
    assert raw.endswith(b"\r\n\r\n")


def test_an_options_request_for_the_server_is_not_found(live: Service) -> None:
    raw = live.raw(head(b"", "connection: close", path="*", method="OPTIONS"))
    assert statuses(raw) == [404]


def test_clients_that_leave_disturb_nobody(quick: Service) -> None:
    for sent in (b"", b"GE", REQUEST[:-3], REQUEST, REQUEST * 3, head(BODY)):
        bare = quick.connect()
        bare.sendall(sent)
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        bare.close()
    eventually(lambda: statuses(quick.raw(LAST)) == [200])
