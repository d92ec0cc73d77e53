"""The live store on a real Redis server: stamps, epochs, memory, and what it refuses."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from scorer.errors import BadInput
from scorer.spec import Spec, parse_spec
from scorer.store.connecting import connect, embedded
from scorer.store.layout import Layout
from scorer.store.live_store import LiveStore, Stamped
from tests.scorer.live import MINUTE, NOON, live_click, run
from tests.servers import RedisServer, free_port, redis_server

HOURLY: Spec = parse_spec({"counts": [{"entity": "user_id", "windows": ["1h@1m"]}]}, "hourly")
WIDER: Spec = parse_spec(
    {
        "counts": [{"entity": "user_id", "windows": ["1h@1m", "10m@10s"]}],
        "distincts": [{"entity": "ip", "member": "user_id", "windows": ["1h@1m", "60m@1h"]}],
        "gaps": [{"entity": "user_id"}, {"entity": "ip, user_agent", "cap": "1m"}],
    },
    "wider",
)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server("--maxmemory-policy", "noeviction") as found:
        yield found


@pytest.fixture
def url(server: RedisServer) -> str:
    with server.client() as client:
        client.flushall()
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")
    return server.url


def observed(
    url: str, *calls: Sequence[Mapping[str, object]], spec: Spec = HOURLY
) -> list[Stamped]:
    """What a store answers to some calls, each of some clicks."""

    async def all_of_them() -> list[Stamped]:
        async with connect(url) as client:
            store = LiveStore(client, Layout.of([spec]))
            found = []
            for number, call in enumerate(calls):
                clicks = [live_click(100 * number + i, **c) for i, c in enumerate(call)]
                found += await store.observe(clicks)
            return found

    return run(all_of_them())


def test_clicks_of_one_time_are_put_in_order(url: str) -> None:
    found = observed(url, [{"time": NOON}, {"time": NOON}], [{"time": NOON}])
    assert [s.ts for s in found] == [NOON] * 3
    assert [s.seq for s in found] == [NOON, NOON + 1, NOON + 2]
    assert [s.values for s in found] == [[1], [2], [3]]


def test_a_clock_that_steps_back_holds_still(url: str) -> None:
    _, second = observed(url, [{"time": NOON}, {"time": NOON - 5 * MINUTE}])
    assert (second.ts, second.seq) == (NOON, NOON + 1)
    assert second.values == [2]


def test_without_a_time_the_servers_clock_counts(server: RedisServer, url: str) -> None:
    with server.client() as client:
        before = client.time()
        (found,) = observed(url, [{}])
        after = client.time()
    assert before[0] * 1_000_000 + before[1] <= found.ts <= after[0] * 1_000_000 + after[1]
    assert found.seq == found.ts


def test_a_flush_begins_an_epoch_and_reuses_no_place(server: RedisServer, url: str) -> None:
    before = observed(url, [{"time": NOON}, {"time": NOON}])
    with server.client() as client:
        client.flushall()
    (after,) = observed(url, [{"click_id": "later", "time": NOON + 1}])
    assert after.epoch != before[0].epoch == before[1].epoch
    assert after.seq > before[1].seq - 1
    assert after.values == [1]


def test_a_restart_begins_an_epoch_though_the_counters_lived() -> None:
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        (before,) = observed(server.url, [{"time": NOON}])
        server.restart()
        (after,) = observed(server.url, [{"click_id": "later", "time": NOON + MINUTE}])
    assert after.values == [2]
    assert after.epoch != before.epoch


def test_a_connection_that_was_lost_in_a_restart_begins_an_epoch() -> None:
    async def over(server: RedisServer) -> list[Stamped]:
        async with connect(server.url) as client:
            store = LiveStore(client, Layout.of([HOURLY]))
            found = await store.observe([live_click(1, time=NOON)])
            server.restart()
            with contextlib.suppress(RedisError, OSError):
                await store.observe([live_click(2, time=NOON)])
            return found + await store.observe([live_click(3, time=NOON)])

    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        before, after = run(over(server))
    assert after.epoch != before.epoch


def test_an_epoch_begins_where_a_counter_was_not_kept_up(url: str) -> None:
    (a,) = observed(url, [{"click_id": "a", "time": NOON}])
    (b,) = observed(url, [{"click_id": "b", "time": NOON}], spec=WIDER)
    (c,) = observed(url, [{"click_id": "c", "time": NOON}])
    (d,) = observed(url, [{"click_id": "d", "time": NOON}])
    (e,) = observed(url, [{"click_id": "e", "time": NOON}], spec=WIDER)
    assert a.epoch != b.epoch  # WIDER's other counters begin
    assert b.epoch == c.epoch == d.epoch  # HOURLY's were kept up all the time
    assert e.epoch != d.epoch  # WIDER's missed c and d
    places = Layout.of([WIDER]).places(WIDER)
    assert b.values is not None
    assert [b.values[place] for place in places[:2]] == [2, 1]  # an hour's is kept once for both


def test_a_repeat_gets_its_first_stamp_and_features(server: RedisServer, url: str) -> None:
    first, other, again = observed(
        url, [{"click_id": "x", "time": NOON}, {"time": NOON}, {"click_id": "x", "time": NOON + 9}]
    )
    assert again == first._replace(repeated=True)
    assert other.values == [2]
    with server.client() as client:
        memory = next(iter(client.scan_iter("slidr:click:*")))
        assert 590_000 < client.pttl(memory) <= 600_000


def test_a_repeat_under_another_layout_has_no_features(url: str) -> None:
    (first,) = observed(url, [{"click_id": "x", "time": NOON}])
    (again,) = observed(url, [{"click_id": "x", "time": NOON}], spec=WIDER)
    assert again == first._replace(repeated=True, values=None)


def test_longer_resolutions_prune_nothing_that_finer_windows_see(url: str) -> None:
    """An hour in one bucket sees less than an hour in sixty: what one forgets the other keeps."""
    places = Layout.of([WIDER]).places(WIDER)
    found = observed(
        url,
        [
            {"user_id": "a", "time": NOON + 50 * MINUTE},
            {"user_id": "b", "time": NOON + 61 * MINUTE},
            {"user_id": "c", "time": NOON + 109 * MINUTE},
        ],
        spec=WIDER,
    )
    sixty, one = places[2], places[3]
    assert [s.values and (s.values[sixty], s.values[one]) for s in found] == [
        (1, 1),
        (2, 1),
        (3, 2),
    ]


def test_an_entity_with_a_null_is_not_counted(server: RedisServer, url: str) -> None:
    found = observed(url, [{"user_id": None, "ip": None}] * 2, spec=WIDER)
    places = Layout.of([WIDER]).places(WIDER)
    for stamp in found:
        assert stamp.values is not None
        values = [stamp.values[place] for place in places]
        assert values == [0, 0, 0, 0, 14_400_000, 60_000]
    with server.client() as client:
        assert sorted(k.split(b":")[1] for k in client.scan_iter()) == [
            b"click",
            b"click",
            b"clock",
        ]


def test_pairs_of_values_are_not_mixed_up(url: str) -> None:
    """The texts of an entity of two columns are not run together."""
    place = Layout.of([WIDER]).places(WIDER)[-1]
    found = observed(
        url,
        [
            {"ip": "ab", "user_agent": "c", "time": NOON},
            {"ip": "a", "user_agent": "bc", "time": NOON + 1_000_000},
            {"ip": "ab", "user_agent": "c", "time": NOON + 1_999_999},
        ],
        spec=WIDER,
    )
    assert [s.values and s.values[place] for s in found] == [60_000, 60_000, 1_999]


def test_a_hot_key_takes_no_more_than_its_buckets(server: RedisServer, url: str) -> None:
    observed(
        url,
        *([{"time": NOON + (40 * call + i) * 1_000_000} for i in range(40)] for call in range(99)),
    )
    with server.client() as client:
        (entity,) = client.scan_iter("slidr:user_id:*")
        assert client.hstrlen(entity, "3600@60") == 4 + 8 * 60


def test_keys_outlive_every_window_that_sees_them(server: RedisServer, url: str) -> None:
    observed(url, [{"user_agent": "b"}], spec=WIDER)
    with server.client() as client:
        lives = {key.split(b":")[1]: client.pttl(key) for key in client.scan_iter()}
    assert lives[b"user_id"] > 4 * 3_600_000  # the gap's cap
    assert lives[b"ip,user_id"] > 3_600_000
    assert lives[b"ip,user_agent"] > 60_000  # its gap's cap
    assert lives[b"clock"] == -1


def test_a_forgotten_script_is_told_again(url: str) -> None:
    async def twice() -> list[Stamped]:
        async with connect(url) as client:
            store = LiveStore(client, Layout.of([HOURLY]))
            first = await store.observe([live_click(1, time=NOON)])
            await client.script_flush()
            return first + await store.observe([live_click(2, time=NOON)])

    assert [s.values for s in run(twice())] == [[1], [2]]


def test_a_full_server_counts_nothing(server: RedisServer, url: str) -> None:
    with server.client() as client:
        client.config_set("maxmemory", "1")
    with pytest.raises(OutOfMemoryError):
        observed(url, [{}])
    with server.client() as client:
        assert client.dbsize() == 0


async def checked(client: Redis) -> None:
    async with client:
        await LiveStore(client, Layout.of([HOURLY])).check()


def test_an_evicting_server_is_refused(server: RedisServer, url: str) -> None:
    run(checked(connect(url)))
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(BadInput, match="evicts keys"):
        run(checked(connect(url)))


def test_no_server_is_an_error_of_redis() -> None:
    with pytest.raises(RedisError):
        run(checked(connect(f"redis://127.0.0.1:{free_port()}")))


@pytest.mark.parametrize(
    "url", ["", "localhost:6379", "http://h", "redis://h:port", "unix:/x?db=y"]
)
def test_an_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadInput, match="the Redis URL can't be read") as caught:
        connect(url.replace("//", "//u:secret@"))
    assert "secret" not in str(caught.value)


def test_the_embedded_store_answers_as_a_server_does() -> None:
    async def both() -> list[int]:
        async with embedded() as client:
            store = LiveStore(client, Layout.of([WIDER]))
            await store.check()
            await store.probe()
            clicks = [live_click(i, ip=f"{i % 2}", time=NOON + i * MINUTE) for i in range(5)]
            return [s.values for s in await store.observe(clicks)][-1] or []

    places = Layout.of([WIDER]).places(WIDER)
    values = run(both())
    assert [values[p] for p in places] == [5, 5, 1, 1, 60_000, 60_000]


def test_a_new_store_on_an_old_connection_goes_on_with_its_epoch(url: str) -> None:
    async def after_another() -> list[Stamped]:
        async with connect(url) as client:
            first = await LiveStore(client, Layout.of([HOURLY])).observe([live_click(1)])
            return first + await LiveStore(client, Layout.of([HOURLY])).observe([live_click(2)])

    assert len({stamp.epoch for stamp in run(after_another())}) == 1


def test_two_clients_share_one_order(url: str) -> None:
    async def racing() -> list[Stamped]:
        async with connect(url) as one, connect(url) as two:
            stores = [LiveStore(client, Layout.of([HOURLY])) for client in (one, two)]
            calls = [stores[i % 2].observe([live_click(i)]) for i in range(60)]
            return [stamp for found in await asyncio.gather(*calls) for stamp in found]

    found = sorted(run(racing()), key=lambda s: (s.ts, s.seq))
    assert [s.values for s in found] == [[i + 1] for i in range(60)]
    assert len({s.seq for s in found}) == 60
    assert len({s.epoch for s in found}) == 1
