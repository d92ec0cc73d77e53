"""`replay check` as it is typed."""

import json
import shutil
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from recovery.check.candidate import STAGED
from replay.lake import Lake
from tests.recovery.check.worlds import BOUNDS, REPAIR, scenario_file
from tests.recovery.typed import Replay
from tests.versions import BOTH, at_least

LENIENT = "\n[bounds]\nhuman_fpr = 1\n"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake whose `v1` is no more the simulated production's than its name."""
    made = Lake.create(tmp_path / "lake", "USD")
    at_least(made, "v1", 6)
    at_least(made, "v2", 1)  # calls every click of a known user invalid
    monkeypatch.setenv("REPLAY_HOME", str(made.home))
    return made


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


def test_it_writes_to_no_lake(replay: Replay, lake: Lake, cache: Path, tmp_path: Path) -> None:
    down = str(scenario_file(tmp_path, REPAIR, name="down"))
    replay("check", "--model", "v1", "--scenario", down)
    before = contents(lake.home), contents(cache)
    code, out, _ = replay("check", "--model", "v1", "--scenario", down)
    assert (contents(lake.home), contents(cache)) == before
    assert code in (0, 1)
    assert "down, seed 5" in out


@pytest.mark.usefixtures("lake")
def test_json_is_one_document_and_junit_another(replay: Replay, tmp_path: Path) -> None:
    file, xml = str(scenario_file(tmp_path)), tmp_path / "check.xml"
    code, out, err = replay(
        "check", "--model", "v2", "--scenario", file, "--json", "--junit", str(xml)
    )
    document = json.loads(out)
    assert (code, document["model"], document["holds"]) == (1, "v2", False)
    [scenario] = document["scenarios"]
    assert (scenario["scenario"], scenario["seed"]) == ("small", 5)
    broken = [figure["key"] for figure in scenario["figures"] if not figure["holds"]]
    assert "human_fpr" in broken
    lines = [line for line in err.splitlines() if line.startswith("broken: small (seed 5): ")]
    assert len(lines) == len(broken)
    suites = ET.parse(xml).getroot()  # noqa: S314  our own
    assert suites.get("failures") == str(len(broken))
    assert {case.get("name") for case in suites.iter("testcase") if len(case)} == set(broken)


@pytest.mark.usefixtures("lake")
def test_a_broken_bound_is_marked_in_words(replay: Replay, tmp_path: Path) -> None:
    file = str(scenario_file(tmp_path))
    code, out, _ = replay("check", "--model", "v2", "--scenario", file)
    rows = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert code == 1
    assert "BROKEN" in rows["human_fpr"]
    assert "holds" in rows["detection.burst"]
    assert "\x1b" not in out


def test_bounds_that_hold_exit_0(replay: Replay, lake: Lake, tmp_path: Path) -> None:
    at_least(lake, STAGED, 6)
    file = str(scenario_file(tmp_path, LENIENT))
    code, out, err = replay("check", "--model", "latest", "--scenario", file)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith(f"{STAGED}: all 1 bounds hold, of 1 scenarios, in ")


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("--model", "v9"), "no model version named 'v9'. Did you mean v2 or v1?"),
        (("--model", "production"), "no version is 'production' here yet"),
        (("--model", "v1", "--scenario", "qiuet"), "no scenario named 'qiuet' and no such file. D"),
        (("--model", "v1", "--scenario", "sample"), "scenario sample has no [bounds]"),
        (("--model", "v1", "--fast", "--scenario", "quiet"), "--fast chooses the scenarios"),
        (("--model", "v1", "--junit", "nowhere/x.xml"), "there is no folder"),
        (("--model", "v1", "--junit", "."), "is a folder; give a file in it"),
    ],
)
def test_bad_input_is_one_line(
    replay: Replay, cache: Path, line: tuple[str, ...], said: str
) -> None:
    before = contents(cache)
    code, out, err = replay("check", *line)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert contents(cache) == before


def test_a_cache_that_can_not_be_made_is_one_line(
    replay: Replay, lake: Lake, tmp_path: Path
) -> None:
    file = str(scenario_file(tmp_path, LENIENT))
    taken = str(lake.home / "replay.toml")
    code, out, err = replay("check", "--model", "v1", "--scenario", file, "--cache", taken)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "cannot be written" in err


def test_a_version_that_asks_for_other_profiles_is_refused(replay: Replay, lake: Lake) -> None:
    at_least(lake, "aged", 2, spec=BOTH)
    code, out, err = replay("check", "--model", "aged")
    assert (code, out) == (2, "")
    assert err.startswith("replay: aged needs the column age of profiles_user, which simulated ")


def test_a_damaged_version_is_refused_by_name(replay: Replay, lake: Lake) -> None:
    weights = lake.home / "models" / "v1" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    code, out, err = replay("check", "--model", "v1")
    assert (code, out) == (2, "")
    assert "weights.safetensors does not match the digest" in err


def test_a_lake_of_versions_alone_will_do(replay: Replay, lake: Lake, tmp_path: Path) -> None:
    shutil.copytree(lake.home, tmp_path / "elsewhere")
    file = str(scenario_file(tmp_path, BOUNDS))
    home = str(tmp_path / "elsewhere")
    ours = replay("check", "--model", "v2", "--scenario", file, "--json")[1]
    theirs = replay("check", "--model", "v2", "--scenario", file, "--home", home, "--json")[1]
    figures = [json.loads(out)["scenarios"][0]["figures"] for out in (ours, theirs)]
    assert figures[0] == figures[1]
