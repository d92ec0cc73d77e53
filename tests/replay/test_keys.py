"""Keys that no window sees are forgotten: memory follows the window, and results do not change."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pyarrow as pa
import pytest

import replay.keys
from replay.keys import KeySpaces
from replay.reader import SliceRows
from replay.span import Span
from tests.lakes import click
from tests.oracles.engine import ask_case, assert_equal, expect
from tests.replay.test_features_oracle import check_crowds
from tests.strategies import BASES, MINUTE, SMALL, Case


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget as soon as more keys are dead than alive."""
    monkeypatch.setattr(replay.keys, "SPARE_KEYS", 0)


@pytest.mark.usefixtures("eager")
def test_forgetting_changes_no_feature() -> None:
    check_crowds(lambda case, spec, *_: ask_case(case, spec, slice_length=MINUTE))


@pytest.mark.usefixtures("eager")
def test_a_key_that_comes_back_starts_anew() -> None:
    """Users come once, long enough apart to be forgotten, then all again in reverse."""
    users = [f"u{number}" for number in range(40)]
    rows = [
        click(BASES[0] + number * MINUTE, seq=number, click_id=f"c{number}", user_id=user, ip=user)
        for number, user in enumerate([*users, *users[::-1]])
    ]
    end = BASES[0] + len(rows) * MINUTE
    profiles = {
        "user": [
            {
                "key": user,
                "valid_from": BASES[0] + turn * 7 * MINUTE,
                "account_age_days": 1.0 + turn,
                "is_staff": turn == 3,
            }
            for user in users[::5]
            for turn in range(6)
        ]
    }
    case = Case(tuple(rows), profiles, (tuple(range(len(rows))),), Span(BASES[0], end))
    last = replace(case, span=Span(end - MINUTE, end))
    for slice_length in (3 * MINUTE, 10 * MINUTE):
        assert_equal(ask_case(case, SMALL, slice_length), expect(case, SMALL))
        assert_equal(ask_case(last, SMALL, slice_length), expect(last, SMALL))


def run_all(tasks: Iterable[Callable[[], None]]) -> None:
    for task in tasks:
        task()


@pytest.mark.usefixtures("eager")
def test_the_number_of_keys_is_bounded_by_what_is_retained() -> None:
    spaces = KeySpaces([("user_id",), ("user_id", "ip")])
    for turn in range(50):
        names = pa.array([f"{turn}-{number}" for number in range(10)]).dictionary_encode()
        table = pa.table({"user_id": names, "ip": names})
        spaces.extend(SliceRows(table, table, None), run_all)
        spaces.drop(10 if turn else 0)
        spaces.forget()
        assert spaces[("user_id",)].size <= 30
        assert spaces[("user_id", "ip")].size <= 30
