"""Bad input to what labels, trains, calibrates, audits and promotes: one line, nothing written.

For input that is odd and no error see test_scoring_odd_input.
"""

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from replay.lake import Lake
from replay.production import models_folder
from scorer.versions import CALIBRATION, MANIFEST, sha256
from tests.disks import files
from tests.recovery.days import (
    AUDIT,
    CALIBRATE,
    CLICKS,
    DAY,
    SPAN,
    TRAIN,
    Damage,
    Line,
    aged,
    bought,
    day,
    instead,
    nothing,
    without,
)
from tests.recovery.typed import Replay

LABELS: Line = ("labels", *SPAN)
SHOW: Line = ("models", "show", "v1")
PROMOTE: Line = ("models", "promote", "v2", "--reason", "why")
POINTED: Sequence[Line] = (
    CALIBRATE,
    AUDIT,
    SHOW,
    PROMOTE,
    ("models", "rollback"),
    ("models", "history"),
    ("models", "at", "now"),
    ("models", "compare", "v1", "v2"),
    ("models", "list"),
)


@pytest.fixture
def refused(lake: Lake, replay: Replay) -> Callable[..., str]:
    """Return the one line that a command is refused with, nothing having been written."""

    def run(*line: str) -> str:
        before = files(lake.home)
        code, out, err = replay(*line)
        assert (code, out, err.count("\n")) == (2, "", 1), (out, err)
        assert err.startswith("replay: ")
        assert files(lake.home) == before
        stored = sorted(entry.name for entry in models_folder(lake).iterdir())
        assert [name for name in stored if name not in ("v1", "v2", "stray.txt")] == []
        return err

    return run


def unlogged(name: str) -> Damage:
    """Delete every commit file of a table; its data stay."""

    def damage(lake: Lake) -> None:
        for file in (lake.home / name / "_delta_log").iterdir():
            file.unlink()

    return damage


def emptied(name: str) -> Damage:
    """Cut a table's files off at their first byte."""

    def damage(lake: Lake) -> None:
        for file in (lake.home / name).rglob("*.parquet"):
            file.write_bytes(b"")

    return damage


def without_profiles_of_age(lake: Lake) -> None:
    """Exchange the users' profiles for others that hold no age."""
    instead("profiles_user", [{"key": "u0", "valid_from": DAY, "shoe_size": 44.5}])(lake)


def sliced_by_planet(lake: Lake) -> None:
    """Say of a version that it has thresholds by a column that clicks have not."""
    manifest = models_folder(lake) / "v1" / MANIFEST
    told = json.loads(manifest.read_bytes()) | {"slice_columns": ["planet"]}
    manifest.write_text(json.dumps(told))


def curve_of_no_slice(lake: Lake) -> None:
    """Write thresholds that match their digest and mean nothing."""
    folder = models_folder(lake) / "v1"
    points = {"thresholds": [1], "fpr": [0], "ivr": [0]}
    fit = {"clicks": 1, "purchases": 1, "fpr": 0, "a": 0, "b": 0, "c": 0, "points": points}
    data = json.dumps({"overall": 0.5, "curves": {"device=tv": fit}}).encode()
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["files"][CALIBRATION] = {"size": len(data), "sha256": sha256(data)}
    (folder / CALIBRATION).write_bytes(data)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def many_clicks_in_a_session(lake: Lake) -> None:
    """Make robotic sessions of hours in which people buy."""
    instead("clicks", day(session_id=lambda n: f"s{n // 40}"))(lake)
    with (lake.home / "replay.toml").open("a") as file:
        file.write("session_clicks = 5\n")


def stray(lake: Lake) -> None:
    (models_folder(lake) / "stray.txt").write_text("a note")


