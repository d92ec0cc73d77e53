"""Accounts by the recency, frequency and monetary value of their purchases.

Every account with a known purchase gets three quintiles from 1 (worst) to 5 (best), each by its
rank among these accounts: how late its last purchase was, how many it made, and the sum of their
amounts. Its score is the sum of the three, 3 to 15. Equal values share a quintile, the lowest that
any of them would have: an account has quintile q where at least (q − 1) / 5 of the accounts are
strictly worse. So where most accounts bought once, buying once is no merit.

Sources: J. Miglautsch, "Thoughts on RFM scoring", Journal of Database Marketing 8 (2000), 67–72,
for quintiles and their sum; IBM SPSS Statistics, "RFM Binning", for ranks that are independent of
each other and ties that share a bin (the usual alternative breaks ties at random, and would label
the same click otherwise from one training to the next).
"""

import pyarrow as pa
import pyarrow.compute as pc

from replay.snapshot import Snapshot, connect
from replay.span import Span

LOWEST, HIGHEST = 3, 15  # scores

_QUERY = """
WITH accounts AS (
  SELECT user_id, max(ts) AS latest, count(*) AS bought, sum(amount_micros) AS amount
  FROM {purchases} WHERE user_id IS NOT NULL GROUP BY user_id
),
ranked AS (
  SELECT user_id, {latest} AS recency, {bought} AS frequency, {amount} AS monetary FROM accounts
)
SELECT *, recency + frequency + monetary AS score FROM ranked ORDER BY user_id
"""
# A rank is 1 + the number of strictly worse accounts.
_QUINTILE = "(1 + (5 * (rank() OVER (ORDER BY {value}) - 1)) // count(*) OVER ())::INTEGER"


def rfm_scores(snapshot: Snapshot, known_by: int, *, threads: int = 2) -> pa.Table:
    """Score the accounts with a purchase of ts < `known_by` (µs), from all such purchases.

    Returns user_id, recency, frequency, monetary (quintiles, 1 to 5) and score (3 to 15), all
    int32, sorted by user_id. A purchase without a user_id counts for nobody.
    """
    purchases = snapshot.source("purchases", Span(min(0, known_by - 1), known_by))
    quintiles = {name: _QUINTILE.format(value=name) for name in ("latest", "bought", "amount")}
    with connect(threads) as connection:
        return connection.sql(_QUERY.format(purchases=purchases, **quintiles)).to_arrow_table()


def of_high_value(scores: pa.Table, threshold: int) -> pa.Array:
    """Return the accounts whose score is at least `threshold`, sorted.

    >>> scores = pa.table({"user_id": ["a", "b"], "score": [11, 12]})
    >>> of_high_value(scores, 12).to_pylist()
    ['b']
    """
    return scores.filter(pc.greater_equal(scores["score"], threshold))["user_id"].combine_chunks()
