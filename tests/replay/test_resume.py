"""Resuming a run: what interrupts one, what is said then, what is refused."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replay.cli import INTERRUPTED
from replay.completing import made_with
from replay.errors import BadInput
from replay.lake import Lake
from replay.production import models_folder
from replay.replayer import CHANGE_COLUMNS
from replay.runs import RunFolder, read_manifest, run_folder, run_ids, unfinished_ids
from replay.span import iso, to_micros
from replay.unfinished import PLAN, read_plan, reopen
from tests.disks import files, full_disk
from tests.lakes import add_rows, click
from tests.replay.interrupting import ASKED, SLICES, Outcome, in_short_slices, outcome, short_slices
from tests.versions import START, USER, at_least

Answer = tuple[int, str, str]
Call = Callable[..., Answer]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Outcome]:
    """A lake, and what a run that nothing interrupts comes to."""
    lake = short_slices(tmp_path_factory.mktemp("origin") / "lake")
    with pytest.raises(SystemExit):
        in_short_slices([*ASKED, "--home", str(lake.home), "--json"])
    found = outcome(lake)
    shutil.rmtree(lake.home / "runs")
    return lake, found


@pytest.fixture
def lake(origin: tuple[Lake, Outcome], tmp_path: Path) -> Lake:
    return Lake.open(Path(shutil.copytree(origin[0].home, tmp_path / "lake")))


@pytest.fixture
def whole(origin: tuple[Lake, Outcome]) -> Outcome:
    return origin[1]


@pytest.fixture
def call(lake: Lake, capsys: pytest.CaptureFixture[str]) -> Call:
    """Type a command; return its exit code, its output and its errors."""

    def typed(*line: str) -> Answer:
        with pytest.raises(SystemExit) as stop:
            in_short_slices([*line, "--home", str(lake.home)])
        assert isinstance(stop.value.code, int)
        return (stop.value.code, *capsys.readouterr())

    return typed


@pytest.fixture
def stopped(lake: Lake, call: Call) -> str:
    """The id of a run that Ctrl-C stopped in its third slice."""
    with interrupted_at(2, raising(KeyboardInterrupt())):
        assert call(*ASKED)[0] == 130
    return unfinished_ids(lake)[0]


@contextmanager
def interrupted_at(number: int, happens: Callable[[], object]) -> Iterator[None]:
    """Let something happen where a slice's decisions would be written."""
    write = RunFolder.write_part

    def failing(folder: RunFolder, kind: str, slice_: int, rows: pa.Table) -> None:
        if (kind, slice_) == ("decisions", number):
            happens()
        write(folder, kind, slice_, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "write_part", failing)
        yield


def raising(error: BaseException) -> Callable[..., None]:
    def function(*_: object) -> None:
        raise error

    return function


def refused(lake: Lake, call: Call, words: str, *line: str) -> None:
    """See that a command is refused in one line and changes nothing."""
    before = files(lake.home)
    code, out, errors = call(*line)
    assert (code, out, errors.count("\n")) == (2, "", 1), errors
    assert words in errors
    assert files(lake.home) == before


def test_ctrl_c_says_how_to_resume_and_that_ends_with_the_same_bytes(
    lake: Lake, call: Call, whole: Outcome
) -> None:
    with interrupted_at(2, lambda: os.kill(os.getpid(), signal.SIGINT)):
        code, _, errors = call(*ASKED)
    (run_id,) = unfinished_ids(lake)
    last = errors.strip().splitlines()[-1]
    command = f"replay --resume {run_id} --home {lake.home}"
    assert (code, last) == (
        130,
        f"replay: interrupted; 2 of {SLICES} slices are kept; to resume: {command}",
    )
    code, out, _ = call("--resume", run_id)
    assert (code, outcome(lake, run_id)) == (0, whole)
    assert not (run_folder(lake, run_id).path / PLAN).exists()
    assert f"resumed at slice 3 of {SLICES}" in out
    assert unfinished_ids(lake) == []


def test_ctrl_c_before_the_first_slice_leaves_nothing(lake: Lake, call: Call) -> None:
    with interrupted_at(0, raising(KeyboardInterrupt())):
        code, _, errors = call(*ASKED)
    assert (code, errors.strip()) == (130, f"replay: {INTERRUPTED}")
    assert list((lake.home / "runs").iterdir()) == []


def test_a_full_disk(lake: Lake, call: Call, whole: Outcome) -> None:
    """The disk fills up in the fourth slice, is still full at first, and then has room."""
    disk = full_disk(100)
    with interrupted_at(3, disk.__enter__):
        code, _, errors = call(*ASKED)
    (run_id,) = unfinished_ids(lake)
    assert (code, errors.count("\n")) == (2, 1)
    assert "cannot be written: a file-size limit was reached" in errors
    assert errors.endswith(
        f"3 of {SLICES} slices are kept; to resume: replay --resume {run_id} --home {lake.home}\n"
    )
    code, _, again = call("--resume", run_id)
    assert (code, again) == (2, errors)
    disk.__exit__(None, None, None)
    assert call("--resume", run_id)[0] == 0
    assert outcome(lake, run_id) == whole


