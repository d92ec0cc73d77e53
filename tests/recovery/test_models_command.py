"""`replay models list`, `show` and `promote`; for the others see test_pointer_commands."""

import json
from pathlib import Path
from typing import Protocol

import pytest

from replay.cli import main
from replay.lake import Lake
from replay.training import open_registry
from tests.lakes import make_lake
from tests.scorer.models import stored


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    made = make_lake(tmp_path / "lake")
    for name in ("v1", "v2"):
        stored(open_registry(made), name, "velocity")
    monkeypatch.setenv("REPLAY_HOME", str(made.home))
    return made


class Replay(Protocol):
    """Runs a command; returns its exit code, stdout and stderr."""

    def __call__(self, *line: str) -> tuple[int, str, str]: ...


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str]) -> Replay:
    def run(*line: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(line)
        assert isinstance(stop.value.code, int)
        return (stop.value.code, *capsys.readouterr())

    return run


def test_promoting_moves_the_names(lake: Lake, replay: Replay) -> None:
    for name in ("v1", "v2"):
        code, out, _ = replay("models", "promote", name, "--reason", "a test", "--by", "me")
        assert code == 0
    assert out.startswith("production: v1 → v2, since 2")
    _, out, _ = replay("models", "list", "--json")
    rows = json.loads(out)["versions"]
    assert [(r["version"], r["stands_as"]) for r in rows] == [
        ("v1", "previous"),
        ("v2", "production"),
    ]
    _, out, _ = replay("models", "show", "production", "--json")
    shown = json.loads(out)
    assert (shown["name"], shown["calibration"]["overall"]) == ("v2", 0.5)
    assert shown["digest"] == open_registry(lake).load("v2").digest


def test_tables_hold_every_version_and_digest(lake: Lake, replay: Replay) -> None:
    code, out, err = replay("models", "list")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["version", "v1", "v2"]
    code, out, _ = replay("models", "show", "v1")
    version = open_registry(lake).load("v1")
    assert code == 0
    for digest in (version.digest, version.weights_digest, version.spec.digest):
        assert digest in out


def test_a_damaged_version_is_listed_with_its_problem(lake: Lake, replay: Replay) -> None:
    manifest = lake.home / "models" / "v2" / "manifest.json"
    manifest.write_text("{")
    code, out, err = replay("models", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["version", "v2", "v1"]
    assert err.startswith(f"warning: {manifest}")
    code, out, err = replay("models", "show", "v2")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(manifest) in err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["show", "v11"], "no model version named 'v11'. Did you mean v1"),
        (["show", "production"], "no version is 'production' here yet"),
        (["promote", "v1"], "Missing option '--reason'"),
        (["promote", "v1", "--reason", " "], "needs a reason"),
    ],
)
@pytest.mark.usefixtures("lake")
def test_bad_input_is_one_line(replay: Replay, line: list[str], words: str) -> None:
    code, out, err = replay("models", *line)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err
