"""Calibrating a stored version: same weights, new thresholds, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from replay.calibrating import held_out_clicks
from replay.cli import main
from replay.lake import Lake
from replay.production import open_versions
from replay.snapshot import Snapshot
from replay.span import Span, parse_time
from replay.training import open_registry, training_set
from scorer.manifest import WEIGHTS
from simulator.scenario import load_scenario
from simulator.write import simulate
from tests.lakes import click, make_lake
from tests.scorer.models import stored
from tests.versions import ignore

DAY = Span(parse_time("2026-03-01", 0), parse_time("2026-03-02", 0))
TRAIN = ("train", "--from", "2026-03-01", "--to", "2026-03-02", "--arch", "velocity")
LINE = ("models", "calibrate", "v1", "--fpr-budget", "0.1")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One quiet day, and a version trained on it."""
    made = Lake.create(tmp_path_factory.mktemp("quiet"), "USD")
    simulate(made, load_scenario("quiet", {"days": 1, "clicks_per_day": 4_000}))
    with pytest.raises(SystemExit):
        main([*TRAIN, "--name", "v1", "--home", str(made.home)])
    return made


def run(lake: Lake, capsys: pytest.CaptureFixture[str], *line: str) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([*line, "--home", str(lake.home)])
    assert isinstance(stop.value.code, int)
    return (stop.value.code, *capsys.readouterr())


def test_a_new_version_has_the_same_weights(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(lake, capsys, *LINE, "--name", "fair", "--json")
    assert code == 0
    shown, versions = json.loads(out), open_versions(lake)
    parent, made = versions.manifest("v1"), versions.verify("fair")
    assert made.parent == shown["parent"] == "v1"
    assert made.files[WEIGHTS] == parent.files[WEIGHTS]
    assert versions.contents("fair", WEIGHTS) == versions.contents("v1", WEIGHTS)
    assert (made.training, made.spec_digest) == (parent.training, parent.spec_digest)
    calibration = versions.calibration("fair")
    assert (calibration.fpr_budget, calibration.method) == (0.1, "quadratic")
    assert calibration.slices.keys() == calibration.curves.keys() != set()
    assert [o["name"] for o in shown["outcomes"]] == ["quadratic", "hull", "one threshold", "knee"]
    assert made.metrics["held_out_purchasing"] == parent.metrics["held_out_purchasing"]
    assert made.metrics["ivr"] == shown["outcomes"][0]["ivr"]


def test_show_draws_each_slices_curve(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(lake, capsys, *LINE, "--method", "hull")
    assert code == 0
    assert "version v1-c1, with the weights of v1" in out
    slices = open_versions(lake).calibration("v1-c1").slices
    assert f"{len(slices)} small slices of overall" in out
    code, out, _ = run(lake, capsys, "models", "show", "v1-c1")
    assert code == 0
    curves = open_versions(lake).calibration("v1-c1").curves
    assert out.count("▲") == len({fit.pooled_with or key for key, fit in curves.items()})


def test_the_clicks_are_those_that_training_held_out(lake: Lake) -> None:
    snapshot, version = Snapshot.take(lake), open_registry(lake).load("v1")
    held = held_out_clicks(snapshot, version, ignore)
    data = training_set(snapshot, version.spec, DAY, ignore)
    edge = data.held_out
    p = version.probabilities(data.facts[:, edge:], data.reals[:, edge:])
    assert np.array_equal(held.probabilities, p)
    assert np.array_equal(held.purchasing, data.purchasing[edge:])
    assert np.array_equal(held.robotic, data.robotic[edge:])
    assert len(held.slices) == len(p) == version.manifest.metrics["held_out_rows"]
    assert 0 < held.robotic.sum() < len(p)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--fpr-budget", "0"], "FPR budget of 0"),
        (["--fpr-budget", "1.5"], "FPR budget of 1.5"),
        (["--fpr-budget", "much"], "not a valid float"),
        (["--min-coverage", "2"], "minimum coverage of 2"),
        (["--min-coverage", "1", "--fpr-budget", "0.001"], "The smallest budget that would do is"),
        (["--name", "v1"], "version 'v1' exists"),
        (["--name", "latest"], "no version can be named 'latest'"),
        (["--method", "magic"], "is not one of"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    lake: Lake, capsys: pytest.CaptureFixture[str], changes: list[str], words: str
) -> None:
    before = open_versions(lake).names()
    code, out, err = run(lake, capsys, *LINE, *changes)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err
    assert open_versions(lake).names() == before


def test_unknown_versions_and_versions_of_unknown_making(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = make_lake(tmp_path, [click(DAY.start)])
    stored(open_registry(bare), "v1", "velocity")
    code, out, err = run(bare, capsys, "models", "calibrate", "v11", "--fpr-budget", "0.1")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "Did you mean v1" in err
    code, out, err = run(bare, capsys, *LINE)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "does not say what it was trained on" in err