NO_AGE = "feature user_account_age_days is {} at the click of 2026-03-01T00:06:00.000000Z"
BAD: dict[str, tuple[Damage, Sequence[Line], str]] = {
    "no purchases": (instead("purchases", []), [TRAIN], "no purchasing click in the span"),
    "none held out": (instead("purchases", []), [CALIBRATE], "bring in the purchases of that time"),
    "early purchases": (instead("purchases", bought([1, 5])), [TRAIN], "the last fifth"),
    "one class": (instead("purchases", bought(range(CLICKS))), [TRAIN], "there is one class only"),
    "nan": (instead("profiles_user", aged(np.nan)), [TRAIN], NO_AGE.format("nan")),
    "infinite": (instead("profiles_user", aged(-np.inf)), [TRAIN], NO_AGE.format("-inf")),
    "no float32": (instead("profiles_user", aged(1e39)), [TRAIN], NO_AGE.format("nan")),
    "nan held out": (
        instead("profiles_user", aged(np.nan)),
        [CALIBRATE],
        "account_age_days is nan",
    ),
    "infinite held out": (instead("profiles_user", aged(np.inf)), [CALIBRATE], "_days is inf"),
    "no name": (
        nothing,
        [(*CALIBRATE[:-1], ""), (*TRAIN[:-1], "")],
        "'' can't be a version's name",
    ),
    "a name that exists": (nothing, [(*TRAIN[:-1], "v2")], "version 'v2' exists"),
    "a seed too large": (nothing, [(*TRAIN, "--seed", "9" * 30)], "a seed of 99999"),
    "a negative seed": (nothing, [(*TRAIN, "--seed", "-1")], "a seed of -1 can't be used"),
    "no budget": (nothing, [(*TRAIN, "--fpr-budget", "nan")], "an FPR budget of nan"),
    "too much coverage": (
        many_clicks_in_a_session,
        [(*CALIBRATE, "--min-coverage", "1", "--fpr-budget", "0.001")],
        "because of: overall (small slices). The smallest budget that would do is",
    ),
    "purchases damaged": (
        emptied("purchases"),
        [TRAIN, CALIBRATE, LABELS, AUDIT, ("run", *SPAN, "--model", "v1")],
        "a file of table purchases, cannot be read: Parquet file size is 0 bytes; restore it",
    ),
    "a profile column gone": (
        without_profiles_of_age,
        [TRAIN, CALIBRATE, AUDIT],
        " needs the column account_age_days of profiles_user, which this lake has not; bring",
    ),
    "a slice column that clicks have not": (
        sliced_by_planet,
        [CALIBRATE, AUDIT],
        "v1 has thresholds by planet, which is no column of clicks",
    ),
    "a column gone": (
        without("purchases", "amount_micros"),
        [TRAIN, CALIBRATE, LABELS],
        "a file of table purchases, cannot be read: it has no column amount_micros; restore it",
    ),
    "promotions without actions": (
        without("promotions", "action"),
        POINTED,
        "a file of table promotions, cannot be read: it has no column action; restore it",
    ),
    "promotions without a log": (
        unlogged("promotions"),
        [TRAIN, LABELS, *POINTED],
        "promotions cannot be read: Generic delta kernel error: No files in log segment; restore",
    ),
    "a curve of no slice": (
        curve_of_no_slice,
        [CALIBRATE, AUDIT, SHOW, ("models", "promote", "v1", "--reason", "why")],
        "the curve of 'device=tv', which has no threshold",
    ),
    "a file among versions": (stray, [("models", "show", "stray.txt")], "no model version named"),
}


@pytest.mark.parametrize("case", BAD)
def test_one_line_and_nothing_written(lake: Lake, refused: Callable[..., str], case: str) -> None:
    damage, lines, words = BAD[case]
    damage(lake)
    for line in lines:
        assert words in refused(*line)


def test_a_file_among_versions_is_none_of_them(lake: Lake, replay: Replay) -> None:
    stray(lake)
    code, out, err = replay("models", "list")
    assert (code, err) == (0, "")
    assert "stray" not in out
