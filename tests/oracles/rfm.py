"""RFM scores read from their definition, in plain Python: every account looks at every other."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

Row = Mapping[str, Any]
Values = tuple[int, int, int]  # time of the last purchase, number of them, sum of the amounts


def values(purchases: Sequence[Row], user: str) -> Values:
    """What one account's purchases come to."""
    mine = [p for p in purchases if p["user_id"] == user]
    return max(p["ts"] for p in mine), len(mine), sum(p["amount_micros"] for p in mine)


def quintile(mine: int, everyone: Sequence[int]) -> int:
    """The highest q of 1 to 5 for which at least (q − 1) / 5 of all are strictly worse.

    >>> [quintile(n, range(10)) for n in (0, 1, 2, 9)], [quintile(7, [7, 7, 8])]
    ([1, 1, 2, 5], [1])
    """
    worse = sum(value < mine for value in everyone)
    return max(q for q in range(1, 6) if Fraction(worse, len(everyone)) >= Fraction(q - 1, 5))


def scores(purchases: Iterable[Row], known_by: int) -> dict[str, Values]:
    """User → recency, frequency and monetary quintile, by the purchases of ts < known_by."""
    known = [p for p in purchases if p["user_id"] is not None and p["ts"] < known_by]
    accounts = {user: values(known, user) for user in {p["user_id"] for p in known}}
    columns = list(zip(*accounts.values(), strict=True))
    return {
        user: (quintile(r, columns[0]), quintile(f, columns[1]), quintile(m, columns[2]))
        for user, (r, f, m) in accounts.items()
    }


def of_high_value(purchases: Iterable[Row], known_by: int, threshold: int) -> set[str]:
    """The accounts whose quintiles add up to the threshold or more."""
    found = scores(purchases, known_by)
    return {user for user, quintiles in found.items() if sum(quintiles) >= threshold}
