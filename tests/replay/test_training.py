"""Training from a lake: what the version says of itself, and what is refused."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from replay.cli import main
from replay.lake import Lake
from replay.production import open_versions
from replay.snapshot import Snapshot
from replay.span import Span, parse_time
from replay.training import open_registry, training_set
from scorer.spec import load_spec
from scorer.training import Settings
from simulator.scenario import load_scenario
from simulator.write import simulate
from tests.lakes import add_rows, click, make_lake

SPEC = load_spec("default")
DAY = Span(parse_time("2026-03-01", 0), parse_time("2026-03-02", 0))
MINUTE = 60_000_000
LINE = ("train", "--from", "2026-03-01", "--to", "2026-03-02", "--arch", "velocity")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One quiet day."""
    made = Lake.create(tmp_path_factory.mktemp("quiet"), "USD")
    simulate(made, load_scenario("quiet", {"days": 1, "clicks_per_day": 4_000}))
    return made


def run(lake: Lake, capsys: pytest.CaptureFixture[str], *line: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([*line, "--home", str(lake.home)])
    assert isinstance(stop.value.code, int)
    return (stop.value.code, *capsys.readouterr())


def silent(units: int) -> None:
    """Hear of progress and say nothing."""


def test_a_version_says_what_it_was_made_of(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(lake, capsys, *LINE, "--name", "v1", "--json", "--fpr-budget", "0.1")
    assert code == 0
    shown, manifest = json.loads(out), open_versions(lake).verify("v1")
    assert shown["digest"] == open_versions(lake).stored("v1").digest
    training = manifest.training
    assert training is not None
    assert (training.start.isoformat(), training.end.isoformat()) == (
        "2026-03-01T00:00:00+00:00",
        "2026-03-02T00:00:00+00:00",
    )
    assert training.table_versions == Snapshot.take(lake).versions
    data = training_set(Snapshot.take(lake), SPEC, DAY, silent)
    assert manifest.metrics["rows"] == data.facts.shape[1] == data.reals.shape[1]
    assert manifest.metrics["humans"] == data.human.sum() > 50
    fpr = manifest.metrics["fpr"]
    assert fpr is not None
    assert 0 < fpr <= 0.1
    assert err.count("epoch ") == training.epochs


def test_the_summary_says_what_few_labels_cannot_show(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(lake, capsys, *LINE, "--name", "v2")
    assert code == 0
    assert "held-out purchasing clicks can't show an FPR of 1.00%" in err
    assert out.split()[:3] == ["version", "v2", "(velocity)"]


def test_the_same_line_again_gives_the_same_weights(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        assert run(lake, capsys, *LINE, "--name", name, "--seed", "5")[0] == 0
    first, second = (open_versions(lake).manifest(name).files for name in ("a", "b"))
    assert first == second


def test_clicks_after_the_span_change_nothing_in_it(lake: Lake) -> None:
    half = Span(DAY.start, DAY.start + DAY.length // 2)
    snapshot = Snapshot.take(lake)
    whole, part = (training_set(snapshot, SPEC, s, silent) for s in (DAY, half))
    rows = part.facts.shape[1]
    assert np.array_equal(part.facts, whole.facts[:, :rows])
    assert np.array_equal(part.reals, whole.reals[:, :rows])
    assert part.purchasing.sum() < whole.purchasing[:rows].sum()  # later ones are not yet known


def test_weights_are_told_of(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(lake, capsys, *LINE, "--name", "weighted")
    assert code == 0
    assert re.search(
        r"weights +\d+ cells, worth [\d,]+ clicks without weights; \d+ clicks held", out
    )
    assert "epoch 1 of at most 40: loss " in err
    training = open_versions(lake).manifest("weighted").training
    assert training is not None
    assert training.weight_cap == Settings().weight_cap


def test_without_weights(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(lake, capsys, *LINE, "--name", "plain", "--no-weights")
    assert code == 0
    assert re.search(r"weights +by label alone, worth [\d,]+ clicks without weights *\n", out)
    training = open_versions(lake).manifest("plain").training
    assert training is not None
    assert training.weight_cap is None


def test_the_lakes_weight_cap(
    tmp_path: Path, lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(lake.home, tmp_path / "capped")
    with (tmp_path / "capped" / "replay.toml").open("a") as file:
        file.write("\n[train]\nweight_cap = 1.5\n")
    capped = Lake.open(tmp_path / "capped")
    code, out, _ = run(capped, capsys, *LINE, "--name", "capped", "--json")
    assert code == 0
    shown = json.loads(out)
    assert shown["training"]["weight_cap"] == 1.5
    assert shown["metrics"]["capped_clicks"] > 0


def test_a_deep_and_cross_network(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(lake, capsys, *LINE, "--arch", "dcn", "--name", "crossed", "--json")
    assert code == 0
    assert json.loads(out)["architecture"] == "dcn"
    version = open_registry(lake).load("crossed")
    data = training_set(Snapshot.take(lake), SPEC, DAY, silent)
    invalid = version.probabilities(data.facts, data.reals) >= version.calibration.overall
    held_out = invalid[data.held_out :]
    assert version.manifest.metrics["ivr"] == held_out.mean()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--name", "latest"], "no version can be named 'latest'"),
        (["--name", "taken"], "version 'taken' exists"),
        (["--name", "w", "--fpr-budget", "0"], "FPR budget of 0"),
        (["--name", "w", "--fpr-budget", "1.5"], "FPR budget of 1.5"),
        (["--name", "w", "--fpr-budget", "much"], "not a valid float"),
        (["--name", "w", "--from", "2026-03-02"], "is not before --to"),
        (["--name", "w", "--from", "soon"], "'soon' is no time"),
        (["--name", "w", "--to", "2026-03-09", "--from", "2026-03-08"], "the log covers [2026-03"),
        (["--name", "w", "--spec", "defualt"], "Did you mean default"),
        (["--name", "w", "--arch", "velocty"], "velocity"),
        (["--name", "w", "--as-of", "2001-01-01"], "before the lake's first clicks"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    lake: Lake, capsys: pytest.CaptureFixture[str], changes: list[str], words: str
) -> None:
    (lake.home / "models" / "taken").mkdir(parents=True, exist_ok=True)
    code, out, err = run(lake, capsys, *LINE, *changes)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err
    assert "w" not in open_versions(lake).names()


def test_a_log_without_purchases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = make_lake(tmp_path, [click(DAY.start + n * MINUTE) for n in range(20)])
    code, _, err = run(bare, capsys, *LINE, "--name", "w")
    assert (code, err.count("\n")) == (2, 1)
    assert "no purchasing click in the span" in err
    assert not (bare.home / "models").exists()


def test_a_profile_value_that_is_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = make_lake(tmp_path, [click(DAY.start + n * MINUTE) for n in range(20)])
    row = {"key": "u1", "valid_from": DAY.start, "account_age_days": float("inf")}
    add_rows(bare, "profiles_user", [row])
    code, _, err = run(bare, capsys, *LINE, "--name", "w")
    assert (code, err.count("\n")) == (2, 1)
    assert "user_account_age_days is inf at the click of 2026-03-01T00:00:00" in err
