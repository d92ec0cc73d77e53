"""A run in figures: frozen data, computed with SQL over the run's parts."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import duckdb

from replay.changes import CAUSES, KINDS, OUTCOMES, Tally, total
from replay.floor_figures import Floor, floor_figures
from replay.runs import RunFolder, RunManifest
from replay.snapshot import connect
from scorer.errors import Inconsistent
from scorer.metrics import Share

__all__ = [
    "AdvertiserMoney",
    "HourChanges",
    "Rates",
    "Summary",
    "Tally",
    "read_summary",
    "reconcile",
    "summarise",
]

HOUR = 3_600_000_000


@dataclass(frozen=True)
class AdvertiserMoney:
    """What a run would move for one advertiser, micros; credits are negative, re-bills positive.

    `now_invalid` and `now_valid` count the changed clicks by what they become.
    """

    advertiser_id: str
    now_invalid: int
    now_valid: int
    credit_micros: int
    rebill_micros: int


@dataclass(frozen=True)
class HourChanges:
    """One hour's decided clicks and changes; `start` in µs."""

    start: int
    clicks: int
    to_invalid: int
    to_valid: int
    other: int


@dataclass(frozen=True)
class Rates:
    """A set of decisions: share called robotic, of all clicks and of purchasing clicks."""

    ivr: Share
    fpr: Share


@dataclass(frozen=True)
class Summary:
    """What a run found; `floor` where it was asked for."""

    clicks: int
    decided: int
    undecided: int
    borderline: int
    withheld: int
    unseen_slice: int
    purchasing: int
    changes: dict[str, Tally]
    causes: dict[str, Tally]
    outcomes: dict[str, Tally]
    advertisers: tuple[AdvertiserMoney, ...]
    hours: tuple[HourChanges, ...]
    production: Rates
    effective: Rates
    replayed: Rates
    floor: Floor | None = None

    @property
    def changed(self) -> Tally:
        """All changes."""
        return total(self.changes.values())

    @property
    def changed_share(self) -> float:
        """Changes / decided clicks; 0 where none was decided."""
        return self.changed.clicks / self.decided if self.decided else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data; money stays in micros."""
        return asdict(self)


def summarise(
    connection: duckdb.DuckDBPyConnection, folder: RunFolder, *, noise_floor: bool = False
) -> Summary:
    """Read a run's parts, and what they say of the noise floor if they do."""
    decisions, changes = folder.source("decisions"), folder.source("changes")
    totals = _totals(connection, decisions)
    return Summary(
        **{name: totals[name] for name in _COUNTS},
        changes=_tallies(connection, changes, "kind", KINDS),
        causes=_tallies(connection, changes, "cause", CAUSES),
        outcomes=_tallies(connection, changes, "outcome", OUTCOMES),
        advertisers=_advertisers(connection, changes),
        hours=_hours(connection, decisions, changes),
        production=_rates(totals, "production"),
        effective=_rates(totals, "effective"),
        replayed=_rates(totals, "decision"),
        floor=floor_figures(connection, decisions) if noise_floor else None,
    )


def read_summary(folder: RunFolder, manifest: RunManifest) -> Summary:
    """Read a finished run's parts; raise Inconsistent where they are not what was written."""
    damaged = f"run {manifest.run_id} is damaged"
    try:
        with connect() as connection:
            found = summarise(connection, folder, noise_floor=manifest.noise_floor)
    except duckdb.Error as exc:
        said = str(exc).strip().splitlines()[0]
        raise Inconsistent(f"{damaged}: {said}; replay the span again") from exc
    kept = [manifest.counts[name] for name in ("replayed", "changed", "adjustment_micros")]
    if [found.clicks, found.changed.clicks, found.changed.micros] != kept:
        raise Inconsistent(
            f"{damaged}: its parts do not hold the {kept[0]:,} clicks and "
            f"{kept[1]:,} changes of its manifest; replay the span again"
        )
    return found


_COUNTS = {
    "clicks": "count(*)",
    "decided": "count(*) FILTER (decision <> 'undecided')",
    "undecided": "count(*) FILTER (decision = 'undecided')",
    "borderline": "count(*) FILTER (borderline)",
    "withheld": "count(*) FILTER (withheld)",
    "unseen_slice": "count(*) FILTER (unseen_slice)",
    "purchasing": "count(*) FILTER (purchased)",
}


