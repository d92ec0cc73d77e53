"""The figures of what netting leaves: sums over a few rows, however many clicks there are.

`netted` and the clicks are read once each, for the tables `moved` and `spent`; the sums are taken
from these.
"""

from typing import TypedDict

import duckdb

from recovery.ledger import EFFECT
from recovery.proposal import AdvertiserMove
from replay.summary import Tally

_MOVED = f"""
CREATE TEMP TABLE moved AS
SELECT advertiser_id, previous, decision, cause, outcome, {EFFECT} AS effect,
  epoch_us(ts) < $late AS late, count(*) AS clicks, sum(adjustment_micros)::BIGINT AS micros
FROM netted GROUP BY ALL
"""

_SPENT = """
CREATE TEMP TABLE spent AS
SELECT advertiser_id, count(*) AS clicks, sum(price_micros) AS micros,
  count(*) FILTER ({purchased}) AS purchasing,
  count(*) FILTER ({purchased} AND {invalid}) AS missed
FROM {clicks} GROUP BY 1
"""


class Figures(TypedDict):
    """The part of a proposal that is sums of `netted`."""

    moves: dict[str, Tally]
    causes: dict[str, Tally]
    outcomes: dict[str, Tally]
    credits: Tally
    rebills: Tally
    neutral: int
    withheld: Tally
    late: Tally
    advertisers: tuple[AdvertiserMove, ...]


def read_clicks(
    connection: duckdb.DuckDBPyConnection, clicks: str, *, decided: bool
) -> tuple[int, ...]:
    """Make the table `spent`: what each advertiser's clicks cost, for its share that moves.

    Returns how many clicks there are, their price in micros, how many purchased, and how many of
    these the run calls invalid; the last two are 0 where the clicks are not `decided` by a run.
    """
    purchased, invalid = ("purchased", "decision = 'invalid'") if decided else ("false", "false")
    connection.execute(_SPENT.format(clicks=clicks, purchased=purchased, invalid=invalid))
    query = "SELECT coalesce(sum(COLUMNS(* EXCLUDE advertiser_id)), 0)::BIGINT FROM spent"
    row: tuple[int, ...] = connection.sql(query).fetchall()[0]
    return row


def figures(connection: duckdb.DuckDBPyConnection, published: str, late: int) -> Figures:
    """Sum what moves, after `read_clicks`; `late` re-bills are of clicks before that moment (µs).

    `published` is the condition on the rows that are not withheld.
    """
    connection.execute(_MOVED, {"late": late})
    effects = _tallies(connection, "effect", published)
    none = Tally(0, 0)
    withheld = _tallies(connection, "effect", f"NOT ({published})")
    return {
        "moves": _tallies(connection, "previous || ' → ' || decision", published),
        "causes": _tallies(connection, "cause", published),
        "outcomes": _tallies(connection, "outcome", f"{published} AND outcome IS NOT NULL"),
        "credits": effects.get("credit", none),
        "rebills": effects.get("re-bill", none),
        "neutral": effects.get("neutral", none).clicks,
        "withheld": withheld.get("re-bill", none),
        "late": _tallies(connection, "effect", f"{published} AND late").get("re-bill", none),
        "advertisers": _advertisers(connection, published),
    }


def _tallies(connection: duckdb.DuckDBPyConnection, key: str, where: str) -> dict[str, Tally]:
    query = f"""
        SELECT {key}, sum(clicks)::BIGINT, sum(micros)::BIGINT FROM moved WHERE {where}
        GROUP BY 1 ORDER BY 2 DESC, 1
    """
    return {k: Tally(clicks, micros) for k, clicks, micros in connection.sql(query).fetchall()}


def _advertisers(
    connection: duckdb.DuckDBPyConnection, published: str
) -> tuple[AdvertiserMove, ...]:
    """Return the moves by advertiser, the largest first."""
    query = f"""
        WITH sums AS (
          SELECT advertiser_id,
            coalesce(sum(clicks) FILTER (effect = 'credit'), 0)::BIGINT AS credited,
            coalesce(sum(clicks) FILTER (effect = 're-bill'), 0)::BIGINT AS rebilled,
            coalesce(sum(micros) FILTER (effect = 'credit'), 0)::BIGINT AS credit,
            coalesce(sum(micros) FILTER (effect = 're-bill'), 0)::BIGINT AS rebill
          FROM moved WHERE {published} GROUP BY 1
        )
        SELECT advertiser_id, credited, rebilled, credit, rebill, coalesce(micros, 0)::BIGINT
        FROM sums LEFT JOIN spent USING (advertiser_id)
        ORDER BY rebill - credit DESC, credited + rebilled DESC, advertiser_id
    """
    return tuple(AdvertiserMove(*row) for row in connection.sql(query).fetchall())
