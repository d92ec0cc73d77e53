"""`replay models import`, as it is typed; and what every command makes of what was imported."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from onnx import helper

from replay import model_import
from replay.lake import Lake
from replay.production import models_folder
from scorer.models.logistic import Logistic
from scorer.registry import Registry
from scorer.scoring import Scorer
from tests.lakes import add_rows, make_lake
from tests.recovery.typed import Replay, typed
from tests.scorer.foreign.graphs import exported, two_layers
from tests.versions import BOTH, START, at_least, burst, logged, run

SPEC_TOML = """
[[counts]]
entity = "ip"
windows = ["1h@1m"]
[[counts]]
entity = "user_id"
windows = ["1h@1m"]
[[profiles]]
table = "user"
column = "age"
default = 7.0
"""
SLICES = {"device=desktop,logged_in=true": 0.5, "device=tv,logged_in=true": 0.99}


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Four clicks of a user on a desktop and on a tv; version `b` of spec BOTH decides them."""
    clicks = [*burst(4), *burst(4, "v", START + 7_200_000_000, device="tv", ip="10.0.0.2")]
    made = make_lake(tmp_path / "lake", clicks)
    version = at_least(made, "b", 2, spec=BOTH, threshold=0.5, slices=SLICES)
    facts = {row["click_id"]: [k % 4 + 1, k % 4 + 1, 1] for k, row in enumerate(clicks)}
    rows = [logged(c, version, "valid", facts[c["click_id"]], [7.0]) for c in clicks]
    add_rows(made, "decisions", rows)
    monkeypatch.setenv("REPLAY_HOME", str(made.home))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.toml").write_text(SPEC_TOML)
    slices = "".join(f'"{key}" = {value}\n' for key, value in SLICES.items())
    (tmp_path / "t.toml").write_text(f"overall = 0.5\n[slices]\n{slices}")
    module = version.scorer
    assert isinstance(module, Scorer)
    logistic = module._modules["cpu"]
    assert isinstance(logistic, Logistic)
    (tmp_path / "m.onnx").write_bytes(exported(logistic, BOTH).SerializeToString())
    return made


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str]) -> Replay:
    return typed(capsys)


LINE = {"FILE": "m.onnx", "--spec": "spec.toml", "--thresholds": "t.toml", "--name": "x"}


def line(**changes: str) -> list[str]:
    options = {
        **LINE,
        **{f"--{name}" if name != "FILE" else name: v for name, v in changes.items()},
    }
    file = options.pop("FILE")
    return ["models", "import", file, *(word for pair in options.items() for word in pair)]


def sample(lake: Lake, path: Path, **changes: Any) -> Path:  # noqa: ANN401
    """Write what version `b` gives to some clicks; a click has the same count by ip and by user."""
    facts = np.array([np.arange(1, 9), np.arange(1, 9), np.ones(8)], np.int32)
    reals = np.full((1, 8), 7.0, np.float32)
    p = Registry(models_folder(lake)).load("b").probabilities(facts, reals)
    columns = {"clicks_ip_1h": facts[0], "clicks_user_1h": facts[1]}
    columns |= {"logged_in": facts[2], "user_age": reals[0]}
    pa.csv.write_csv(pa.table({**columns, "probability": p.astype(np.float64), **changes}), path)
    return path


