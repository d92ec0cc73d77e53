"""Weak labels: which clicks stand for humans, as known at some moment.

A click is human where it led to a purchase, or where it was made logged in, from an account with a
high RFM score (`replay.rfm`); all others are non-human. A purchase names its click, or else counts
for the same user's last click (in log order) at most `attribution_hours` before it, of the same
advertiser where the purchase names one.

A user id alone is no account: who shows the id of a browser is not logged in. Were such clicks
human too, people without any id would be the ones that can't be, and a network would learn to take
them for robots. Weights (`scorer.weights`) even out logged in and not, and nothing else.

Labels look at one moment, `known_by`, through two clocks: a purchase counts where it is in the
snapshot and where `ts` + `arrival_minutes` < `known_by`. The second rule holds for a log that was
brought in at once, whose commits don't say when each purchase had arrived.

An account's score, too, is that of `known_by` and not of the click. A label is what is known of a
click afterwards, at training, as a purchase that follows the click is; only features must keep to
what stood before it, and no spec may hold RFM. Scores as of each click would rank all accounts anew
for every click, and call a customer's first clicks non-human although all is known by now.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.errors import OutsideLog
from replay.rfm import of_high_value, rfm_scores
from replay.snapshot import Snapshot, connect
from replay.span import Span

MINUTE = 60_000_000
HOUR = 3_600_000_000

Flags = npt.NDArray[np.bool_]

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


@dataclass(frozen=True)
class Labels:
    """What makes a span's clicks human: their ids, or those of their accounts; both sorted.

    An account stands for its clicks that were made logged in.

    `scored` is how many accounts have an RFM score.

    >>> labels = Labels(pa.array(["c1"]), pa.array(["u2"]), scored=2)
    >>> columns = {"click_id": ["c1", "c2", "c3"], "user_id": ["u1", "u2", "u2"]}
    >>> clicks = pa.table({**columns, "logged_in": [True, True, False]})
    >>> [flags.tolist() for flags in labels.of(clicks)]
    [[True, False, False], [False, True, False]]
    """

    purchasing: pa.Array
    accounts: pa.Array
    scored: int

    def of(self, clicks: pa.Table) -> tuple[Flags, Flags]:
        """Tell which clicks are purchasing, and which are from a high-RFM account.

        `clicks` have click_id, user_id and logged_in.
        """
        purchasing = pc.is_in(clicks["click_id"], value_set=self.purchasing)
        high_rfm = pc.is_in(clicks["user_id"], value_set=self.accounts)
        return purchasing.to_numpy(), pc.and_(high_rfm, clicks["logged_in"]).to_numpy()


def weak_labels(snapshot: Snapshot, span: Span, known_by: int, *, threads: int = 2) -> Labels:
    """Return what labels the clicks of `span` by the purchases known before `known_by` (µs).

    The threshold of RFM scores, and how long a purchase takes to arrive, stand in `[labels]` of the
    lake's `replay.toml`.
    """
    rules = snapshot.lake.config.labels
    arrived = known_by - rules.arrival_minutes * MINUTE
    scores = rfm_scores(snapshot, arrived, threads=threads)
    return Labels(
        purchasing_clicks(snapshot, span, arrived, threads=threads),
        of_high_value(scores, rules.rfm_threshold),
        scores.num_rows,
    )


def no_clicks(snapshot: Snapshot, span: Span) -> OutsideLog:
    """Return the error of a span without clicks, which leave nothing to label."""
    log = snapshot.log_span()
    covers = f"the log covers {log}" if log else "the log is empty"
    return OutsideLog(f"no click in {span}; {covers}")
