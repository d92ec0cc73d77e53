"""RFM scores against a reading of the definition, on purchases that collide."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.rfm import HIGHEST, LOWEST, of_high_value, rfm_scores
from replay.snapshot import Snapshot
from tests.lakes import make_lake
from tests.oracles import rfm

Row = dict[str, Any]
START = 1_772_323_200_000_000
STEP = 3_600_000_000
PURCHASES = st.lists(
    st.tuples(
        st.integers(0, 3).map(lambda k: START + k * STEP),
        st.sampled_from([*"abcdefg", None]),
        st.sampled_from([0, 1_000_000, 2_000_000]),
    ),
    max_size=18,
)


def bought(ts: int, user: str | None, amount: int = 1_000_000, number: int = 0) -> Row:
    return {"purchase_id": f"p{number}", "ts": ts, "user_id": user, "amount_micros": amount}


def scored(folder: Path | str, purchases: Sequence[Row], known_by: int) -> dict[str, rfm.Values]:
    rows = rfm_scores(Snapshot.take(make_lake(folder, purchases=purchases)), known_by).to_pylist()
    found = {row["user_id"]: (row["recency"], row["frequency"], row["monetary"]) for row in rows}
    assert [row["score"] for row in rows] == [sum(quintiles) for quintiles in found.values()]
    assert list(found) == sorted(found)
    return found


@settings(max_examples=50, deadline=None)
@given(drawn=PURCHASES, known_by=st.sampled_from([0, 1, 2, 4]).map(lambda k: START + k * STEP))
def test_scores_are_those_of_the_definition(
    drawn: list[tuple[int, str | None, int]], known_by: int
) -> None:
    purchases = [bought(*row, number) for number, row in enumerate(drawn)]
    with TemporaryDirectory() as folder:
        assert scored(folder, purchases, known_by) == rfm.scores(purchases, known_by)


def test_five_accounts_of_one_purchase_each(tmp_path: Path) -> None:
    amounts = [5, 4, 3, 2, 1]
    purchases = [bought(START + n * STEP, user, amounts[n], n) for n, user in enumerate("abcde")]
    assert scored(tmp_path, purchases, START + 9 * STEP) == {
        "a": (1, 1, 5),
        "b": (2, 1, 4),
        "c": (3, 1, 3),
        "d": (4, 1, 2),
        "e": (5, 1, 1),
    }


def test_where_most_buy_once_buying_once_is_no_merit(tmp_path: Path) -> None:
    users = ["a", "b", "c", "d", "e", "f", "g", "g", "h", "h", "i", "i", "i", *"jjjj"]
    purchases = [bought(START, user, number=n) for n, user in enumerate(users)]
    found = scored(tmp_path, purchases, START + 1)
    frequency = {user: quintiles[1] for user, quintiles in found.items()}
    assert frequency == {**dict.fromkeys("abcdef", 1), "g": 4, "h": 4, "i": 5, "j": 5}


def test_an_account_alone_has_the_lowest_score(tmp_path: Path) -> None:
    found = rfm_scores(
        Snapshot.take(make_lake(tmp_path, purchases=[bought(START, "a")])), START + 1
    )
    assert found["score"].to_pylist() == [LOWEST]


def test_the_best_in_everything_has_the_highest_score(tmp_path: Path) -> None:
    purchases = [bought(START + n, user, 1, n) for n, user in enumerate("abcdee")]
    assert sum(scored(tmp_path, purchases, START + 9)["e"]) == HIGHEST


@pytest.mark.parametrize(("known_by", "users"), [(START, []), (START + 1, ["a"])])
def test_a_purchase_counts_only_once_it_has_happened(
    tmp_path: Path, known_by: int, users: list[str]
) -> None:
    assert list(scored(tmp_path, [bought(START, "a")], known_by)) == users


def test_sums_beyond_64_bits(tmp_path: Path) -> None:
    huge = 2**62
    purchases = [bought(START, user, huge, n) for n, user in enumerate("aaab")]
    assert {user: q[2] for user, q in scored(tmp_path, purchases, START + 1).items()} == {
        "a": 3,
        "b": 1,
    }


@pytest.mark.parametrize("threshold", [3, 9, 12, 15, 16])
def test_the_threshold_is_the_lowest_score_of_high_value(tmp_path: Path, threshold: int) -> None:
    purchases = [bought(START + n, "abcdefghij"[min(n % 11, 9)], n, n) for n in range(40)]
    scores = rfm_scores(Snapshot.take(make_lake(tmp_path, purchases=purchases)), START + 30)
    expected = rfm.of_high_value(purchases, START + 30, threshold)
    assert of_high_value(scores, threshold).to_pylist() == sorted(expected)