def test_a_file_of_the_log_that_is_gone_while_it_is_read(
    lake: Lake, call: Call, whole: Outcome, tmp_path: Path
) -> None:
    """One line names it; put back, the run goes on."""
    away = {path: tmp_path / path.name for path in (lake.home / "decisions").glob("*/*.parquet")}

    def lose() -> None:
        for path, place in away.items():
            path.rename(place)

    with interrupted_at(1, lose):
        code, _, errors = call(*ASKED)
    assert (code, errors.count("\n")) == (2, 1)
    assert "a file of table decisions, cannot be read" in errors
    (run_id,) = unfinished_ids(lake)
    assert f"slices are kept; to resume: replay --resume {run_id}" in errors
    for path, place in away.items():
        place.rename(path)
    assert call("--resume", run_id)[0] == 0
    assert outcome(lake, run_id) == whole


def test_an_error_that_is_a_bug_keeps_its_traceback_and_ends_with_the_command(lake: Lake) -> None:
    with interrupted_at(1, raising(ZeroDivisionError())), pytest.raises(ZeroDivisionError) as stop:
        in_short_slices([*ASKED, "--home", str(lake.home)])
    (run_id,) = unfinished_ids(lake)
    assert f"replay --resume {run_id}" in stop.value.__notes__[-1]


def test_a_part_that_is_not_whole_is_made_again(
    lake: Lake, call: Call, stopped: str, whole: Outcome
) -> None:
    part = lake.home / "runs" / f".{stopped}.unfinished" / "changes" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-5])
    assert call("--resume", stopped)[0] == 0
    assert outcome(lake, stopped) == whole


def test_a_part_that_rotted(lake: Lake, call: Call, stopped: str, whole: Outcome) -> None:
    part = lake.home / "runs" / f".{stopped}.unfinished" / "changes" / "part-00000.parquet"
    good = part.read_bytes()
    rotten = pq.read_metadata(part).row_group(0).column(CHANGE_COLUMNS.index("adjustment_micros"))
    place = rotten.dictionary_page_offset or rotten.data_page_offset
    part.write_bytes(good[:place] + bytes(20) + good[place + 20 :])
    code, _, errors = call("--resume", stopped)
    assert (code, errors.count("\n")) == (2, 1)
    assert f"{part} can't be read" in errors
    part.unlink()
    assert call("--resume", stopped)[0] == 0
    assert outcome(lake, stopped) == whole


def test_a_run_whose_slices_were_all_done(lake: Lake, call: Call, whole: Outcome) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "write_manifest", raising(KeyboardInterrupt()))
        assert call(*ASKED)[0] == 130
    (run_id,) = unfinished_ids(lake)
    assert call("--resume", run_id, "--json")[0] == 0
    assert outcome(lake, run_id) == whole
    resumed = read_manifest(run_folder(lake, run_id)).resumed
    assert resumed is not None
    assert (resumed.slice, resumed.read) == (SLICES, 0)


def test_a_resumed_run_goes_on_to_its_bound(call: Call, stopped: str) -> None:
    code, _, errors = call("--resume", stopped, "--max-changed", "0%")
    assert (code, "more than --max-changed 0%" in errors) == (1, True)


@pytest.mark.parametrize(
    "asked",
    [
        ("--where", "price_micros % 3 > 0"),
        ("--sample", "60%"),
        ("--features", "logged"),
        ("--as-of", "now"),
    ],
    ids=lambda asked: asked[0],
)
def test_what_a_run_was_asked_for_stands(lake: Lake, call: Call, asked: tuple[str, str]) -> None:
    line = [word for word in ASKED if word != "--noise-floor"] + list(asked)
    with interrupted_at(3, raising(KeyboardInterrupt())):
        assert call(*line)[0] == 130
    (run_id,) = unfinished_ids(lake)
    then = read_plan(lake, run_id).as_of
    again = [iso(to_micros(then)) if then and word == "now" else word for word in line]
    assert call(*again)[0] == 0
    whole = outcome(lake)
    add_rows(lake, "clicks", [click(START + 7, 0, "late", user_id="u")])
    assert call("--resume", run_id)[0] == 0
    assert outcome(lake, run_id) == whole


def test_clicks_that_landed_since_do_not_change_a_run(
    lake: Lake, call: Call, stopped: str, whole: Outcome
) -> None:
    add_rows(lake, "clicks", [click(START + 7, 0, "late", user_id="u")])
    assert call("--resume", stopped)[0] == 0
    assert outcome(lake, stopped) == whole


# What is refused


def test_a_run_that_never_existed(lake: Lake, call: Call, stopped: str) -> None:
    refused(lake, call, f"no run named {stopped[:-1]!r}. Did you mean {stopped}?",
            "--resume", stopped[:-1])  # fmt: skip
    refused(lake, call, "no run named '../clicks'", "--resume", "../clicks")


