"""docs/consumer.py: each verdict once, whatever comes twice and wherever it dies."""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import HTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from types import FrameType
from typing import Any

import fakeredis
import pytest
import redis

import docs.consumer
from docs.consumer import Books, Endpoint, read_file, read_stream, receive
from recovery.delivery import deliver
from recovery.sinks.events import events
from recovery.sinks.signature import SIGNATURE, TIMESTAMP, sign
from replay.lake import Lake
from tests.recovery.sending import add_verdicts, batch, expected, ledger_lake
from tests.servers import redis_server

KEY = b"a secret of some length"
NOW = 1_772_323_200.0


class Crash(BaseException):
    """The consumer dies here."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return ledger_lake(tmp_path / "lake", 6)


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    opened = Books(tmp_path / "books.db")
    yield opened
    opened.close()


def owed(lake: Lake) -> dict[tuple[str, str], int]:
    """What the ledger comes to."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for verdict in map(json.loads, expected(lake)):
        sums[verdict["advertiser_id"], verdict["campaign_id"]] += verdict["adjustment_micros"]
    return dict(sums)


def verdicts(lake: Lake) -> list[dict[str, Any]]:
    return [json.loads(document) for document in expected(lake)]


def test_duplicates_and_replays_count_once(lake: Lake, books: Books) -> None:
    draw = Random(3)
    given = verdicts(lake)
    assert books.apply(given + given) == 6
    for _ in range(20):
        assert books.apply(draw.choices(given, k=5)) == 0
    assert books.balances() == owed(lake)


def test_another_content_under_an_id_is_refused_whole(lake: Lake, books: Books) -> None:
    given = verdicts(lake)
    books.apply(given[:3])
    before = books.balances()
    with pytest.raises(ValueError, match="v1 came with another content"):
        books.apply([given[4], {**given[0], "adjustment_micros": 1}])
    assert books.balances() == before


def test_a_file_as_it_grows_is_cut_and_comes_back(lake: Lake, books: Books) -> None:
    file = lake.home / "out.ndjson"
    deliver(lake)
    whole = file.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1, len(whole), len(whole) // 3, len(whole)):
        file.write_bytes(whole[:size])
        read_file(books, file)
    assert books.balances() == owed(lake)
    add_verdicts(lake, 2, after=6)
    deliver(lake)
    assert read_file(books, file) == 2
    assert books.balances() == owed(lake)


def test_a_stream_that_is_flushed_and_filled_again(tmp_path: Path, books: Books) -> None:
    with redis_server() as server, server.client() as client:
        lake = ledger_lake(tmp_path / "lake", 6, {"r": {"kind": "redis", "url": server.url}})
        deliver(lake)
        assert read_stream(books, client) == 6
        assert read_stream(books, client) == 0
        client.flushall()
        deliver(lake)
        assert read_stream(books, client) == 0
        add_verdicts(lake, 2, after=6)
        deliver(lake)
        assert read_stream(books, client) == 2
        assert books.balances() == owed(lake)
        pending: Any = client.xpending("verdicts", "books")
        assert pending["pending"] == 0


def request(lake: Lake, at: float = NOW) -> tuple[dict[str, str], bytes]:
    body = events(batch(lake), "urn:x")
    return {TIMESTAMP: str(int(at)), SIGNATURE: sign(KEY, int(at), body)}, body


def test_a_webhook_verifies_before_it_applies(lake: Lake, books: Books) -> None:
    headers, body = request(lake)
    assert receive(books, b"another secret of it", headers, body, NOW) == 401
    assert receive(books, KEY, {}, body, NOW) == 401
    assert receive(books, KEY, headers, body + b" ", NOW) == 401
    assert receive(books, KEY, headers, body, NOW + 301) == 401
    assert books.balances() == {}
    assert [receive(books, KEY, headers, body, NOW) for _ in range(2)] == [204, 204]
    applied = sum(books.balances().values())
    assert applied == sum(verdict["adjustment_micros"] for verdict in verdicts(lake)[:3])


def test_the_endpoint_takes_what_the_sink_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", KEY.decode())
    kept: list[dict[tuple[str, str], int]] = []
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    monkeypatch.setattr(Endpoint, "secret", KEY, raising=False)
    monkeypatch.setattr(Endpoint, "log_message", lambda *_: None)

    def serve() -> None:
        opened = Books(tmp_path / "books.db")  # SQLite: in the thread that uses it
        Endpoint.books = opened
        server.serve_forever(0.01)
        kept.append(opened.balances())
        opened.close()

    thread = Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/"
    sink = {"kind": "webhook", "url": url, "secret_env": "HOOK_SECRET", "batch": 4}
    lake = ledger_lake(tmp_path / "lake", 10, {"hook": sink})
    report = deliver(lake)
    server.shutdown()
    thread.join()
    server.server_close()
    assert report.problems == []
    assert kept == [owed(lake)]


def crashing(work: Callable[[], object], step: int) -> bool:
    """Run until the consumer's step-th line, and crash before it; whether it came that far."""
    left = step

    def trace(frame: FrameType, event: str, _arg: object) -> Callable[..., Any] | None:
        nonlocal left
        if frame.f_code.co_filename != docs.consumer.__file__:
            return None
        if event in ("line", "return"):
            left -= 1
            if left == 0:
                raise Crash
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except Crash:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files left open
@pytest.mark.parametrize("kind", ["file", "redis", "webhook"])
def test_a_crash_before_any_line(tmp_path: Path, kind: str) -> None:
    """It dies before a line, later and later, and the next one finds what it left."""
    lake = ledger_lake(tmp_path / "lake", 2)
    deliver(lake)
    headers, body = request(lake)
    step = 0
    crashed = True
    while crashed:
        step += 1
        path = tmp_path / f"{step}.db"
        client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        for verdict in verdicts(lake):
            number = f"{verdict['ledger_seq']}-0"
            client.xadd("verdicts", {"verdict": json.dumps(verdict)}, number)
        crashed = crashing(lambda: consume(path, kind, lake, client, headers, body), step)  # noqa: B023
        assert consume(path, kind, lake, client, headers, body) == owed(lake), step
        path.unlink()
    assert step > 30


def consume(
    path: Path, kind: str, lake: Lake, client: redis.Redis, headers: dict[str, str], body: bytes
) -> dict[tuple[str, str], int]:
    """Catch up, and return the balances."""
    opened = Books(path)
    try:
        match kind:
            case "file":
                read_file(opened, lake.home / "out.ndjson")
            case "redis":
                read_stream(opened, client)
            case _:
                receive(opened, KEY, headers, body, NOW)
        return opened.balances()
    finally:
        opened.close()


def test_the_program(lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(lake)
    docs.consumer.main(str(tmp_path / "b.db"), "file", str(lake.home / "out.ndjson"))
    first = capsys.readouterr().out
    assert first.startswith("6 new verdicts\n")
    docs.consumer.main(str(tmp_path / "b.db"), "file", str(lake.home / "out.ndjson"))
    assert capsys.readouterr().out == first.replace("6 new", "0 new")
