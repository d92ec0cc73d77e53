"""Weak labels: the clicks that led to a purchase, and so stand for humans.

A purchase names its click, or else counts for the same user's last click (in log order) at most
`attribution_hours` before it, of the same advertiser where the purchase names one.
"""

import pyarrow as pa

from replay.snapshot import Snapshot, connect
from replay.span import Span

HOUR = 3_600_000_000

# A tie in ts is settled before the as-of join, by log order; `nearest` then has one row per time.
_QUERY = """
WITH purchases AS (SELECT epoch_us(ts) AS ts, user_id, click_id, advertiser_id FROM {purchases}),
unnamed AS (FROM purchases WHERE click_id IS NULL AND user_id IS NOT NULL),
clicks AS (
  SELECT epoch_us(ts) AS ts, seq, click_id, user_id, advertiser_id FROM {clicks}
),
theirs AS (FROM clicks WHERE user_id IN (SELECT user_id FROM unnamed)),
of_advertiser AS (
  SELECT user_id, advertiser_id, ts, max_by(click_id, (seq, click_id)) AS click_id
  FROM theirs GROUP BY ALL
),
of_any AS (
  SELECT user_id, ts, max_by(click_id, (seq, click_id)) AS click_id FROM theirs GROUP BY ALL
),
nearest AS (
  SELECT p.ts - c.ts AS age, c.ts, c.click_id
  FROM (FROM unnamed WHERE advertiser_id IS NOT NULL) p ASOF JOIN of_advertiser c
    ON p.user_id = c.user_id AND p.advertiser_id = c.advertiser_id AND p.ts >= c.ts
  UNION ALL
  SELECT p.ts - c.ts, c.ts, c.click_id
  FROM (FROM unnamed WHERE advertiser_id IS NULL) p ASOF JOIN of_any c
    ON p.user_id = c.user_id AND p.ts >= c.ts
)
SELECT click_id FROM nearest WHERE age <= $attribution AND ts < $until
UNION
SELECT click_id FROM clicks
WHERE ts < $until AND click_id IN (SELECT click_id FROM purchases)
ORDER BY click_id
"""


def purchasing_clicks(
    snapshot: Snapshot, span: Span, known_by: int, *, threads: int = 2
) -> pa.Array:
    """Return the ids of the span's clicks that led to a purchase with ts < `known_by`, sorted.

    A click of the span is no purchasing click where the same user's later click, outside the span
    but before `known_by`, has the better claim. `known_by` is in µs; training passes the end of its
    span, so that it sees no purchase that had not happened by then.
    """
    attribution = snapshot.lake.config.attribution_hours * HOUR
    # Clicks before the span can't take a label from the span's own: the last click counts. Nor can
    # those that come more than the attribution window after it.
    until = max(span.end, min(known_by, span.end + attribution))
    clicks = snapshot.source("clicks", Span(span.start, until))
    purchases = snapshot.source("purchases", Span(min(0, known_by - 1), known_by))
    with connect(threads) as connection:
        found = connection.sql(
            _QUERY.format(purchases=purchases, clicks=clicks),
            params={"attribution": attribution, "until": span.end},
        ).to_arrow_table()
    return found["click_id"].combine_chunks()
