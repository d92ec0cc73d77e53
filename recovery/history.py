"""What the ledger holds, run by run and click by click, for people to look up."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from recovery.ledger import EFFECT, Publication, publications
from replay.errors import BadInput
from replay.lake import Lake
from replay.snapshot import Snapshot, connect, reading
from replay.summary import Tally
from replay.tables import VERDICTS
from scorer.errors import nearest

_RUNS = """
WITH last AS (SELECT click_id, max(ledger_seq) AS ledger_seq FROM {verdicts} GROUP BY click_id)
SELECT run_id, count(*), min(v.ledger_seq), max(v.ledger_seq), epoch_us(min(issued_at)),
  [count(*) FILTER (effect = 'credit'),
   coalesce(sum(adjustment_micros) FILTER (effect = 'credit'), 0)::BIGINT],
  [count(*) FILTER (effect = 're-bill'),
   coalesce(sum(adjustment_micros) FILTER (effect = 're-bill'), 0)::BIGINT],
  count(*) FILTER (last.ledger_seq IS NOT NULL)
FROM (SELECT *, {effect} AS effect FROM {verdicts}) v LEFT JOIN last USING (click_id, ledger_seq)
GROUP BY run_id ORDER BY max(v.ledger_seq)
"""

_CHAIN = """
SELECT {columns} FROM {verdicts}
WHERE click_id IN (SELECT click_id FROM {verdicts} WHERE verdict_id = ? OR click_id = ?)
ORDER BY ledger_seq
"""


@dataclass(frozen=True)
class PublishedRun:
    """One run's verdicts: `first` to `last` bound their numbers, `since` is µs.

    `in_effect` of them are still their click's last. `records` say how they came, one for each
    commit; verdicts that were imported have none.
    """

    run_id: str
    verdicts: int
    first: int
    last: int
    since: int
    credits: Tally
    rebills: Tally
    in_effect: int
    records: tuple[Publication, ...]

    @property
    def action(self) -> str:
        """How they came: publish, revert or import."""
        return self.records[0].action if self.records else "import"

    @property
    def neutral(self) -> int:
        """How many moved no money by what they decide."""
        return self.verdicts - self.credits.clicks - self.rebills.clicks


def published_runs(lake: Lake) -> list[PublishedRun]:
    """Return every run that the ledger has verdicts of, oldest first."""
    records = publications(lake)
    with _opened(lake) as (connection, verdicts):
        rows = connection.sql(_RUNS.format(verdicts=verdicts, effect=EFFECT)).fetchall()
    return [
        PublishedRun(
            run_id,
            verdicts=count,
            first=first,
            last=last,
            since=since,
            credits=Tally(*credited),
            rebills=Tally(*rebilled),
            in_effect=in_effect,
            records=tuple(record for record in records if record.run_id == run_id),
        )
        for run_id, count, first, last, since, credited, rebilled, in_effect in rows
    ]


def published_run(lake: Lake, run_id: str) -> PublishedRun | None:
    """Return what the ledger has of one run, None where nothing; `latest` is the newest."""
    found = published_runs(lake)
    if run_id == "latest" and found:
        return found[-1]
    return next((run for run in found if run.run_id == run_id), None)


def verdicts_of(lake: Lake, run_id: str, limit: int) -> list[dict[str, Any]]:
    """Return a run's first verdicts, at most `limit`, in the ledger's order."""
    query = "SELECT {columns} FROM {verdicts} WHERE run_id = ? ORDER BY ledger_seq LIMIT ?"
    return list(_rows(lake, query, [run_id, limit]))


def chain(lake: Lake, name: str) -> list[dict[str, Any]]:
    """Return every verdict on the click that a verdict id or a click id names, oldest first."""
    return list(_rows(lake, _CHAIN, [name, name]))


def unknown(lake: Lake, name: str) -> BadInput:
    """Return the error for an id that the ledger does not hold."""
    known = [run.run_id for run in published_runs(lake)]
    hint = nearest(name, known, "`replay verdicts list` shows what was published.")
    return BadInput(f"the ledger has no run, verdict or click {name!r}. {hint}")


@contextmanager
def _opened(lake: Lake) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """Give a connection, and SQL for the ledger as it stands."""
    snapshot = Snapshot.take(lake, tables=(VERDICTS,))
    with reading(snapshot), connect() as connection:
        yield connection, snapshot.source("verdicts")


def _rows(lake: Lake, query: str, given: list[Any]) -> Iterator[dict[str, Any]]:
    # Times as micros: DuckDB hands out aware datetimes only with pytz installed.
    columns = ", ".join(
        f"epoch_us({name}) AS {name}" if name in ("ts", "issued_at") else name
        for name in VERDICTS.schema.names
    )
    with _opened(lake) as (connection, verdicts):
        text = query.format(columns=columns, verdicts=verdicts)
        for row in connection.execute(text, given).fetchall():
            yield dict(zip(VERDICTS.schema.names, row, strict=True))
