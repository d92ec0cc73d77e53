"""The Redis stream, on a real server and on the embedded one."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from recovery.delivery import check_sinks, deliver
from recovery.sinks import open_sinks
from recovery.sinks.redis_stream import BATCH_ROWS, RedisOptions, RedisStream
from recovery.sinks.sink import BadSink, Held, SinkRefused, SinkUnreachable
from replay.lake import Lake
from tests.recovery.sending import add_verdicts, batch, expected, ledger_lake, with_sinks
from tests.servers import RedisServer, free_port, redis_server

Entries = list[tuple[bytes, dict[Any, Any]]]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as connected:
        connected.flushall()
        connected.config_set("maxmemory", 0)
        yield connected


@pytest.fixture
def lake(tmp_path: Path, server: RedisServer) -> Lake:
    return ledger_lake(tmp_path / "lake", sinks={"r": {"kind": "redis", "url": server.url}})


def entries(client: redis.Redis, stream: str = "verdicts") -> Entries:
    found: Any = client.xrange(stream)
    return list(found)


def assert_whole(client: redis.Redis, lake: Lake) -> None:
    """The stream is the ledger."""
    found = entries(client)
    documents = expected(lake)
    assert [entry_id.decode() for entry_id, _ in found] == [
        f"{n}-0" for n in range(1, len(documents) + 1)
    ]
    assert [fields[b"verdict"].decode() for _, fields in found] == documents
    assert [fields[b"verdict_id"].decode() for _, fields in found] == [
        json.loads(document)["verdict_id"] for document in documents
    ]
    assert {tuple(fields) for _, fields in found} <= {(b"verdict_id", b"verdict")}


def test_an_entry_for_each_verdict_under_its_number(lake: Lake, client: redis.Redis) -> None:
    (served,) = deliver(lake).sinks
    assert (served.sent, served.ledger_seq, served.error) == (10, 10, None)
    assert_whole(client, lake)
    add_verdicts(lake, 5, after=10)
    assert deliver(lake).sinks[0].sent == 5
    assert deliver(lake).sinks[0].sent == 0
    assert_whole(client, lake)


def test_a_flushed_server_gets_everything_again(lake: Lake, client: redis.Redis) -> None:
    deliver(lake)
    before = entries(client)
    client.flushall()
    assert deliver(lake).sinks[0].sent == 10
    assert entries(client) == before


def test_a_server_that_fell_back_gets_what_it_lacks(lake: Lake, client: redis.Redis) -> None:
    """As after a failover to a replica that was behind."""
    deliver(lake)
    kept = entries(client)[:4]
    client.delete("verdicts")
    for entry_id, fields in kept:
        client.xadd("verdicts", {**fields}, entry_id)
    assert deliver(lake).sinks[0].sent == 6
    assert_whole(client, lake)


@pytest.mark.parametrize("trim", ["all", "the last"])
def test_what_a_consumer_took_away_is_not_sent_again(
    lake: Lake, client: redis.Redis, trim: str
) -> None:
    deliver(lake)
    if trim == "all":
        client.xtrim("verdicts", maxlen=0, approximate=False)
    else:
        client.xdel("verdicts", "10-0")
    assert deliver(lake).sinks[0].sent == 0
    add_verdicts(lake, 2, after=10)
    assert deliver(lake).sinks[0].sent == 2


def test_a_cursor_that_was_not_written_adds_nothing_twice(lake: Lake, client: redis.Redis) -> None:
    """As after a kill between the send and the cursor."""
    deliver(lake)
    (lake.home / "sinks" / "r.json").unlink()
    (served,) = deliver(lake).sinks
    assert (served.sent, served.ledger_seq) == (0, 10)
    assert_whole(client, lake)


def test_a_transaction_sent_again_adds_nothing_twice(lake: Lake, client: redis.Redis) -> None:
    """As where the answer to it was lost: the sink itself sends a batch that is there."""
    deliver(lake)
    (sink,) = open_sinks(lake)
    sink.send(batch(lake), _no_pause)
    sink.close()
    assert_whole(client, lake)


def test_an_entry_of_another_does_not_swallow_verdicts(lake: Lake, client: redis.Redis) -> None:
    (sink,) = open_sinks(lake)
    client.xadd("verdicts", {"x": "y"}, "99999-0")
    with pytest.raises(SinkRefused, match="something else writes to it"):
        sink.send(batch(lake), _no_pause)
    sink.close()


def _no_pause(_seconds: float) -> None:
    raise AssertionError("waits")


def test_a_stream_of_another_ledger_is_left_alone(lake: Lake, client: redis.Redis) -> None:
    deliver(lake)
    fields = entries(client)[9][1]
    client.delete("verdicts")
    client.xadd("verdicts", {**fields, b"verdict": fields[b"verdict"] + b" "}, "10-0")
    assert deliver(lake).problems == []  # the same verdict
    client.delete("verdicts")
    other = fields[b"verdict"].replace(b'"run-1"', b'"run-7"')
    client.xadd("verdicts", {**fields, b"verdict": other}, "10-0")
    assert "has another verdict 10" in deliver(lake).problems[0]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda c: c.set("verdicts", "x"), "is no stream"),
        (lambda c: c.xadd("verdicts", {"x": "y"}, "5-0"), "no verdicts"),
        (lambda c: c.xadd("verdicts", {"verdict": "y"}, "5-1"), "no verdicts"),
        (lambda c: c.xadd("verdicts", {"verdict": "y"}, "5-0"), "another verdict 5"),
        (lambda c: c.xadd("verdicts", {"verdict": "y"}), "another ledger"),
    ],
)
def test_a_key_of_another_use_is_left_alone(
    lake: Lake, client: redis.Redis, make: Callable[[redis.Redis], object], says: str
) -> None:
    make(client)
    before = client.dump("verdicts")
    report = deliver(lake)
    assert report.exit_code == 2
    (problem,) = report.problems
    assert re.search(says, problem), problem
    assert "\n" not in problem
    assert client.dump("verdicts") == before


def test_a_server_out_of_memory_takes_whole_batches_or_nothing(
    lake: Lake, client: redis.Redis
) -> None:
    client.config_set("maxmemory", 1)
    (problem,) = deliver(lake).problems
    assert "refuses: " in problem
    assert "\n" not in problem
    assert client.exists("verdicts") == 0
    client.config_set("maxmemory", 0)
    assert deliver(lake).problems == []
    assert_whole(client, lake)


def test_memory_that_ends_within_a_batch_leaves_no_part_of_it(
    lake: Lake, client: redis.Redis
) -> None:
    """Else a smaller verdict than the one that was refused could still go in, and leave a gap."""
    add_verdicts(lake, BATCH_ROWS, after=10, per_date=BATCH_ROWS)
    info: Any = client.info("memory")
    client.config_set("maxmemory", info["used_memory"] + 400_000)
    (problem,) = deliver(lake).problems
    assert "refuses: " in problem
    assert client.xlen("verdicts") == 0
    client.config_set("maxmemory", 0)
    assert deliver(lake).sinks[0].sent == BATCH_ROWS + 10
    assert_whole(client, lake)


def test_no_server_is_unreachable(tmp_path: Path) -> None:
    url = f"redis://user:hush-hush@127.0.0.1:{free_port()}/0"
    lake = ledger_lake(tmp_path / "lake", sinks={"r": {"kind": "redis", "url": url}})
    with pytest.raises(SinkUnreachable, match="does not answer") as caught:
        check_sinks(open_sinks(lake))
    report = deliver(lake)
    assert (report.exit_code, report.sinks[0].sent) == (2, 0)
    for text in (str(caught.value), report.problems[0], report.sinks[0].where):
        assert "hush" not in text
        assert "127.0.0.1" in text
        assert "\n" not in text
    assert "hush" not in (lake.home / "sinks" / "r.json").read_text()


def test_a_wrong_password_is_not_told(tmp_path: Path) -> None:
    with redis_server("--requirepass", "right-horse") as server:
        url = server.url.replace("unix://", "unix://:wrong-horse@")
        lake = ledger_lake(tmp_path / "lake", sinks={"r": {"kind": "redis", "url": url}})
        (problem,) = deliver(lake).problems
        with pytest.raises(SinkUnreachable) as caught:
            check_sinks(open_sinks(lake))
    assert "horse" not in problem + str(caught.value) + open_sinks(lake)[0].where
    assert str(server.folder) in problem


def test_a_server_that_dies_and_comes_back_empty_is_caught_up_with(tmp_path: Path) -> None:
    with redis_server() as server:
        lake = ledger_lake(tmp_path / "lake", sinks={"r": {"kind": "redis", "url": server.url}})
        deliver(lake)
        add_verdicts(lake, 5, after=10)
        server.stop()
        report = deliver(lake)
        assert (report.exit_code, report.sinks[0].ledger_seq) == (2, 10)
    with redis_server() as again:
        lake = with_sinks(lake, {"r": {"kind": "redis", "url": again.url}})
        assert deliver(lake).sinks[0].sent == 15
        with again.client() as client:
            assert_whole(client, lake)


def test_the_url_may_be_in_the_environment(
    lake: Lake, client: redis.Redis, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = with_sinks(lake, {"r": {"kind": "redis", "url_env": "BILLING_REDIS", "stream": "s"}})
    with pytest.raises(BadSink, match=r"\[sinks.r\]: the environment variable BILLING_REDIS"):
        open_sinks(lake)
    monkeypatch.setenv("BILLING_REDIS", server.url)
    assert deliver(lake).problems == []
    assert len(entries(client, "s")) == 10


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": "http://secret-word@x"}, "url: write redis://"),
        ({"url": "localhost"}, "url: write redis://"),
        ({"url": "redis://secret-word@x:port"}, "url: Redis cannot make sense"),
        ({"url": "redis://x", "url_env": "X"}, "not both"),
        ({"stream": ""}, "stream: "),
        ({"timeout_seconds": 0}, "timeout_seconds: "),
        ({"hots": "secret-word"}, "hots: "),
    ],
)
def test_options_that_do_not_hold(tmp_path: Path, options: dict[str, object], says: str) -> None:
    lake = ledger_lake(tmp_path / "lake", 0, {"r": {"kind": "redis", **options}})
    with pytest.raises(BadSink) as caught:
        open_sinks(lake)
    text = str(caught.value)
    assert says in text
    assert "[sinks.r]" in text
    assert "secret-word" not in text
    assert "\n" not in text


def test_without_a_url_the_stream_is_in_this_process(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path / "lake", sinks={"r": {"kind": "redis"}})
    assert deliver(lake).sinks[0].sent == 10
    assert deliver(lake).sinks[0].sent == 0
    (sink,) = open_sinks(lake)
    assert isinstance(sink, RedisStream)
    assert "in this process, gone with it" in sink.where
    held = sink.position()
    assert (held.ledger_seq, (held.document or b"").decode()) == (10, expected(lake)[-1])
    assert RedisStream("r", RedisOptions(), tmp_path / "other").position() == Held(0)
