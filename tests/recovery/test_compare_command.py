"""`replay models compare`, as it is typed."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from replay.lake import Lake
from replay.training import open_registry
from scorer.calibration import Calibration
from scorer.manifest import TrainingRecord
from scorer.models import build
from tests.lakes import make_lake
from tests.recovery.typed import Replay, typed
from tests.versions import BOTH, USER

FIRST = TrainingRecord(
    start=datetime(2026, 3, 1, tzinfo=UTC),
    end=datetime(2026, 3, 2, tzinfo=UTC),
    seed=7,
    device="cpu",
    epochs=3,
)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """v1 was trained; v2 has another spec and slices, and v1 for its parent."""
    made = make_lake(tmp_path / "lake")
    registry = open_registry(made)
    registry.write(
        "v1",
        build("logistic", USER),
        USER,
        Calibration(overall=0.5),
        training=FIRST,
        metrics={"rows": 1_000, "fpr": 0.01, "fpr_low": 0.005, "fpr_high": 0.02},
    )
    registry.write(
        "v2",
        build("logistic", BOTH),
        BOTH,
        Calibration(overall=0.5, slices={"device=tv": 0.75}, fpr_budget=0.01),
        metrics={"fpr": None, "fpr_low": 0.0, "fpr_high": 1.0},
        parent="v1",
    )
    monkeypatch.setenv("REPLAY_HOME", str(made.home))
    return made


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str]) -> Replay:
    return typed(capsys)


def shown(out: str) -> dict[str, list[str]]:
    """Return the rows of the tables by their first cell."""
    cells = [[cell for cell in line.split("   ") if cell.strip()] for line in out.splitlines()]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in cells if row}


@pytest.mark.usefixtures("lake")
def test_two_versions_side_by_side(replay: Replay) -> None:
    code, out, err = replay("models", "compare", "v1", "latest")
    assert (code, err) == (0, "")
    rows = shown(out)
    assert rows["architecture"] == ["logistic", "logistic"]
    assert rows["parent"] == ["-", "v1", "≠"]
    assert rows["trained from"] == ["2026-03-01 00:00:00 UTC", "-", "≠"]
    assert rows["trained to"] == ["2026-03-02 00:00:00 UTC", "-", "≠"]
    assert rows["fitted"] == ["3 epochs, seed 7", "-", "≠"]
    assert rows["FPR budget"] == ["-", "1.00%", "≠"]
    assert rows["weights"] == ["its own", "its own", "≠"]
    assert rows["features"][-1] == "≠"
    assert rows["clicks_ip_1h"] == ["-", "clicks of ip, 1h in steps of 1m"]
    assert rows["user_age"] == ["-", "profile, 7.0 where unknown"]
    assert "clicks_user_1h" not in rows
    assert rows["fpr"] == ["1.00% [0.50%, 2.00%]", "unknown"]
    assert rows["rows"] == ["1,000", "-"]
    assert rows["overall"] == ["0.500000", "0.500000", "+0.000000"]
    assert rows["device=tv"] == ["0.500000*", "0.750000", "+0.250000"]


@pytest.mark.usefixtures("lake")
def test_a_comparison_as_data(replay: Replay) -> None:
    code, out, err = replay("models", "compare", "v1", "v2", "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert [said[side]["name"] for side in ("first", "second")] == ["v1", "v2"]
    assert said["first"]["training"]["start"] == "2026-03-01T00:00:00Z"
    assert said["second"]["parent"] == "v1"
    assert (said["same_weights"], said["shared_features"]) == (False, 1)
    assert {
        "name": "clicks_ip_1h",
        "first": None,
        "second": "clicks of ip, 1h in steps of 1m",
    } in said["features"]
    assert said["metrics"][1] == {
        "name": "fpr",
        "first": {"value": 0.01, "low": 0.005, "high": 0.02},
        "second": {"value": None, "low": 0.0, "high": 1.0},
    }
    assert said["thresholds"][1] == {
        "name": "device=tv",
        "first": 0.5,
        "second": 0.75,
        "first_own": False,
        "second_own": True,
    }


@pytest.mark.usefixtures("lake")
def test_a_version_beside_itself_differs_in_nothing(replay: Replay) -> None:
    code, out, _ = replay("models", "compare", "v2", "v2")
    assert code == 0
    assert "≠" not in out
    assert "features that differ" not in out


def test_what_cannot_be_compared_is_one_line(lake: Lake, replay: Replay) -> None:
    def refused(*names: str) -> str:
        code, out, err = replay("models", "compare", *names)
        assert (code, out, err.count("\n")) == (2, "", 1)
        return err

    assert "no model version named 'v11'. Did you mean v1" in refused("v1", "v11")
    assert "no version is 'production' here yet" in refused("production", "v1")
    assert "Missing argument 'SECOND'" in refused("v1")
    calibration = lake.home / "models" / "v2" / "calibration.json"
    calibration.write_text("{}")
    assert str(calibration) in refused("v1", "v2")
