"""What `replay verdicts` is given and cannot use: one line, the right code, nothing half done."""

import os
import shutil
from pathlib import Path

import pytest

from recovery.gates import GATES
from replay.lake import Lake
from tests.recovery.corrections import SPAN, contents, known, known_lake
from tests.recovery.ledgers import stored
from tests.recovery.typed import FILE_SINK, GATES_OPEN, Replay, configured, open_lake, typed
from tests.versions import run

SURE = ("--yes", "--rebill", "--reason", "x", "--override", "changed")
EVERY = ",".join(gate.name for gate in GATES if not gate.fixed)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    return open_lake(tmp_path, monkeypatch)


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str]) -> Replay:
    return typed(capsys)


def refused(lake: Lake, replay: Replay, words: str, *line: str, code: int = 2) -> None:
    """Type it, with --json and without: see that it ends as it should and changes nothing."""
    before = contents(lake)
    for more in ((), ("--json",)):
        found, out, err = replay("verdicts", *line, *more)
        assert (found, err.count("\n")) == (code, 1), err
        assert "Traceback" not in err
        assert err.startswith("replay: ")
        assert words in err
        assert code == 1 or "--yes" in line or out == ""
    assert contents(lake) == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["publish"], "Missing argument 'RUN_ID'. See `replay verdicts publish --help`"),
        (["publish", "no-such-run", *SURE], "no run named 'no-such-run'"),
        (["publish", "", *SURE], "no run named ''"),
        (["publish", "latest", "extra"], "unexpected extra argument"),
        (["revert", "no-such-run", *SURE], "run 'no-such-run' was never published"),
        (["revert", "latest", *SURE], "was never published"),
        (["publish", "latest", "--override", "changed", "--yes"], "changed needs a reason"),
        (["publish", "latest", "--override", "changd", "--reason", "x"], "Did you mean changed?"),
        (["publish", "latest", "--override", "changed,", "--reason", "x"], "no gate ''"),
        (["publish", "latest", "--override", "sampled", "--reason", "x"], "it always holds"),
        (["publish", "latest", "--overide", "changed"], "No such option"),
        (["list", "--run", "nope"], "the ledger has no run, verdict or click 'nope'"),
        (["list", "--run", "latest"], "the ledger has no run, verdict or click 'latest'"),
        (["list", "--limit", "0"], "Invalid value for '--limit'"),
        (["list", "--limit", "few"], "Invalid value for '--limit'"),
        (["show", "nope"], "`replay verdicts list` shows what was published"),
        (["show", "latest"], "the ledger has no run, verdict or click 'latest'"),
        (["show"], "Missing argument 'ID'"),
        (["pubish", "x"], "no command named 'pubish'. Did you mean publish?"),
        (["list", "--home", "/nowhere"], "/nowhere is no folder"),
    ],
)
def test_what_can_not_be_used(lake: Lake, replay: Replay, line: list[str], words: str) -> None:
    refused(lake, replay, words, *line)


def test_an_unfinished_run(lake: Lake, replay: Replay) -> None:
    runs, run_id = lake.home / "runs", known().id("two")
    (runs / run_id).rename(runs / f".{run_id}.unfinished")
    refused(lake, replay, f"run {run_id} is not finished", "publish", run_id, *SURE)


def test_a_run_of_another_lake(lake: Lake, replay: Replay, tmp_path: Path) -> None:
    other = known_lake(tmp_path / "other")
    run_id = run(other, "two", SPAN).manifest.run_id
    shutil.copytree(other.home / "runs" / run_id, lake.home / "runs" / run_id)
    refused(lake, replay, "made on another lake", "publish", run_id, *SURE)


def test_a_damaged_run(lake: Lake, replay: Replay) -> None:
    part = lake.home / "runs" / known().id("two") / "decisions" / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    refused(lake, replay, f"{part} is not what run", "publish", known().id("two"), *SURE)


def test_a_sampled_run_is_a_finding(lake: Lake, replay: Replay) -> None:
    run_id = run(lake, "two", SPAN, sample="99.999%").manifest.run_id
    words = "nothing was published, since this gate objects: sampled"
    line = ("publish", run_id, "--yes", "--override", EVERY, "--reason", "x")
    refused(lake, replay, words, *line, code=1)


