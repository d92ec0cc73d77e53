"""Robotic sessions: those with more clicks inside some hour than people make."""

import pyarrow as pa

from replay.snapshot import Snapshot, connect
from replay.span import Span
from scorer.metrics import SESSION_WINDOW

_QUERY = """
WITH clicks AS (
  SELECT session_id, epoch_us(ts) AS ts FROM {clicks} WHERE session_id IS NOT NULL
),
many AS (SELECT session_id FROM clicks GROUP BY session_id HAVING count(*) > {k}),
reaches AS (
  SELECT session_id, lead(ts, {k}) OVER (PARTITION BY session_id ORDER BY ts) - ts AS reach
  FROM clicks SEMI JOIN many USING (session_id)
)
SELECT DISTINCT session_id FROM reaches WHERE reach < {window} ORDER BY session_id
"""


def robotic_sessions(snapshot: Snapshot, span: Span, *, threads: int = 2) -> pa.Array:
    """Return the ids of the sessions with more than `session_clicks` clicks in some 3,600 s.

    `session_clicks` is the lake's setting. An hour is closed on the left and open on the right; an
    hour on both sides of the span is looked at. Clicks without a session are of none.
    """
    around = Span(span.start - SESSION_WINDOW, span.end + SESSION_WINDOW)
    query = _QUERY.format(
        clicks=snapshot.source("clicks", around),
        k=snapshot.lake.config.session_clicks,
        window=SESSION_WINDOW,
    )
    with connect(threads) as connection:
        return connection.sql(query).to_arrow_table()["session_id"].combine_chunks()
