"""Odd input to what trains, calibrates and audits: a version that can be used, or none at all."""

import json
import signal
from collections.abc import Iterator

import pytest
from safetensors.torch import load

from replay.cli import INTERRUPTED
from replay.lake import Lake
from replay.production import open_versions
from scorer import storing
from scorer.manifest import WEIGHTS
from tests.disks import full_disk
from tests.recovery.days import (
    AUDIT,
    CALIBRATE,
    CLICKS,
    TRAIN,
    Damage,
    Line,
    aged,
    day,
    instead,
    nothing,
)
from tests.recovery.typed import Replay

ODD: dict[str, tuple[Damage, Line]] = {
    "a slice without purchases": (nothing, ()),
    "constant features": (
        instead("clicks", day(device=lambda _: "tv", user_id=lambda _: None, ip=lambda _: None)),
        (),
    ),
    "a slice for every click": (instead("clicks", day(device=lambda n: f"d{n}")), ()),
    "no sessions": (instead("clicks", day(session_id=lambda _: None)), ("--min-coverage", "1")),
    "the smallest budget": (nothing, ("--fpr-budget", "1e-300")),
    "the whole budget": (nothing, ("--fpr-budget", "1", "--method", "hull")),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_odd_makes_a_version_that_can_be_used(
    lake: Lake, replay: Replay, case: str
) -> None:
    damage, options = ODD[case]
    damage(lake)
    assert replay(*TRAIN)[0] == 0
    code, _, err = replay("models", "calibrate", "new", "--fpr-budget", "0.3", *options)
    assert code == 0, err
    versions = open_versions(lake)
    assert all(
        values.isfinite().all() for values in load(versions.contents("new", WEIGHTS)).values()
    )
    assert versions.calibration("new-c1").slices
    for line in (("models", "show", "new-c1"), (*AUDIT[:-1], "new,new-c1")):
        code, _, err = replay(*line)
        assert (code, err) == (0, "")


def test_what_no_number_is_is_undecided(lake: Lake, replay: Replay) -> None:
    """An audit, as a run, says so of the clicks that it can't score."""
    instead("profiles_user", aged(1e39))(lake)
    code, out, err = replay(*AUDIT, "--json")
    assert (code, err) == (0, "")
    metrics = json.loads(out)["audit"]["overall"]["metrics"]["v1"]
    assert metrics["decision_rate"]["part"] == CLICKS - CLICKS // 40


@pytest.mark.parametrize("line", [TRAIN, CALIBRATE], ids=["train", "calibrate"])
@pytest.mark.parametrize("size", [0, 1_000])
def test_a_full_disk_leaves_no_version(lake: Lake, replay: Replay, line: Line, size: int) -> None:
    before = sorted(lake.home.rglob("*"))
    with full_disk(size):
        code, out, err = replay(*line)
    assert (code, out) == (2, "")
    assert "cannot be written: a file-size limit was reached" in err.splitlines()[-1]
    assert sorted(lake.home.rglob("*")) == before
    assert replay(*line)[0] == 0


@pytest.fixture
def own_handler() -> Iterator[None]:
    """`main` answers the first Ctrl-C of a process and leaves the next to the system."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("own_handler")
@pytest.mark.parametrize("line", [TRAIN, CALIBRATE], ids=["train", "calibrate"])
def test_ctrl_c_leaves_no_version(
    lake: Lake, replay: Replay, monkeypatch: pytest.MonkeyPatch, line: Line
) -> None:
    before = sorted(lake.home.rglob("*"))
    monkeypatch.setattr(storing, "_sync", lambda _: signal.raise_signal(signal.SIGINT))
    code, out, err = replay(*line)
    assert (code, out) == (130, "")
    assert err.endswith(f"\nreplay: {INTERRUPTED}\n")
    assert sorted(lake.home.rglob("*")) == before
