"""Ledgers written by hand, row by row, so that one thing of them can be broken before they land.

>>> book = Book([click(0, click_id="a")], {"a": "valid"})
>>> book.publish("r1", {"a": "invalid"})
>>> book.row("a")["adjustment_micros"], book.records[0].credits.micros
(-250000, -250000)
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from recovery.ledger import RECORD, Publication
from replay.lake import Lake
from replay.span import to_datetime
from replay.summary import Tally
from replay.tables import VERDICTS
from tests.lakes import Row, add_rows, click, make_lake, to_table
from tests.oracles.ledger import Ledger, Outcome, Verdict
from tests.versions import HOUR, START

DAY = 24 * HOUR
MIDNIGHT = START // DAY * DAY
NOW = MIDNIGHT + 10 * DAY


@dataclass
class Commit:
    """Rows that land together, and the record that they land with; an import has none."""

    rows: list[dict[str, Any]]
    record: Publication | None


@dataclass
class Book:
    """Clicks, production's decisions and the commits of a ledger; `oracle` stays as it should be.

    `clicks` and `decisions` are what the lake will hold: add to them to break it.
    """

    clicks: Sequence[Row]
    production: Mapping[str, str]
    commits: list[Commit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.oracle = Ledger(self.clicks, self.production)
        self.decisions: list[Row] = [
            decision(row, self.production[row["click_id"]])
            for row in self.clicks
            if row["click_id"] in self.production
        ]

    @property
    def records(self) -> list[Publication]:
        return [commit.record for commit in self.commits if commit.record is not None]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for commit in self.commits for row in commit.rows]

    def row(self, click_id: str) -> dict[str, Any]:
        """Return the last verdict on a click, to be changed."""
        return [row for row in self.rows if row["click_id"] == click_id][-1]

    def publish(self, run_id: str, said: Mapping[str, str], now: int = NOW) -> None:
        rows = [{"click_id": c, "decision": d, "borderline": False} for c, d in said.items()]
        self._land(self.oracle.publish(run_id, rows, now, rebill=True), "publish", run_id, None)

    def revert(self, run_id: str, now: int = NOW) -> None:
        outcome = self.oracle.revert(run_id, now, rebill=True)
        self._land(outcome, "revert", f"revert-{run_id}", run_id)

    def import_(self, click_id: str, word: str, now: int = NOW) -> None:
        """Land one verdict of another system's; it may also be `undecided`."""
        outcome = Outcome()
        change = (click_id, self.oracle.effective(click_id), word)
        self.oracle._issue(outcome, [change], "elsewhere", now, rebill=True)
        self.commits.append(Commit(_rows(outcome.added), None))

    def write(self, home: Path, currency: str = "USD") -> Lake:
        """Make the lake, the rows as they now are."""
        lake = make_lake(home, currency=currency)
        add_rows(lake, "decisions", self.decisions)
        add_rows(lake, "clicks", self.clicks)
        for number, commit in enumerate(self.commits):
            land(lake, commit, number)
        return lake

    def _land(self, outcome: Outcome, action: str, run_id: str, of: str | None) -> None:
        if outcome.added:
            record = _record(outcome.added, action, run_id, of)
            self.commits.append(Commit(_rows(outcome.added), record))


