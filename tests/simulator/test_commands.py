"""`replay simulate` as a user meets it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from replay.cli import main


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(["simulate", *args])
    out, err = capsys.readouterr()
    code = exit_.value.code
    assert isinstance(code, int)
    return code, out, err


def test_it_makes_a_lake_and_says_what_is_in_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home = tmp_path / "lake"
    options = ("--clicks-per-day", "1000", "--days", "1", "--start", "2026-05-01", "--seed", "3")
    code, out, _ = run(
        capsys, "--scenario", "quiet", *options, "--home", str(home), "--currency", "EUR", "--json"
    )
    made = json.loads(out)
    assert code == 0
    assert (made["from"], made["to"]) == ("2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z")
    assert (made["currency"], made["seed"]) == ("EUR", 3)
    assert made["clicks"]["human"] > 500

    code, out, err = run(capsys, "--scenario", "quiet", *options, "--home", str(home))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "already has" in err


def test_another_currency_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    home = ("--home", str(tmp_path / "lake"))
    run(capsys, "--scenario", "quiet", "--clicks-per-day", "100", "--days", "1", *home)
    code, _, err = run(capsys, "--scenario", "quiet", *home, "--currency", "EUR")
    assert code == 2
    assert "is kept in USD, not EUR" in err


def test_an_unknown_scenario_makes_no_lake(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home = tmp_path / "lake"
    code, _, err = run(capsys, "--scenario", "quite", "--home", str(home))
    assert code == 2
    assert "Did you mean quiet?" in err
    assert not home.exists()


def test_without_a_production_no_torch_is_loaded(tmp_path: Path) -> None:
    script = (
        "import atexit, sys; from replay.cli import main;"
        "atexit.register(lambda: print('torch' in sys.modules, 'simulator.write' in sys.modules));"
        f"main(['simulate', '--scenario', 'quiet', '--scale', '0.01', '--home', '{tmp_path}/lake'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False True"


def test_too_few_clicks_to_train_on_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    few = ("--scenario", "bad_model", "--clicks-per-day", "100")
    code, out, err = run(capsys, *few, "--home", str(tmp_path / "lake"))
    assert (code, out) == (2, "")
    assert "scenario bad_model: a version can't be trained: " in err.splitlines()[-1]
    assert err.endswith("; give more --clicks-per-day, and another --home\n")


def test_the_list_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--list", "--json")
    assert code == 0
    assert {"quiet", "burst"} <= {row["name"] for row in json.loads(out)["scenarios"]}


def test_no_scenario_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys)
    assert code == 2
    assert "--list" in err
