"""A check can fail: a good version passes, and each bad one breaks the bound that is about it."""

from pathlib import Path

import pytest

from tests.recovery.check.trained import GOOD, MISTYPED, SLICE, UNLABELLED, ZEROED, lake_of
from tests.recovery.check.worlds import REPAIR, scenario_file
from tests.recovery.typed import Replay


def check(replay: Replay, folder: Path, model: str) -> tuple[int, list[str]]:
    """Check a version; return the exit code and the breaches."""
    files = (scenario_file(folder), scenario_file(folder, REPAIR, name="down"))
    chosen = [word for file in files for word in ("--scenario", str(file))]
    code, out, err = replay("check", "--model", model, "--home", str(lake_of(model).home), *chosen)
    assert model in out
    return code, [line for line in err.splitlines() if line.startswith("broken: ")]


def test_a_good_version_passes(replay: Replay, tmp_path: Path) -> None:
    assert check(replay, tmp_path, GOOD) == (0, [])


@pytest.mark.parametrize(
    ("model", "figure", "bound"),
    [
        (
            UNLABELLED,
            "slice_human_fpr",
            "device=desktop,logged_in=false), and must be at most 5.00%",
        ),
        (MISTYPED, "slice_human_fpr", f"{SLICE}), and must be at most 5.00%"),
        (ZEROED, "detection.rival", "clicks of rival robots), and must be at least 50.00%"),
    ],
)
def test_a_bad_version_breaks_the_bound_that_is_about_it(
    replay: Replay, tmp_path: Path, model: str, figure: str, bound: str
) -> None:
    code, broken = check(replay, tmp_path, model)
    assert code == 1
    [line] = [line for line in broken if line.startswith(f"broken: small (seed 5): {figure} is ")]
    assert line.endswith(bound)
