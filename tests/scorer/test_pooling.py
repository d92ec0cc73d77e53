"""Pooling against a reading of its rule."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scorer.pooling import OVERALL, pool

MINIMUM = 200
COUNTS = st.sampled_from([0, 1, 50, 100, 199, 200, 900])
KEYS = [f"a={a},b={b},c={c}" for a in "xy" for b in "xy" for c in "xyz"]
SLICES = st.dictionaries(st.sampled_from(KEYS), COUNTS, min_size=1)


def home(key: str, purchases: dict[str, int]) -> str | None:
    """Where a slice goes: the nearest parent whose small slices have enough together."""
    if purchases[key] >= MINIMUM:
        return None
    left = {k for k, count in purchases.items() if count < MINIMUM}
    for columns in (2, 1):
        by_parent: dict[str, set[str]] = {}
        for k in left:
            by_parent.setdefault(",".join(k.split(",")[:columns]), set()).add(k)
        for parent, members in by_parent.items():
            if sum(purchases[k] for k in members) >= MINIMUM:
                if key in members:
                    return parent
                left -= members
    return OVERALL


@given(purchases=SLICES)
def test_small_slices_go_to_the_nearest_parent_that_has_enough(purchases: dict[str, int]) -> None:
    keys = sorted(purchases)
    groups = pool(keys, np.array([purchases[key] for key in keys]), MINIMUM)
    places = [place for group in groups for place in group.members]
    assert sorted(places) == list(range(len(keys)))
    found = {keys[place]: group.parent for group in groups for place in group.members}
    assert found == {key: home(key, purchases) for key in keys}
    parents = [group.parent for group in groups if group.parent]
    assert len(parents) == len(set(parents))
    assert all(len(group.members) == 1 for group in groups if group.parent is None)


def test_one_column_has_no_parent_but_overall() -> None:
    [alone, rest] = pool(["d=a", "d=b", "d=c"], np.array([200, 199, 0]), MINIMUM)
    assert (alone.name, alone.members, alone.parent) == ("d=a", (0,), None)
    assert (rest.members, rest.parent) == ((1, 2), OVERALL)
