"""What the ledger comes to."""

from dataclasses import dataclass

import duckdb

from recovery.ledger import EFFECT
from replay.snapshot import Snapshot
from replay.summary import Tally


@dataclass(frozen=True)
class Totals:
    """All verdicts of a ledger; money in micros, credits negative, re-bills positive.

    `clicks` counts the clicks that have a verdict; `neutral` the verdicts between valid and
    undecided, which move nothing; `head` is the last ledger_seq.
    """

    verdicts: int
    clicks: int
    credits: Tally
    rebills: Tally
    neutral: int
    net_micros: int
    head: int


_TOTALS = """
SELECT count(*), count(DISTINCT click_id),
  count(*) FILTER (effect = 'credit'),
  coalesce(sum(adjustment_micros) FILTER (effect = 'credit'), 0)::BIGINT,
  count(*) FILTER (effect = 're-bill'),
  coalesce(sum(adjustment_micros) FILTER (effect = 're-bill'), 0)::BIGINT,
  count(*) FILTER (effect = 'neutral'),
  coalesce(sum(adjustment_micros), 0)::BIGINT, coalesce(max(ledger_seq), 0)
FROM (SELECT *, {effect} AS effect FROM {verdicts})
"""


def read_totals(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> Totals:
    """Add up a ledger."""
    query = _TOTALS.format(verdicts=snapshot.source("verdicts"), effect=EFFECT)
    row = connection.sql(query).fetchall()[0]
    return Totals(
        row[0], row[1], Tally(*row[2:4]), Tally(*row[4:6]), row[6], net_micros=row[7], head=row[8]
    )
