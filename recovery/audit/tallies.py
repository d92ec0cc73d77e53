"""What an audit keeps of the clicks: how many, of how much money, each outcome has.

Every figure of an audit is a sum over these, so that its figures add up to each other. Memory
grows with hours, slices and advertisers, not with clicks.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from recovery.audit.judging import Plan
from replay.reader import HOUR
from replay.snapshot import connect
from replay.summary import Tally
from scorer.counts import Counts
from scorer.decisions import INVALID, UNDECIDED
from scorer.metrics import Difference

# A version can have neither name: one is a pointer, the other holds a space.
PRODUCTION, EFFECTIVE = "production", "in effect"
NOTHING = Tally(0, 0)


class Outcome(NamedTuple):
    """What each voice decided of a click, and whether it led to a purchase or is a robot's.

    The voices are production, what is in effect, and the versions in their order. A click that
    production never logged is undecided, as it is billed.
    """

    decisions: tuple[str, ...]
    purchased: bool
    robotic: bool


Cells = Mapping[Outcome, Tally]


def add(found: dict[Outcome, Tally], cells: Cells) -> None:
    """Add cells to a total."""
    for outcome, tally in cells.items():
        found[outcome] = plus(found.get(outcome, NOTHING), tally)


def plus(one: Tally, other: Tally) -> Tally:
    """Add two tallies.

    >>> plus(Tally(1, 5), Tally(2, -3))
    Tally(clicks=3, micros=2)
    """
    return Tally(one.clicks + other.clicks, one.micros + other.micros)


def total(tallies: Iterable[Tally]) -> Tally:
    """Add tallies up."""
    found = NOTHING
    for tally in tallies:
        found = plus(found, tally)
    return found


def counts_of(cells: Cells, voice: int) -> Counts:
    """Return what the metrics of one voice are made of.

    >>> cells = {Outcome(("valid", "invalid"), True, False): Tally(2, 500)}
    >>> counts_of(cells, 1).fpr, counts_of(cells, 0).ivr.rate
    (Share(part=2, whole=2), 0.0)
    """
    found = Counts()
    for (decisions, purchased, robotic), tally in cells.items():
        clicks, decision = tally.clicks, decisions[voice]
        invalid = clicks * (decision == INVALID)
        found += Counts(
            clicks=clicks,
            decided=clicks * (decision != UNDECIDED),
            invalid=invalid,
            purchasing=clicks * purchased,
            lost=invalid * purchased,
            robotic=clicks * robotic,
            covered=invalid * robotic,
        )
    return found


class Metric(NamedTuple):
    """A metric as a share: of which clicks, and which decisions count."""

    of: Callable[[Outcome], bool]
    flag: Callable[[str], bool]


METRICS: Mapping[str, Metric] = {
    "ivr": Metric(lambda _: True, lambda decision: decision == INVALID),
    "fpr": Metric(lambda outcome: outcome.purchased, lambda decision: decision == INVALID),
    "robotic_coverage": Metric(lambda outcome: outcome.robotic, lambda word: word == INVALID),
    "decision_rate": Metric(lambda _: True, lambda decision: decision != UNDECIDED),
}


def difference(cells: Cells, metric: Metric, first: int, second: int) -> Difference:
    """Return a metric of one voice − that of another, on the same clicks."""
    seen = {(one, other): 0 for one in (True, False) for other in (True, False)}
    for outcome, tally in cells.items():
        if metric.of(outcome):
            one, other = (metric.flag(outcome.decisions[voice]) for voice in (first, second))
            seen[one, other] += tally.clicks
    return Difference(
        only_first=seen[True, False],
        only_second=seen[False, True],
        both=seen[True, True],
        whole=sum(seen.values()),
    )


def crossed(cells: Cells, first: int, second: int) -> dict[tuple[str, str], int]:
    """Return the clicks by what one voice decided and what another did."""
    found: dict[tuple[str, str], int] = {}
    for outcome, tally in cells.items():
        key = (outcome.decisions[first], outcome.decisions[second])
        found[key] = found.get(key, 0) + tally.clicks
    return found


class Tallies:
    """Adds up what is judged, slice by slice.

    `hours` (µs since the epoch), `slices` (slice columns, key) and `advertisers` hold the cells of
    their clicks; `gross` the clicks and money of each advertiser, counted without any decision;
    `changes` and `causes` those of a version's number; `counts` those of borderline, withheld and
    unseen_slice by version, and of missing and sessionless clicks.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._connection = connect(plan.threads)
        numbers = range(len(plan.versions))
        self._decisions = [
            "coalesce(production, 'undecided')",
            "coalesce(effective, 'undecided')",
            *(f"decision_{number}" for number in numbers),
        ]
        self._counted = {("missing", -1): "production IS NULL", ("sessionless", -1): "sessionless"}
        for number in numbers:
            self._counted["borderline", number] = f"borderline_{number}"
            self._counted["withheld", number] = f"withheld_{number}"
            self._counted["unseen_slice", number] = f"unseen_{number}"
        self.hours: dict[int, dict[Outcome, Tally]] = {}
        self.slices: dict[tuple[tuple[str, ...], str], dict[Outcome, Tally]] = {}
        self.advertisers: dict[str, dict[Outcome, Tally]] = {}
        self.gross: dict[str, Tally] = {}
        self.changes: dict[tuple[int, str], Tally] = {}
        self.causes: dict[tuple[int, str], Tally] = {}
        self.counts = dict.fromkeys(self._counted, 0)

    @property
    def overall(self) -> dict[Outcome, Tally]:
        """The cells of all clicks."""
        found: dict[Outcome, Tally] = {}
        for cells in self.hours.values():
            add(found, cells)
        return found

    def add(self, judged: pa.Table) -> None:
        """Add a slice's clicks."""
        self._connection.register("judged", judged)
        for hour, cells in self._cells(f"ts // {HOUR} * {HOUR}").items():
            add(self.hours.setdefault(hour, {}), cells)
        for columns, number in self._plan.slicings.items():
            for key, cells in self._cells(f"slice_{number}").items():
                add(self.slices.setdefault((columns, key), {}), cells)
        for advertiser, cells in self._cells("advertiser_id").items():
            add(self.advertisers.setdefault(advertiser, {}), cells)
        self._add_gross(judged)
        for number in range(len(self._plan.versions)):
            self._add_changes(number)
        sums = ", ".join(f"count(*) FILTER ({sql})" for sql in self._counted.values())
        found = self._connection.sql(f"SELECT {sums} FROM judged").fetchall()[0]
        for name, clicks in zip(self._counted, found, strict=True):
            self.counts[name] += clicks
        self._connection.unregister("judged")

    def _cells(self, part: str) -> dict[Any, dict[Outcome, Tally]]:
        """Return the slice's cells by an SQL expression."""
        decided = ", ".join(f"{sql} AS d{n}" for n, sql in enumerate(self._decisions))
        rows = self._connection.sql(
            f"SELECT {part} AS part, {decided}, purchased, robotic, count(*), "
            "sum(price_micros)::BIGINT FROM judged GROUP BY ALL"
        ).fetchall()
        found: dict[Any, dict[Outcome, Tally]] = {}
        for name, *decisions, purchased, robotic, clicks, micros in rows:
            outcome = Outcome(tuple(decisions), purchased, robotic)
            found.setdefault(name, {})[outcome] = Tally(clicks, micros)
        return found

    def _add_gross(self, judged: pa.Table) -> None:
        of_each = judged.group_by("advertiser_id").aggregate(
            [("price_micros", "count"), ("price_micros", "sum")]
        )
        for row in of_each.to_pylist():
            name, clicks, micros = (
                row[c] for c in ("advertiser_id", "price_micros_count", "price_micros_sum")
            )
            self.gross[name] = plus(self.gross.get(name, NOTHING), Tally(clicks, micros))

    def _add_changes(self, number: int) -> None:
        rows = self._connection.sql(
            f"SELECT kind_{number}, cause_{number}, count(*), sum(adjustment_{number})::BIGINT "
            f"FROM judged WHERE kind_{number} IS NOT NULL GROUP BY ALL"
        ).fetchall()
        for kind, cause, clicks, micros in rows:
            tally = Tally(clicks, micros)
            for found, key in ((self.changes, (number, kind)), (self.causes, (number, cause))):
                found[key] = plus(found.get(key, NOTHING), tally)
