"""Sessions that click as only robots do."""

import numpy as np
import pyarrow as pa

from replay.snapshot import Snapshot, connect
from replay.span import Span
from scorer.metrics import SESSION_WINDOW, robotic

# A session of $k clicks or fewer can't have more than $k inside an hour.
_QUERY = """
WITH clicks AS (
  SELECT epoch_us(ts) AS ts, session_id FROM {clicks} WHERE session_id IS NOT NULL
)
FROM clicks WHERE session_id IN (
  SELECT session_id FROM clicks GROUP BY session_id HAVING count(*) > $k
)
"""


def robotic_sessions(
    snapshot: Snapshot, span: Span, known_by: int, *, threads: int = 2
) -> pa.Array:
    """Return the ids of a span's robotic sessions, in no order; see `metrics.robotic`.

    Clicks of an hour on both sides of the span are looked at, but after its end only those before
    `known_by` (µs): training at the end of its span knows none of them.
    """
    end = max(span.end, min(span.end + SESSION_WINDOW, known_by))
    clicks = snapshot.source("clicks", Span(span.start - SESSION_WINDOW, end))
    k = snapshot.lake.config.session_clicks
    with connect(threads) as connection:
        found = connection.sql(_QUERY.format(clicks=clicks), params={"k": k}).to_arrow_table()
    sessions = found["session_id"].combine_chunks().dictionary_encode()
    codes = sessions.indices.to_numpy().astype(np.int64)
    marked = robotic(found["ts"].to_numpy(), codes, k)
    return sessions.dictionary.take(pa.array(np.unique(codes[marked])))
