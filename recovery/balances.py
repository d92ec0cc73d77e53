"""What campaigns stood at before and after a stretch of the ledger, counted from the log itself.

Whole days (UTC) are read, some at a time, so that memory does not grow with the ledger's age: a
click's verdicts carry its ts, and so stand in the files of its day.
"""

import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import duckdb

from replay.snapshot import Snapshot, connect, reading
from replay.span import Span

DAY = 86_400_000_000
CHUNK_CLICKS = 3_000_000
CREDIT, REBILL, NEUTRAL = "credit", "re-bill", "neutral"
# SQL for what a verdict does: by its decisions, since a click may cost nothing.
ACTION = (
    f"CASE WHEN (previous = 'invalid') = (decision = 'invalid') THEN '{NEUTRAL}' "
    f"WHEN decision = 'invalid' THEN '{CREDIT}' ELSE '{REBILL}' END"
)

Campaign = tuple[str, str]  # advertiser_id, campaign_id


@dataclass(frozen=True)
class Standing:
    """Some clicks by their decision, and what is billed for them in micros.

    >>> Standing(2, 1, 0, 500) + Standing(-1, 1, 0, -250)
    Standing(valid=1, invalid=2, undecided=0, micros=250)
    """

    valid: int = 0
    invalid: int = 0
    undecided: int = 0
    micros: int = 0

    @property
    def clicks(self) -> int:
        """Clicks of any decision."""
        return self.valid + self.invalid + self.undecided

    def __str__(self) -> str:
        return (
            f"{self.valid:,} valid, {self.invalid:,} invalid, {self.undecided:,} undecided, "
            f"{self.micros:,} micros billed"
        )

    def __add__(self, other: "Standing") -> "Standing":
        return Standing(
            self.valid + other.valid,
            self.invalid + other.invalid,
            self.undecided + other.undecided,
            self.micros + other.micros,
        )


NOTHING = Standing()


@dataclass(frozen=True)
class Balance:
    """Some clicks before and after; `gross` is counted without their decisions."""

    gross: int = 0
    before: Standing = NOTHING
    after: Standing = NOTHING

    def __add__(self, other: "Balance") -> "Balance":
        return Balance(
            self.gross + other.gross, self.before + other.before, self.after + other.after
        )


@contextmanager
def working(snapshot: Snapshot) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB that may use disk where memory ends; name the file that cannot be read."""
    with (
        tempfile.TemporaryDirectory(prefix="replay-ledger-") as folder,
        reading(snapshot),
        connect() as connection,
    ):
        connection.execute("SET temp_directory = ?", [folder])
        yield connection


def days(snapshot: Snapshot, name: str, span: Span | None = None) -> set[int]:
    """Return the days, counted from the epoch, that a table has files of in the span."""
    inside = set(snapshot.pinned[name].within(span))
    return {file.first // DAY for file in snapshot.pinned[name].files if file.path in inside}


def on_days(snapshot: Snapshot, wanted: Collection[int]) -> Snapshot:
    """Return a snapshot of what happened on some days; a file holds one day's rows."""
    return replace(
        snapshot,
        pinned={
            name: replace(pin, files=tuple(f for f in pin.files if f.first // DAY in wanted))
            for name, pin in snapshot.pinned.items()
        },
    )


def chunks(snapshot: Snapshot, wanted: Iterable[int], clicks: int) -> Iterator[Snapshot]:
    """Cut a snapshot into some whole days at a time, of at most so many clicks or of one day."""
    rows: Counter[int] = Counter()
    for file in snapshot.pinned["clicks"].files:
        rows[file.first // DAY] += file.rows
    part: set[int] = set()
    for day in sorted(wanted):
        if part and sum(rows[d] for d in part) + rows[day] > clicks:
            yield on_days(snapshot, part)
            part = set()
        part.add(day)
    if part:
        yield on_days(snapshot, part)


_GROSS = """
SELECT advertiser_id, campaign_id, count(*) FROM {clicks}
WHERE $advertiser IS NULL OR advertiser_id = $advertiser GROUP BY ALL
"""
_STANDINGS = """
WITH ledger AS (
  SELECT click_id,
    max_by(decision, ledger_seq) FILTER (ledger_seq <= $after) AS was,
    max_by(decision, ledger_seq) FILTER (ledger_seq <= $upto) AS became
  FROM {verdicts} GROUP BY click_id
),
beside AS (
  SELECT c.advertiser_id, c.campaign_id, c.price_micros,
    coalesce(l.was, d.decision, 'undecided') AS was,
    coalesce(l.became, d.decision, 'undecided') AS became
  FROM {clicks} c LEFT JOIN {decisions} d USING (click_id) LEFT JOIN ledger l USING (click_id)
  WHERE $advertiser IS NULL OR c.advertiser_id = $advertiser
)
SELECT advertiser_id, campaign_id,
  count(*) FILTER (was = 'valid'), count(*) FILTER (was = 'invalid'),
  count(*) FILTER (was = 'undecided'),
  coalesce(sum(price_micros) FILTER (was <> 'invalid'), 0)::BIGINT,
  count(*) FILTER (became = 'valid'), count(*) FILTER (became = 'invalid'),
  count(*) FILTER (became = 'undecided'),
  coalesce(sum(price_micros) FILTER (became <> 'invalid'), 0)::BIGINT
FROM beside GROUP BY ALL
"""


def balances(
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    span: Span | None = None,
    *,
    after: int = 0,
    upto: int,
    advertiser: str | None = None,
) -> dict[Campaign, Balance]:
    """Return each campaign's clicks in a span (or all that the snapshot holds).

    `before` is how they stood once the ledger had its first `after` verdicts, 0 being production's
    own decisions, and `after` once it had `upto`.
    """
    names = ("clicks", "decisions", "verdicts")
    sources = {name: snapshot.source(name, span) for name in names}
    asked = {"advertiser": advertiser}
    gross = connection.execute(_GROSS.format(**sources), asked).fetchall()
    found = {(one, two): Balance(clicks) for one, two, clicks in gross}
    stretch = {"after": after, "upto": upto}
    standings = connection.execute(_STANDINGS.format(**sources), asked | stretch).fetchall()
    for one, two, *counts in standings:
        before, later = Standing(*counts[:4]), Standing(*counts[4:])
        found[one, two] = Balance(found[one, two].gross, before, later)
    return found


def add_balances(total: dict[Campaign, Balance], part: dict[Campaign, Balance]) -> None:
    """Add `part` to `total`, campaign by campaign."""
    for campaign, balance in part.items():
        total[campaign] = total.get(campaign, Balance()) + balance
