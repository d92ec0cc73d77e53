"""The command around a run: its exit code, its JSON, its files; nothing is left of a failed one."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from replay.cli import INTERRUPTED, main
from replay.lake import Lake
from replay.run import Request, execute, prepare
from replay.runs import run_ids
from tests.lakes import add_rows, click, make_lake
from tests.versions import HOUR, START, TWO_DAYS, at_least, burst, ignore, logged, run

LINE = ("run", "--from", "2026-03-01T12:00", "--to", "2026-03-03T12:00")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Four clicks of one user, which `b` decides valid, invalid, invalid, invalid."""
    made = make_lake(tmp_path / "lake", burst(4))
    at_least(made, "b", 2)
    return made


def call(capsys: pytest.CaptureFixture[str], lake: Lake, *line: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([*LINE, "--home", str(lake.home), *line])
    assert isinstance(stop.value.code, int)
    return (stop.value.code, *capsys.readouterr())


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }


def test_a_plan_writes_nothing(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(lake.home)
    code, out, _ = call(capsys, lake, "--model", "b", "--plan", "--json")
    plan = json.loads(out)
    assert code == 0
    assert (plan["clicks_to_decide"], plan["clicks_to_read"], plan["files"]) == (4, 4, 1)
    assert call(capsys, lake, "--model", "b", "--plan")[0] == 0
    assert tree(lake.home) == before


@pytest.mark.parametrize(
    ("bound", "code"), [("75%", 0), ("0.75", 0), ("74.9%", 1), ("0%", 1), ("100%", 0)]
)
def test_max_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bound: str, code: int
) -> None:
    rows = burst(4)
    lake = make_lake(tmp_path / "lake")
    b = at_least(lake, "b", 2)
    add_rows(lake, "decisions", [logged(row, b, "valid", [1]) for row in rows])
    add_rows(lake, "clicks", rows)
    found, out, err = call(capsys, lake, "--model", "b", "--max-changed", bound, "--json")
    assert found == code
    assert json.loads(out)["summary"]["changes"]["to_invalid"]["clicks"] == 3
    assert (f"more than --max-changed {bound}" in err) == bool(code)
    assert len(run_ids(lake)) == 1  # the work is done and kept all the same


def test_a_tenth_is_not_above_a_tenth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0.1 is no binary fraction: a comparison of floats would say that 1 of 10 is above 10%."""
    rows = [row for n in range(9) for row in burst(1, f"v{n}")] + burst(1, "w")
    lake = make_lake(tmp_path / "lake")
    b = at_least(lake, "b", 2)
    said = [logged(row, b, "valid", [1]) for row in rows[:-1]]
    add_rows(lake, "decisions", [*said, logged(rows[-1], b, "invalid", [1])])
    add_rows(lake, "clicks", rows)
    assert call(capsys, lake, "--model", "b", "--max-changed", "10%")[0] == 0
    assert call(capsys, lake, "--model", "b", "--max-changed", "9.9%")[0] == 1


def test_json_is_one_document_and_runs_show_repeats_it(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, lake, "--model", "b", "--json")
    document = json.loads(out)  # raises where more than one stands there
    assert (code, document["run_id"], document["counts"]["decided"]) == (0, run_ids(lake)[0], 4)
    with pytest.raises(SystemExit):
        main(["runs", "show", "latest", "--json", "--home", str(lake.home)])
    assert json.loads(capsys.readouterr().out) == document


def parts(lake: Lake, run_id: str) -> dict[str, bytes | None]:
    found = tree(lake.home / "runs" / run_id)
    return {name: data for name, data in found.items() if name != "manifest.json"}


def test_same_inputs_same_bytes_in_every_part(tmp_path: Path) -> None:
    """For any number of threads and layout of files, over more than one slice."""
    days = range(-1, 3)
    clicks = [r for d in days for n in range(30) for r in burst(3, f"{d}.{n}.", START + d * HOUR)]
    clicks += [click(row["ts"] + 24 * HOUR, row["seq"], f"{row['click_id']}!") for row in clicks]
    found = []
    for name, commits in (("one", None), ("two", [range(0, 720, 2), range(1, 720, 2)])):
        lake = make_lake(tmp_path / name, clicks, commits=commits)
        at_least(lake, "b", 2)
        prepared = prepare(lake, Request("b", TWO_DAYS, device="cpu"))
        for threads in (1, 2, 4):
            plan = replace(prepared.plan, threads=threads, slice_length=12 * HOUR)
            manifest, _ = execute(replace(prepared, plan=plan), ignore)
            found.append(parts(lake, manifest.run_id))
    assert len(found[0]) > 2 * 2
    assert all(each == found[0] for each in found)


def test_a_failed_run_leaves_nothing(lake: Lake) -> None:
    prepared = prepare(lake, Request("b", TWO_DAYS))

    def stop(_: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        execute(prepared, stop)
    assert list((lake.home / "runs").iterdir()) == []


def test_ctrl_c_in_the_midst_of_a_run_leaves_nothing(lake: Lake) -> None:
    """The child stops when its first slice is written, and hears Ctrl-C there."""
    script = (
        "import signal, time; from replay.runs import RunFolder; from replay.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # none in the background
        "write = RunFolder.write_part\n"
        "def slow(*a):\n    write(*a)\n    print('written', flush=True)\n    time.sleep(60)\n"
        "RunFolder.write_part = slow\n"
        f"main({[*LINE, '--model', 'b', '--home', str(lake.home)]!r})"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
        assert [p.name[0] for p in (lake.home / "runs").iterdir()] == ["."]
        os.kill(child.pid, signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    assert (child.returncode, errors.strip()) == (130, f"replay: {INTERRUPTED}")
    assert list((lake.home / "runs").iterdir()) == []


def test_a_home_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "o'lake [old]*?", burst(2))
    at_least(lake, "b", 2)
    make_lake(tmp_path / "o'lake o--", burst(5))  # what the pattern would match
    assert run(lake, "b").by_click("decisions", "decision") == {"u0": "valid", "u1": "invalid"}