def _totals(connection: duckdb.DuckDBPyConnection, decisions: str) -> dict[str, int]:
    columns = [f"{sql} AS {name}" for name, sql in _COUNTS.items()]
    for kind in ("production", "effective", "decision"):
        columns.append(f"count(*) FILTER ({kind} = 'invalid') AS invalid_{kind}")
        columns.append(f"count(*) FILTER ({kind} = 'invalid' AND purchased) AS false_{kind}")
    relation = connection.sql(f"SELECT {', '.join(columns)} FROM {decisions}")
    return dict(zip(relation.columns, relation.fetchall()[0], strict=True))


def _rates(totals: dict[str, int], kind: str) -> Rates:
    return Rates(
        Share(totals[f"invalid_{kind}"], totals["clicks"]),
        Share(totals[f"false_{kind}"], totals["purchasing"]),
    )


def _tallies(
    connection: duckdb.DuckDBPyConnection, changes: str, column: str, names: Iterable[str]
) -> dict[str, Tally]:
    query = (
        f"SELECT {column}, count(*), sum(adjustment_micros)::BIGINT FROM {changes} "
        f"WHERE {column} IS NOT NULL GROUP BY 1"
    )
    found = {
        name: Tally(clicks, micros) for name, clicks, micros in connection.sql(query).fetchall()
    }
    if unknown := found.keys() - set(names):
        raise Inconsistent(f"the run has changes of the unknown {column} {sorted(unknown)}")
    return {name: found.get(name, Tally(0, 0)) for name in names}


def _advertisers(
    connection: duckdb.DuckDBPyConnection, changes: str
) -> tuple[AdvertiserMoney, ...]:
    """Return the money by advertiser, the largest movement first."""
    query = f"""
        SELECT advertiser_id,
          count(*) FILTER (decision = 'invalid'),
          count(*) FILTER (decision = 'valid'),
          coalesce(sum(adjustment_micros) FILTER (adjustment_micros < 0), 0)::BIGINT,
          coalesce(sum(adjustment_micros) FILTER (adjustment_micros > 0), 0)::BIGINT
        FROM {changes} GROUP BY 1
        ORDER BY sum(abs(adjustment_micros)) DESC, advertiser_id
    """
    return tuple(AdvertiserMoney(*row) for row in connection.sql(query).fetchall())


def _hours(
    connection: duckdb.DuckDBPyConnection, decisions: str, changes: str
) -> tuple[HourChanges, ...]:
    hour = f"epoch_us(ts) // {HOUR} * {HOUR} AS hour"
    query = f"""
        WITH of_decisions AS (SELECT {hour}, count(*) AS clicks FROM {decisions} GROUP BY 1),
        of_changes AS (
          SELECT {hour},
            count(*) FILTER (kind = 'to_invalid') AS to_invalid,
            count(*) FILTER (kind = 'to_valid') AS to_valid,
            count(*) FILTER (kind NOT IN ('to_invalid', 'to_valid')) AS other
          FROM {changes} GROUP BY 1
        )
        SELECT hour, clicks, coalesce(to_invalid, 0), coalesce(to_valid, 0), coalesce(other, 0)
        FROM of_decisions LEFT JOIN of_changes USING (hour) ORDER BY hour
    """
    return tuple(HourChanges(*row) for row in connection.sql(query).fetchall())


def reconcile(summary: Summary, replayed: int, changed: Tally) -> None:
    """Check the parts against what was counted while they were made; raise Inconsistent."""
    by_cause = total(summary.causes.values())
    by_advertiser = sum(a.credit_micros + a.rebill_micros for a in summary.advertisers)
    checks = (
        ("clicks replayed and clicks written", replayed, summary.clicks),
        ("clicks and decided + undecided", summary.clicks, summary.decided + summary.undecided),
        ("changes found and changes written", changed, summary.changed),
        ("changes and causes", summary.changed, by_cause),
        ("adjustments and their sum by advertiser", summary.changed.micros, by_advertiser),
        *_floor_checks(summary),
    )
    for what, first, second in checks:
        if first != second:
            raise Inconsistent(
                f"the run does not reconcile: {what} are {first} and {second}. Nothing was kept; "
                "please report this with the command that you ran"
            )


def _floor_checks(summary: Summary) -> Iterator[tuple[str, object, object]]:
    if floor := summary.floor:
        clicks = floor.compared + sum(floor.not_stored.values()) + floor.unknown
        yield "clicks and those with a noise floor and without", summary.clicks, clicks
        parts = (floor.alike, floor.beyond, floor.without)
        by_floor = {kind: total(part[kind] for part in parts) for kind in KINDS}
        yield "changes and those within the noise floor and beyond", summary.changes, by_floor
