"""One live store, its oracle, and whoever calls the store: a machine for hypothesis."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import redis
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

from scorer.serving.clicks import Click
from scorer.spec import Spec, parse_spec
from scorer.store.layout import Layout
from scorer.store.live_store import LiveStore, Stamped
from tests.oracles.live import REMEMBERED, Expected, LiveOracle, windowed
from tests.scorer.worlds import OnServer, World
from tests.strategies import AGENTS, BASES, IPS, MINUTE, NEAR, SECOND, SMALL, STEP, USERS, specs

ODD: Spec = parse_spec(
    {
        "counts": [
            {"entity": "session_id", "windows": ["3m@1m", "7s@1s", "90s@45s", "10m@5m"]},
            {"entity": "ip", "windows": ["2m@30s", "1s@1s"]},
            {"entity": "user_agent, ip", "windows": ["2m@1m"]},
        ],
        "distincts": [
            {"member": "user_id", "entity": "ip", "windows": ["3m@1s", "4m@2m"]},
            {"member": "user_agent", "entity": "user_id", "windows": ["30s@30s"]},
        ],
        "gaps": [
            {"entity": "session_id", "cap": "1s"},
            {"entity": "ip", "cap": "10m"},
            {"entity": "device, ad_id", "cap": "1m"},
        ],
    },
    "odd",
)
FEW: Spec = parse_spec({"counts": [{"entity": "ip", "windows": ["2m@1m"]}]}, "few")
GAPS: Spec = parse_spec({"gaps": [{"entity": "ip", "cap": "1m"}]}, "gaps")
SHARED: Spec = parse_spec(
    {"distincts": [{"member": "user_id", "entity": "ip", "windows": ["2m@1m"]}]}, "shared"
)

LONG: Spec = parse_spec(
    {
        "counts": [{"entity": "ip", "windows": ["6h@1h"]}],
        "distincts": [
            {"member": "user_id", "entity": "ip", "windows": ["6h@2h"]},
            {"member": "ad_id", "entity": "ip", "windows": ["5h@1m"]},
        ],
        "gaps": [{"entity": "ip", "cap": "4h"}],
    },
    "long",
)
DEPLOYED = (SMALL, ODD, FEW, GAPS, SHARED, LONG)
REST: dict[str, Any] = {
    "logged_in": True,
    "advertiser_id": "a",
    "campaign_id": "c",
    "query": None,
    "price_micros": 1,
}
DAY = 1440 * MINUTE
LEAPS = (0, 0, 1, 1, 2, 3, 4, 6, 19, 20, 22, 60, 120, 240, 600, 720)  # in steps
BESIDE = (*NEAR, 10 * SECOND, 15 * SECOND, -10 * SECOND)
SPARE = 90 * MINUTE  # what a key may outlive its windows by
T = TypeVar("T")


Drawn = Mapping[str, Any]


CLICK = st.fixed_dictionaries(
    {
        "again": st.sampled_from((0, 0, 0, 0, 1, 2, 5)),  # the id of the click so many before it
        "after": st.sampled_from((0, 0, 0, 1, 1000, SECOND, STEP, -1, -STEP)),  # the clock
        "user_id": st.sampled_from(USERS),
        "session_id": st.sampled_from(("s", "t", None)),
        "ip": st.sampled_from(IPS),
        "user_agent": st.sampled_from(AGENTS),
        "ad_id": st.sampled_from(("x", "y", None)),
        "device": st.sampled_from(("desktop", "tablet")),
    }
)
CALL = st.tuples(
    st.sampled_from(LEAPS),
    st.sampled_from(BESIDE),
    st.booleans(),
    st.lists(CLICK, min_size=1, max_size=4),
)
LAYOUT = st.lists(st.integers(0, len(DEPLOYED)), min_size=1, max_size=3, unique=True)


class StoreMachine(RuleBasedStateMachine):
    """One store, one oracle, and whoever calls them; `now` is the time that clicks come at."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.runner = asyncio.Runner()
        self.now = 0
        self.restarted = False
        self.client = world.client()

    @initialize(base=st.sampled_from(BASES), drawn=specs(), chosen=LAYOUT)
    def start(self, base: int, drawn: Spec, chosen: list[int]) -> None:
        self.now = self.top = base - 1000 * DAY  # long before the server's own clock
        self.floor = 0  # the first time after a flush
        self.oracle = LiveOracle(self.now)
        self.epochs: dict[int, str] = {}
        self.seqs: set[int] = set()
        self.ids: list[str] = []
        self.known = (*DEPLOYED, drawn)
        self.live: list[Spec] = []
        self.flush()
        self.deploy(chosen)

    @rule(chosen=LAYOUT)
    def deploy(self, chosen: list[int]) -> None:
        """Go on with a worker that keeps what these specs need."""
        self.live = [self.known[k] for k in chosen]
        self.layout = Layout.of(self.live)
        self.store = LiveStore(self.client, self.layout)

    @rule(calls=st.lists(CALL, min_size=1, max_size=4))
    def observe(self, calls: Sequence[tuple[int, int, bool, Sequence[Drawn]]]) -> None:
        """Let time pass before each of some calls."""
        for steps, beside, brings_time, clicks in calls:
            self.wait(steps, beside)
            self._call(clicks, brings_time)

    def _call(self, drawn: Sequence[Drawn], brings_time: bool) -> None:
        brings_time = brings_time or self.world.clicks_bring_time
        rows = [self._row(one, brings_time) for one in drawn]
        clicks = [Click(**row, **REST) for row in rows]
        found = self.run(self._observed(clicks))
        expected = self.oracle.observe(
            [{**c.model_dump(), "time": self.now if c.time is None else c.time} for c in clicks],
            self.live,
        )
        assert len(found) == len(rows)
        for stamped, answers in zip(found, expected, strict=True):
            self._compare(stamped, answers)
        self.pass_time(max(row["time"] or 0 for row in rows) - self.now)

    async def _observed(self, clicks: Sequence[Click]) -> list[Stamped]:
        """Ask the store; ask once more after a restart, which may break the connection."""
        try:
            return await self.store.observe(clicks)
        except redis.ConnectionError:
            assert self.restarted, "a connection was lost"
            return await self.store.observe(clicks)
        finally:
            self.restarted = False

    def _row(self, drawn: Drawn, brings_time: bool) -> dict[str, Any]:
        row = dict(drawn)
        again, after = row.pop("again"), row.pop("after")
        if not 0 < again <= len(self.ids) or self._is_on_the_edge(self.ids[-again]):
            again = 1
            self.ids.append(f"click {len(self.ids)}")
        time = max(self.floor, self.now + after) if brings_time else None
        return {"click_id": self.ids[-again], "time": time, **row}

    def _is_on_the_edge(self, click_id: str) -> bool:
        """Whether it is remembered depends on more than a test can know of a clock."""
        first = self.oracle.first.get(click_id)
        return first is not None and abs(self.oracle.now - first[0] - REMEMBERED) < 2 * SECOND

    def _compare(self, stamped: Stamped, answers: Sequence[Expected]) -> None:
        first = answers[0]
        assert (stamped.ts, stamped.seq, stamped.repeated) == (first.ts, first.seq, first.repeated)
        assert stamped.epoch == self.epochs.setdefault(first.epoch, stamped.epoch), "another epoch"
        assert len(set(self.epochs.values())) == len(self.epochs), "an epoch came again"
        assert stamped.repeated or stamped.seq not in self.seqs, "a seq came again"
        self.seqs.add(stamped.seq)
        if stamped.values is None:
            assert stamped.repeated, "a click without features"
            return
        for spec, answer in zip(self.live, answers, strict=True):
            values = [stamped.values[place] for place in self.layout.places(spec)]
            promised = [
                value if wanted is None else wanted
                for value, wanted in zip(values, answer.values, strict=True)
            ]
            assert dict(zip(windowed(spec), values, strict=True)) == dict(
                zip(windowed(spec), promised, strict=True)
            )

    def wait(self, steps: int, beside: int) -> None:
        """Let time pass up to a place on the grid of steps, or beside it."""
        self.pass_time(self._on_grid() + steps * STEP + beside - self.now)

    def _on_grid(self) -> int:
        return (self.now + STEP // 2) // STEP * STEP

    def pass_time(self, micros: int) -> None:
        """Move the clock forward, and forget what has expired by then."""
        self.now += max(0, micros)
        if self.world.clicks_bring_time:
            aged = max(0, self.now - self.top)
            self.run(self.world.age(self.client, aged))
            self.oracle.now += aged
        else:
            self.oracle.now = self.now
        self.top = max(self.top, self.now)

    @precondition(lambda self: self.oracle.held and self.oracle.held[-1]["ts"] >= self.top)
    @rule(steps=st.sampled_from(LEAPS), beside=st.sampled_from(BESIDE))
    def step_back(self, steps: int, beside: int) -> None:
        """Set the clock back; on a server, that of whoever sends the clicks.

        It follows a click: keys that expired in a future that no click saw are lost to any store.
        """
        self.now = max(self.floor, min(self.now, self._on_grid() - steps * STEP + beside))
        self.pass_time(0)

    @rule()
    def flush(self) -> None:
        self.run(self.world.flush(self.client))
        self.oracle.flush()
        self.floor = max([0, *self.seqs]) + 1
        self.pass_time(self.floor - self.now)

    @precondition(lambda self: isinstance(self.world, OnServer))
    @rule()
    def restart(self) -> None:
        assert isinstance(self.world, OnServer)
        self.world.restart()
        self.oracle.restart()
        self.restarted = True

    def teardown(self) -> None:
        """Hold that nothing stays once no window can see it."""
        try:
            if hasattr(self, "store"):
                look_back = max(spec.look_back for spec in self.known)
                self.pass_time(self.top - self.now + look_back + REMEMBERED + SPARE)
                keys = self.run(self.world.keys(self.client))
                assert keys <= 1, "keys that never expire"
        finally:
            self.runner.run(self.client.aclose())
            self.runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        with self.world.at(self.now):
            return self.runner.run(work)