def test_a_run_that_is_finished(lake: Lake, call: Call) -> None:
    assert call(*ASKED)[0] == 0
    (run_id,) = run_ids(lake)
    refused(lake, call, f"is finished; `replay runs show {run_id}` shows it", "--resume", run_id)
    refused(
        lake, call, f"is finished; `replay runs show {run_id}` shows it", "runs", "drop", run_id
    )


def test_a_run_that_is_still_being_written(lake: Lake, call: Call, stopped: str) -> None:
    with reopen(lake, stopped):
        refused(lake, call, "is being written by another process", "--resume", stopped)
        refused(lake, call, "is being written by another process", "runs", "drop", stopped)
        assert "being written" in call("runs", "list")[1]
    assert "being written" not in call("runs", "list")[1]


def other_version(lake: Lake) -> None:
    shutil.rmtree(models_folder(lake) / "b")
    at_least(lake, "b", 5, spec=USER)


def other_production(lake: Lake) -> None:
    shutil.rmtree(models_folder(lake) / "a")
    at_least(lake, "a", 5)


def without_version(lake: Lake) -> None:
    shutil.rmtree(models_folder(lake) / "b")


def older_log(lake: Lake) -> None:
    commits = sorted((lake.home / "clicks" / "_delta_log").glob("*.json"))
    commits[-1].unlink()


def other_log(lake: Lake) -> None:
    """A copy that went its own way: as many commits, of other clicks."""
    older_log(lake)
    add_rows(lake, "clicks", [click(START + 7, 0, "other", user_id="u")])


def other_setting(lake: Lake) -> None:
    with (lake.home / "replay.toml").open("a") as file:
        file.write("attribution_hours = 7\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_version, "model version 'b' is another than it was"),
        (other_production, "model version 'a' is another than it was"),
        (without_version, "model version 'b' is gone"),
        (older_log, "the log is not the one that it read"),
        (other_log, "the log is not the one that it read"),
        (other_setting, "attribution_hours was 72 in the lake's replay.toml"),
    ],
)
def test_what_changed_since(
    lake: Lake, call: Call, stopped: str, change: Callable[[Lake], None], words: str
) -> None:
    change(lake)
    refused(lake, call, f"run {stopped} can't be resumed: {words}", "--resume", stopped)


@pytest.mark.parametrize(
    ("name", "now", "words"),
    [
        ("code_version", lambda: "9", "and is 9"),
        ("made_with", lambda: {**made_with(), "torch": "9"}, "torch was"),
        ("choose_device", raising(BadInput("none")), "it ran on cpu, which this machine has not"),
    ],
)
def test_another_program_or_machine(
    lake: Lake,
    call: Call,
    stopped: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    now: Callable[..., object],
    words: str,
) -> None:
    monkeypatch.setattr(f"replay.resuming.{name}", now)
    refused(lake, call, words, "--resume", stopped)


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "other"])
def test_a_damaged_plan(lake: Lake, call: Call, stopped: str, damage: str) -> None:
    plan = lake.home / "runs" / f".{stopped}.unfinished" / PLAN
    text = plan.read_text()
    match damage:
        case "cut":
            plan.write_text(text[:-20])
        case "changed":
            plan.write_text(text.replace('"slices": 6', '"slices": 5'))
        case "gone":
            plan.unlink()
        case "other":
            plan.write_text(json.dumps(["plan"]))
    refused(lake, call, f"{plan} is damaged", "--resume", stopped)
    assert f"{stopped}: its plan is damaged" in call("runs", "list")[1]
    assert call("runs", "drop", stopped)[0] == 0
    assert unfinished_ids(lake) == []


@pytest.mark.parametrize("given", [("--from", "now"), ("--where", "true"), ("--plan",)])
def test_options_that_a_resumed_run_can_not_take(
    lake: Lake, call: Call, stopped: str, given: tuple[str, ...]
) -> None:
    refused(lake, call, f"leave out {given[0]}", "--resume", stopped, *given)


def test_what_is_missing_where_nothing_is_resumed(lake: Lake, call: Call) -> None:
    refused(lake, call, "Missing option '--from', '--model'.", "run", "--to", "now")


# What is listed


def test_the_list_says_what_to_type(lake: Lake, call: Call, stopped: str) -> None:
    assert call(*ASKED)[0] == 0
    out = call("runs", "list")[1]
    assert f"{stopped}: 2 of {SLICES} slices of b from" in out
    assert f"--resume {stopped} --home {lake.home} finishes it" in out
    first, second = json.loads(call("runs", "list", "--json")[1])
    assert (first["run_id"], first["status"], first["slices_done"]) == (stopped, "unfinished", 2)
    assert second["status"] == "finished"
    refused(lake, call, f"`replay --resume {stopped}`", "runs", "show", stopped)
    assert call("runs", "drop", stopped)[0] == 0
    assert [run["status"] for run in json.loads(call("runs", "list", "--json")[1])] == ["finished"]