def land(lake: Lake, commit: Commit, number: int) -> None:
    """Append a commit's rows, by date as a commit must be, under its record."""
    rows = to_table(VERDICTS, sorted(commit.rows, key=lambda row: row["ts"] // DAY))
    record = commit.record
    text = None if record is None else json.dumps(record.model_dump(mode="json"))
    metadata = {} if text is None else {RECORD: text}
    lake.append("verdicts", rows.combine_chunks().to_batches(), (f"book-{number}", 1), metadata)


def decision(row: Row, word: str) -> dict[str, Any]:
    """Return what production logged of a click."""
    return {"click_id": row["click_id"], "seq": row["seq"], "ts": row["ts"], "decision": word}


def _rows(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    more = {"model_version": "v2", "probability": 0.5, "reason": "model"}
    return [asdict(verdict) | more for verdict in verdicts]


def _record(added: Sequence[Verdict], action: str, run_id: str, of: str | None) -> Publication:
    def tally(*, before: bool, after: bool) -> Tally:
        mine = [
            v.adjustment_micros
            for v in added
            if (v.previous == "invalid", v.decision == "invalid") == (not before, not after)
        ]
        return Tally(len(mine), sum(mine))

    credited, rebilled = tally(before=True, after=False), tally(before=False, after=True)
    return Publication(
        action=action,
        run_id=run_id,
        of=of,
        at=to_datetime(added[0].issued_at),
        by="a test",
        reason=None,
        overrides=(),
        rebill=True,
        start=to_datetime(0),
        end=to_datetime(1),
        clicks=0,
        spend_micros=0,
        model_version=None,
        verdicts=len(added),
        first=added[0].ledger_seq,
        last=added[-1].ledger_seq,
        credits=credited,
        rebills=rebilled,
        neutral=len(added) - credited.clicks - rebilled.clicks,
        withheld=Tally(0, 0),
        gates=(),
    )


def sample_book() -> Book:
    """Two days, two advertisers; a run, one that overlaps it, its revert, and three imports.

    Of the clicks a… of campaign x, b… of campaign y, each costs 250,000; z costs nothing.
    """
    rows = [
        click(MIDNIGHT + day * DAY + n, n, f"{name}{day}{n}", campaign_id=campaign)
        for day in (0, 1)
        for name, campaign in (("a", "x"), ("b", "y"))
        for n in range(3)
    ]
    rows.append(click(MIDNIGHT, 9, "z", advertiser_id="adv2", campaign_id="x", price_micros=0))
    rows.append(click(MIDNIGHT, 8, "still", advertiser_id="adv3"))
    words = dict.fromkeys([row["click_id"] for row in rows], "valid")
    words |= {"a02": "invalid", "b00": "undecided"}
    del words["b01"]
    book = Book(rows, words)
    book.publish("r1", {"a00": "invalid", "a01": "invalid", "a02": "valid", "z": "invalid"})
    book.publish("r2", {"a00": "valid", "b00": "valid", "b01": "invalid", "a10": "invalid"})
    book.revert("r1")
    book.import_("b10", "invalid")
    book.import_("b11", "undecided")
    book.import_("b12", "undecided")
    return book


Drawn = tuple[int, str, str, int, str | None]  # ts, advertiser, campaign, price, decision
# Days collide, and so do prices; a ledger touches some of the days only.
WORDS = st.sampled_from(["valid", "invalid", "undecided"])
CLICKS = st.lists(
    st.tuples(
        st.integers(0, 3).map(lambda k: MIDNIGHT + k * DAY // 2),
        st.sampled_from(["adv1", "adv2"]),
        st.sampled_from(["x", "y"]),
        st.sampled_from([0, 1, 250_000, 3_000_001]),
        st.one_of(st.none(), WORDS),
    ),
    min_size=1,
    max_size=8,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.dictionaries(st.integers(0, 7), WORDS, min_size=1)),
        st.tuples(st.just("revert"), st.integers(0, 3)),
        st.tuples(st.just("import"), st.tuples(st.integers(0, 7), WORDS)),
    ),
    max_size=6,
)


def make_book(clicks: list[Drawn], steps: list[object]) -> Book:
    """Make a ledger that holds, by the oracle."""
    rows = [
        click(ts, 0, f"c{n}", advertiser_id=one, campaign_id=two, price_micros=price)
        for n, (ts, one, two, price, _) in enumerate(clicks)
    ]
    book = Book(rows, {f"c{n}": word for n, (*_, word) in enumerate(clicks) if word})
    for number, step in enumerate(steps):
        match step:
            case ("publish", dict(said)):
                words = {f"c{n}": word for n, word in said.items() if n < len(rows)}
                book.publish(f"r{number}", words, NOW + number)
            case ("revert", int(which)):
                book.revert(f"r{which}", NOW + number)
            case ("import", (int(n), str(word))):
                if n < len(rows) and book.oracle.effective(f"c{n}") != word:
                    book.import_(f"c{n}", word, NOW + number)
    return book