def refused(lake: Lake, replay: Replay, *words: str) -> str:
    """Type a command that must say one line, exit with 2 and write nothing."""
    before = sorted(models_folder(lake).rglob("*"))
    code, out, err = replay(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sorted(models_folder(lake).rglob("*")) == before
    return err


def test_an_imported_version_decides_as_the_original(
    lake: Lake, replay: Replay, tmp_path: Path
) -> None:
    held = sample(lake, tmp_path / "s.csv")
    code, out, err = replay(*line(sample=str(held)))
    assert (code, err) == (0, "")
    assert "8 rows of s.csv, at most " in out
    ours, theirs = run(lake, "x"), run(lake, "b")
    assert ours.by_click("decisions", "decision") == theirs.by_click("decisions", "decision")
    assert set(ours.by_click("decisions", "decision").values()) == {"valid", "invalid"}
    assert ours.by_click("decisions", "threshold") == theirs.by_click("decisions", "threshold")
    for name in ("kind", "adjustment_micros", "cause"):
        assert ours.by_click("changes", name) == theirs.by_click("changes", name)
    assert ours.manifest.model_version == "x"
    again = run(lake, "x")
    assert again.manifest.digests == ours.manifest.digests


def test_what_an_import_prints(lake: Lake, replay: Replay, tmp_path: Path) -> None:
    held = sample(lake, tmp_path / "s.csv")
    code, out, err = replay(*line(sample=str(held)), "--json")
    said = json.loads(out)
    assert (code, err) == (0, "")
    assert said["digest"] == Registry(models_folder(lake)).load("x").digest
    assert (said["name"], said["architecture"], said["training"]) == ("x", "onnx", None)
    assert (said["imported"]["file"], said["imported"]["output"]) == ("m.onnx", "probability")
    assert said["imported"]["sample"]["rows"] == 8
    code, out, err = replay(*line(name="y"))
    assert code == 0
    assert err.count("\n") == 1
    assert err.startswith("warning: without --sample nothing shows that the graph reads")
    assert "held to none: its outputs are unchecked" in out


def test_a_logit(lake: Lake, replay: Replay, tmp_path: Path) -> None:
    data = two_layers(4, logit=True).SerializeToString()
    (tmp_path / "logit.onnx").write_bytes(data)
    assert "if it gives the logit, say --output logit" in refused(
        lake, replay, *line(FILE="logit.onnx")
    )
    code, _, _ = replay(*line(FILE="logit.onnx", output="logit"))
    assert code == 0
    assert run(lake, "x").summary.decided == 8


def test_every_command_takes_an_imported_version(lake: Lake, replay: Replay) -> None:
    assert replay(*line())[0] == 0
    span = ["--from", "2026-03-01T12:00", "--to", "2026-03-01T15:00"]
    assert replay("run", *span, "--model", "x", "--device", "cpu")[0] == 0
    code, out, _ = replay("audit", *span, "--models", "x,b", "--out", "audit", "--json")
    assert code == 0
    digests = json.loads(Path("audit/manifest.json").read_text())
    assert "models/x/model.onnx" in json.dumps(digests)
    for words in (["show", "x"], ["list"], ["compare", "x", "b"], ["compare", "b", "x", "--json"]):
        code, out, err = replay("models", *words)
        assert (code, err) == (0, "")
        assert "onnx" in out
    assert "imported" in replay("models", "show", "x")[1]
    assert replay("models", "promote", "b", "--reason", "why")[0] == 0
    assert replay("models", "promote", "x", "--reason", "why")[0] == 0
    code, out, _ = replay("explain", "u3", "--json")
    assert code == 0
    roles = {each["version"]: each["decision"] for each in json.loads(out)["opinions"]}
    assert roles["x"] == roles["b"] == "invalid"
    assert replay("models", "rollback")[0] == 0
    assert replay("status")[0] == 0
    text = refused(lake, replay, "models", "calibrate", "x", "--fpr-budget", "0.01")
    assert "import it again with a threshold for each slice" in text


def test_production_s_own_graph_is_a_cause_s_witness(lake: Lake, replay: Replay) -> None:
    """What a graph logged is computed again by the graph, to tell why a decision flips."""
    assert replay(*line())[0] == 0
    registry = Registry(models_folder(lake))
    at_least(lake, "never", 99, spec=BOTH)
    later = burst(4, "w", START + 14_400_000_000, ip="10.0.0.3")
    words = ["valid", "invalid", "invalid", "invalid"]
    rows = [
        logged(c, registry.load("x"), word, [k + 1, k + 1, 1], [7.0])
        for k, (c, word) in enumerate(zip(later, words, strict=True))
    ]
    add_rows(lake, "decisions", rows)
    add_rows(lake, "clicks", later)
    causes = run(lake, "never").by_click("changes", "cause")
    assert causes == {"w1": "model", "w2": "model", "w3": "model"}


def test_a_changed_graph_is_refused_by_name(lake: Lake, replay: Replay) -> None:
    assert replay(*line())[0] == 0
    path = models_folder(lake) / "x" / "model.onnx"
    path.write_bytes(path.read_bytes().replace(b"Sigmoid", b"Softsig"))
    span = ["--from", "2026-03-01T12:00", "--to", "2026-03-01T15:00"]
    for words in (
        ["run", *span, "--model", "x"],
        ["models", "show", "x"],
        ["models", "promote", "x", "--reason", "why"],
    ):
        assert "x/model.onnx does not match the digest" in refused(lake, replay, *words)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"FILE": "absent.onnx"}, "absent.onnx: can't be read: No such file"),
        ({"FILE": "."}, ".: can't be read: Is a directory"),
        ({"FILE": "t.toml"}, "t.toml: no ONNX file"),
        ({"spec": "defualt"}, "no spec named 'defualt' and no such file. Did you mean default?"),
        ({"spec": "default"}, "it must take one float32 tensor [N, 30], the spec's 30 features"),
        ({"thresholds": "absent.toml"}, "absent.toml: can't be read: No such file"),
        ({"thresholds": "m.onnx"}, "m.onnx: not TOML"),
        ({"thresholds": "spec.toml"}, "spec.toml: overall: Field required"),
        ({"name": "b"}, "version 'b' exists and versions never change"),
        ({"name": "production"}, "no version can be named 'production'"),
        ({"name": "X"}, "'X' can't be a version's name"),
        ({"sample": "absent.csv"}, "absent.csv: cannot be read: No such file"),
        ({"sample": "t.toml"}, "t.toml: "),
        ({"output": "odds"}, "Invalid value for '--output'"),
    ],
)
def test_mistakes(lake: Lake, replay: Replay, changes: dict[str, str], said: str) -> None:
    assert said in refused(lake, replay, *line(**changes))


