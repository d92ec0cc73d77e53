"""One click's whole story."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from replay.cli import main
from replay.explain import tell
from replay.lake import Lake
from replay.span import now_micros
from scorer.errors import BadInput
from tests.lakes import add_rows, click, make_lake
from tests.versions import BOTH, START, at_least, burst, logged, verdict

PRICE = 250_000


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """The second of two clicks was decided by `a` on a count of 5, and corrected twice."""
    made = make_lake(tmp_path)
    a = at_least(made, "a", 3)
    at_least(made, "b", 2, spec=BOTH)
    rows = burst(3)
    decided = {**logged(rows[1], a, "invalid", [5]), "probability": 0.75, "threshold": 0.5}
    add_rows(made, "decisions", [logged(rows[0], a, "undecided"), decided])
    said = [verdict(rows[1], "invalid", 8, "second"), verdict(rows[1], "valid", 7, "first")]
    add_rows(made, "verdicts", said)
    bought = {"purchase_id": "p", "ts": START + 9, "click_id": "u1"}
    add_rows(made, "purchases", [bought])
    promotion = {"at": START, "model_version": "b", "action": "promote", "by": "me"}
    add_rows(made, "promotions", [{**promotion, "reason": "r", "metrics": "{}"}])
    add_rows(made, "clicks", rows)
    return made


def test_logged_and_recomputed_features_side_by_side(lake: Lake) -> None:
    story = tell(lake, "u1")
    (feature,) = story.features
    assert (feature.name, feature.logged, feature.recomputed) == ("clicks_user_1h", 5, 2)
    assert feature.differs


def test_what_each_version_says_of_the_log_and_its_part(lake: Lake) -> None:
    opinions = tell(lake, "u1").opinions
    assert [(o.version, o.role, o.decision) for o in opinions] == [
        ("a", "decided", "valid"),
        ("b", "production", "invalid"),
    ]
    assert opinions[0].threshold == 0.5
    assert opinions[0].slice == "device=desktop,logged_in=true"


def test_verdicts_in_order_and_the_last_one_stands(lake: Lake) -> None:
    story = tell(lake, "u1")
    assert [v["run_id"] for v in story.verdicts] == ["first", "second"]
    assert (story.effective, story.billed_micros) == ("invalid", 0)
    assert [p["purchase_id"] for p in story.purchases] == ["p"]


@pytest.mark.parametrize(
    ("click_id", "decided", "effective"),
    [("u0", "undecided", "undecided"), ("u2", None, None)],
)
def test_a_click_without_a_decision_is_billed(
    lake: Lake, click_id: str, decided: str | None, effective: str | None
) -> None:
    story = tell(lake, click_id)
    assert (story.decision and story.decision["decision"]) == decided
    assert (story.effective, story.billed_micros) == (effective, PRICE)
    assert all(value.logged is None and not value.differs for value in story.features)


@pytest.mark.parametrize(
    ("facts", "reals"), [(None, None), ([5], None), ([5, 1, 1], []), (None, [3.0]), ([], [5.0])]
)
def test_features_of_another_shape_than_the_spec_are_not_shown_as_logged(
    lake: Lake, facts: list[int] | None, reals: list[float] | None
) -> None:
    row = click(START + 50, 0, "odd", user_id="v")
    at_least(lake, "c", 2, spec=BOTH)
    odd: dict[str, Any] = logged(row, at_least(lake, "d", 2, spec=BOTH), "valid", [1, 1, 1], [3.0])
    add_rows(lake, "decisions", [{**odd, "facts": facts, "reals": reals}])
    add_rows(lake, "clicks", [row])
    assert [value.logged for value in tell(lake, "odd").features] == [None] * 4


def test_a_decision_of_a_version_that_is_not_stored(lake: Lake) -> None:
    row = click(START + 50, 0, "odd", user_id="v")
    add_rows(lake, "decisions", [logged(row, "gone", "invalid")])
    add_rows(lake, "clicks", [row])
    story = tell(lake, "odd")
    assert [(o.version, o.role) for o in story.opinions] == [("b", "production"), ("a", "")]
    assert story.billed_micros == 0


def test_a_lake_without_versions(tmp_path: Path) -> None:
    story = tell(make_lake(tmp_path, burst(1)), "u0")
    assert (story.features, story.opinions, story.effective) == ((), (), None)


def test_as_of(tmp_path: Path) -> None:
    lake = make_lake(tmp_path, burst(2))
    at_least(lake, "a", 3)
    time.sleep(0.01)  # a commit's time is in milliseconds
    then = now_micros()
    time.sleep(0.01)
    add_rows(lake, "clicks", [click(START - 1, 0, "late", user_id="u")])
    assert tell(lake, "u1").features[0].recomputed == 3
    assert tell(lake, "u1", then).features[0].recomputed == 2
    with pytest.raises(BadInput, match="no click 'late'"):
        tell(lake, "late", then)


def test_ties_are_told_apart(tmp_path: Path) -> None:
    """Clicks of one µs: each has its own story."""
    lake = make_lake(tmp_path, [click(START, k, f"{k}", user_id="u") for k in range(3)])
    at_least(lake, "a", 3)
    assert [tell(lake, f"{k}").features[0].recomputed for k in range(3)] == [1, 2, 3]


def test_the_command(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["explain", "u1", "--home", str(lake.home), "--json"])
    assert stop.value.code == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["effective"], document["billed_micros"]) == ("invalid", 0)
    assert document["features"] == [{"name": "clicks_user_1h", "logged": 5, "recomputed": 2}]
    with pytest.raises(SystemExit):
        main(["explain", "u1", "--home", str(lake.home)])
    text = capsys.readouterr().out
    assert "production decided invalid (model): a gave 0.750000 against the threshold 0.5" in text
    assert "verdict of run second" in text
    assert "as it stands: invalid, billed 0.00 USD" in text
