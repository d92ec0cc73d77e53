"""The live store by brute force: a list of past clicks, counted anew for every click.

Sections 4 and 5 of the design, one short function to a sentence. Nothing is kept but the clicks
themselves, and features are those of `plain`, the oracle of the replay, over that list; so a store
that equals this one equals the replay. Times are µs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scorer.spec import Spec
from tests.oracles import plain

Row = Mapping[str, Any]
REMEMBERED = 600_000_000  # for how long a click_id is: ten minutes


@dataclass(frozen=True)
class Expected:
    """What the store must answer to one click, for one spec.

    `values` has one value for each windowed fact of the spec, in the spec's order; None where
    nothing is promised: a window with a click of another epoch, or a fact that was not kept when
    the click was counted.
    """

    ts: int
    seq: int
    epoch: int
    repeated: bool
    values: tuple[int | None, ...]


def windowed(spec: Spec) -> list[str]:
    """Return the names of the facts that the live store keeps: counts, distincts and gaps."""
    counts = [name for group in spec.counts for name in group.names]
    distincts = [name for group in spec.distincts for name in group.names]
    return [*counts, *distincts, *(gap.name for gap in spec.gaps)]


def kept_for(specs: Sequence[Spec]) -> frozenset[str]:
    """Return the facts that the store keeps for the specs: what they are, and their names."""
    return frozenset(
        f"{name} {spec.definitions[name]}" for spec in specs for name in windowed(spec)
    )


@dataclass
class LiveOracle:
    """The clicks that the store holds, and what it knows beside them.

    `now` is Redis's own clock, by which click ids are forgotten; a click's `time` stamps it.
    """

    now: int
    held: list[Row] = field(default_factory=list)  # counted since the last flush, in log order
    first: dict[str, tuple[int, Row]] = field(default_factory=dict)  # click_id → when, and what
    kept: frozenset[str] | None = None  # the facts that the last click was counted for, if known
    epoch: int = 0

    def flush(self) -> None:
        """Lose everything."""
        self.held, self.first, self.kept = [], {}, None

    def restart(self) -> None:
        """Come back with all that was there, as far as one can tell; so begin a new epoch."""
        self.kept = None

    def observe(self, clicks: Sequence[Row], specs: Sequence[Spec]) -> list[list[Expected]]:
        """Count clicks in order, keeping the facts of these specs and no others.

        Return for each click its answers, one for each spec.
        """
        return [list(self._one(click, specs)) for click in clicks]

    def remembers(self, click_id: str) -> bool:
        """Return whether a click of this id was counted in the last ten minutes."""
        return click_id in self.first and self.now - self.first[click_id][0] < REMEMBERED

    def _one(self, click: Row, specs: Sequence[Spec]) -> Iterator[Expected]:
        repeated = self.remembers(click["click_id"])
        if not repeated:
            self._count(click, kept_for(specs))
        counted = self.first[click["click_id"]][1]
        log = [row for row in self.held if row["seq"] <= counted["seq"]]
        for spec in specs:
            values = tuple(_values(spec, log))
            yield Expected(counted["ts"], counted["seq"], counted["epoch"], repeated, values)

    def _count(self, click: Row, kept: frozenset[str]) -> None:
        """Stamp: ts = max(last ts, clock), seq = max(last seq + 1, ts).

        A new epoch begins where a fact is kept that the click before was not counted for.
        """
        if self.kept is None or not kept <= self.kept:
            self.epoch += 1
        self.kept = kept
        last = self.held[-1] if self.held else {"ts": 0, "seq": -1}
        ts = max(last["ts"], click["time"])
        stamps = {"ts": ts, "seq": max(last["seq"] + 1, ts), "epoch": self.epoch, "kept": self.kept}
        self.held.append({**click, **stamps})
        self.first[click["click_id"]] = self.now, self.held[-1]


def _values(spec: Spec, log: Sequence[Row]) -> Iterator[int | None]:
    """Yield the windowed facts of the last click of the log."""
    here = len(log) - 1
    promised = [f"{name} {spec.definitions[name]}" in log[here]["kept"] for name in windowed(spec)]
    for fact, kept in zip(_facts(spec, log), promised, strict=True):
        looked_at, value = fact
        of_one_epoch = all(row["epoch"] == log[here]["epoch"] for row in looked_at)
        yield value if kept and of_one_epoch else None


def _facts(spec: Spec, log: Sequence[Row]) -> Iterator[tuple[Sequence[Row], int]]:
    """Yield the clicks that each fact of the last click is made of, and its value."""
    here = len(log) - 1
    for counts in spec.counts:
        for window in counts.parsed:
            rows = plain.seen(log, here, counts.entity, window)
            yield rows, len(rows)
    for group in spec.distincts:
        for window in group.parsed:
            rows = plain.seen(log, here, group.entity, window)
            yield rows, plain.distinct(rows, group.member)
    for gap in spec.gaps:
        mine = plain.key(log[here], gap.entity)
        near = [row for row in log[:here] if log[here]["ts"] - row["ts"] < gap.cap_us]
        rows = [row for row in near if mine is not None and plain.key(row, gap.entity) == mine]
        yield rows[-1:], plain.gap(log, here, gap.entity, gap.cap_us)