def test_a_sample_that_differs(lake: Lake, replay: Replay, tmp_path: Path) -> None:
    wrong = sample(lake, tmp_path / "s.csv", clicks_user_1h=np.arange(8, 0, -1))
    text = refused(lake, replay, *line(sample=str(wrong)))
    assert "s.csv: row 1 says 0.0113978013 and the graph gives 1, the most of 6 rows of 8" in text
    assert "are its inputs the raw features, in the spec's order?" in text


def test_a_graph_that_is_refused_for_what_it_holds(
    lake: Lake, replay: Replay, tmp_path: Path
) -> None:
    made = two_layers(4)
    made.graph.node.append(helper.make_node("RandomNormal", [], ["noise"], shape=[1]))
    (tmp_path / "noise.onnx").write_bytes(made.SerializeToString())
    assert "RandomNormal draws random numbers" in refused(lake, replay, *line(FILE="noise.onnx"))


def test_a_spec_of_what_labels_are_made_of(lake: Lake, replay: Replay, tmp_path: Path) -> None:
    (tmp_path / "rfm.toml").write_text(SPEC_TOML.replace('"age"', '"rfm_score"'))
    assert "which labels are made of" in refused(lake, replay, *line(spec="rfm.toml"))


def test_a_file_that_is_too_large(
    lake: Lake, replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_import, "MOST_BYTES", 1 << 10)
    assert "m.onnx: holds more than" in refused(lake, replay, *line())


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_the_extra(
    lake: Lake, replay: Replay, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    text = refused(lake, replay, *line())
    assert f"needs {missing}, which is not installed here: pip install 'slidr-replay[onnx]'" in text


def test_a_run_without_the_extra(
    lake: Lake, replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert replay(*line())[0] == 0
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    span = ["--from", "2026-03-01T12:00", "--to", "2026-03-01T15:00"]
    assert "pip install 'slidr-replay[onnx]'" in refused(lake, replay, "run", *span, "--model", "x")
    assert replay("models", "list")[0] == 0