def test_rebills_need_to_be_asked_for_and_to_be_young(lake: Lake, replay: Replay) -> None:
    only = run(lake, "none", SPAN, where="click_id = 'u2'").manifest.run_id
    words = "nothing is left but re-bills of 1 click"
    refused(lake, replay, words, "publish", only, "--yes")
    configured(lake, GATES_OPEN.replace("billing_window = 99\n", "") + FILE_SINK)
    words = "nothing was published, since this gate objects: billing_window"
    refused(lake, replay, words, "publish", only, "--yes", "--rebill", code=1)


SINKS = [
    ('kind = "ndsjon"\npath = "x"', "ndjson"),
    ('path = "x"', "kind"),
    ('kind = "ndjson"', "path"),
    ('kind = "redis"\nurl = "http://x"', "url"),
    ('kind = "webhook"\nurl = "https://localhost/x"\nsecret_env = "NO_SUCH_SECRET"', "is not set"),
    ('kind = "webhook"\nurl = "https://localhost/x"\nsecret_file = "none"', "cannot be read"),
    ('kind = "webhook"\nurl = "https://localhost/x"\nsecret_file = "replay.toml"', ""),
    ('kind = "webhook"\nurl = "https://localhost/x"\nsecret = "0123456789abcdef"', "secret"),
    ('kind = "webhook"\nurl = "https://localhost/x"', "secret_env"),
]
UNREACHABLE = [
    'kind = "redis"\nurl = "redis://127.0.0.1:1"\nstream = "s"',
    'kind = "webhook"\nurl = "http://127.0.0.1:1/x"\nsecret_file = "secret"',
    'kind = "ndjson"\npath = "runs"',
]


@pytest.mark.parametrize(("sink", "words"), [s for s in SINKS if s[1]])
def test_a_sink_that_can_not_be(lake: Lake, replay: Replay, sink: str, words: str) -> None:
    """It shows before anything is looked at, in a preview too."""
    configured(lake, f"{GATES_OPEN}[sinks.billing]\n{sink}\n")
    refused(lake, replay, words, "publish", known().id("two"), "--no-deliver", "--yes")
    code, out, err = replay("verdicts", "publish", known().id("two"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "billing" in err
    assert stored(lake) == []


@pytest.mark.parametrize("sink", UNREACHABLE, ids=["redis", "webhook", "file"])
def test_a_sink_that_is_away_keeps_anything_from_being_published(
    lake: Lake, replay: Replay, sink: str
) -> None:
    configured(lake, f"{GATES_OPEN}{FILE_SINK}[sinks.away]\n{sink}\n")
    (lake.home / "secret").write_text("0123456789abcdef")
    before = contents(lake)
    code, _, err = replay("verdicts", "publish", known().id("two"), "--yes")
    assert (code, err.count("\n")) == (2, 1)
    assert "away" in err
    assert contents(lake) == before
    code, _, err = replay("verdicts", "publish", known().id("two"))
    assert (code, err) == (0, "")  # a preview asks no sink
    code, _, err = replay("verdicts", "publish", known().id("two"), "--yes", "--no-deliver")
    assert (code, err, len(stored(lake))) == (0, "", 4)


def test_a_run_is_kept_though_it_can_not_be_published(lake: Lake, replay: Replay) -> None:
    (lake.home / "secret").write_text("0123456789abcdef")
    configured(lake, f"{GATES_OPEN}[sinks.away]\n{UNREACHABLE[1]}\n")
    span = ("--from", "2026-03-01T12:00", "--to", "2026-03-01T13:00", "--model", "two")
    before = len(list((lake.home / "runs").iterdir()))
    code, out, _ = replay("run", *span, "--publish", "--yes")
    assert (code, stored(lake)) == (2, [])
    assert len(list((lake.home / "runs").iterdir())) == before + 1
    assert "two on recomputed features" in out


def test_a_ledger_whose_place_is_taken(lake: Lake, replay: Replay) -> None:
    place = lake.home / "verdicts"
    place.write_text("")
    code, _, err = replay("verdicts", "publish", known().id("two"), "--yes", "--no-deliver")
    assert (code, err.count("\n")) == (2, 1)
    assert str(place) in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_lake_that_can_not_be_written(lake: Lake, replay: Replay) -> None:
    lake.home.chmod(0o500)
    try:
        code, _, err = replay("verdicts", "publish", known().id("two"), "--yes", "--no-deliver")
    finally:
        lake.home.chmod(0o700)
    assert (code, err.count("\n")) == (2, 1)
    assert "permission denied" in err
