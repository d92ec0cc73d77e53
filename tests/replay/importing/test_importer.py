"""Once and whole: the same file again, killed half-way, interrupted, alone with a full disk."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from replay.errors import LakeUnwritable
from replay.importing.report import FileReport
from scorer.errors import Inconsistent
from tests.replay.importing.files import HEADER, NOW, ROOT, bring, line, rows, run

CONTENT = HEADER + "".join(
    line(f"c{i}", f"2026-03-0{1 + i % 3}T12:00:00Z") + ("cut\n" if i % 50 == 0 else "")
    for i in range(300)
)
TABLES = ("clicks", "quarantine")

# Runs an import in which one function, named "module:attribute", ends the process at its n-th call.
KILLED = """
import importlib, os, signal, sys
from replay.cli import main
place, calls, number, arguments = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
module, _, path = place.partition(":")
holder = importlib.import_module(module)
*parents, name = path.split(".")
for parent in parents:
    holder = getattr(holder, parent)
original, done = getattr(holder, name), 0
def last_words(*args, **kwargs):
    global done
    done += 1
    if done == calls:
        os.kill(os.getpid(), number)
    return original(*args, **kwargs)
setattr(holder, name, last_words)
main(arguments)
"""
PLACES = [
    ("replay.importing.importer:stage", 1),
    ("replay.parts:_PartWriter.write", 1),
    ("replay.lake:Lake._commit", 1),
    ("replay.parts:_PartWriter.close", 3),
    ("replay.lake:Lake._commit", 2),
    ("replay.commands.import_:_show", 1),
]


def killed(place: str, calls: int, number: int, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, place, str(calls), str(number), *map(str, arguments)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def state(home: Path) -> dict[str, list[Mapping[str, Any]]]:
    """Return the rows without the time of the import."""
    found = {name: rows(home, name) for name in TABLES}
    clocks = {"ingested_at", "at"}
    return {
        name: [{k: v for k, v in row.items() if k not in clocks} for row in table]
        for name, table in found.items()
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "clicks.csv"
    path.write_text(CONTENT)
    return path


@pytest.fixture
def whole(tmp_path: Path, file: Path) -> dict[str, list[Mapping[str, Any]]]:
    bring(tmp_path / "whole", "clicks", file)
    return state(tmp_path / "whole")


def test_the_same_file_again_adds_nothing(tmp_path: Path, file: Path) -> None:
    home = tmp_path / "lake"
    first = bring(home, "clicks", file)
    before = state(home)
    again = bring(home, "clicks", file, now=NOW + 1)
    assert (first.read, first.added, first.duplicates, first.already) == (306, 300, 0, False)
    assert (again.read, again.added, again.duplicates, again.already) == (306, 0, 300, True)
    assert again.quarantined == first.quarantined == {"wrong number of fields": 6}
    assert state(home) == before


@pytest.mark.parametrize(("place", "calls"), PLACES)
def test_killed_anywhere_and_run_again_is_as_if_never_killed(
    tmp_path: Path, file: Path, whole: object, place: str, calls: int
) -> None:
    home = tmp_path / "lake"
    arguments = ["import", "clicks", file, "--home", home, "--currency", "USD"]
    process = killed(place, calls, signal.SIGKILL, *arguments)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    if home.exists():
        assert rows(home, "clicks") == [] or place.endswith("_show")
    code, (report,) = run("clicks", file, "--home", home, "--currency", "USD")
    assert (code, report["added"] + report["duplicates"]) == (0, 300)
    assert state(home) == whole
    assert not list(home.rglob("*.writing"))


@pytest.mark.parametrize(("place", "calls"), [PLACES[0], PLACES[3]])
def test_ctrl_c_leaves_nothing_half_done(
    tmp_path: Path, file: Path, place: str, calls: int
) -> None:
    home = tmp_path / "lake"
    arguments = ["import", "clicks", file, "--home", home, "--currency", "USD"]
    process = killed(place, calls, signal.SIGINT, *arguments)
    _, said = process.communicate()
    assert process.returncode == 130
    assert said.strip() == "replay: interrupted; nothing half-done was kept"
    assert not home.exists() or rows(home, "clicks") == []


def test_two_imports_at_once_add_each_click_once(tmp_path: Path) -> None:
    home = tmp_path / "lake"
    files = [tmp_path / f"{name}.csv" for name in "ab"]
    ids = [range(300), range(150, 450)]
    for path, numbers in zip(files, ids, strict=True):
        path.write_text(HEADER + "".join(line(f"c{i}") for i in numbers))
    command = [
        sys.executable,
        "-m",
        "replay.cli",
        "import",
        "clicks",
        "--json",
        "--home",
        str(home),
    ]
    both = [
        subprocess.Popen(
            [*command, "--currency", "USD", str(path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        for path in files
    ]
    reports = [json.loads(process.communicate()[0])[0] for process in both]
    assert sum(report["added"] for report in reports) == 450
    assert sum(report["duplicates"] for report in reports) == 150
    assert len(rows(home, "clicks", "DISTINCT click_id")) == len(rows(home, "clicks")) == 450


def limited(home: Path, file: Path, size: int) -> subprocess.CompletedProcess[str]:
    """Import where no file may grow beyond `size` bytes, as on a disk that is full then."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return subprocess.run(
        [sys.executable, "-m", "replay.cli", "import", "clicks", str(file), "--home", str(home)],
        cwd=ROOT,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("size", [0, 1200, 3500])
def test_a_full_disk_is_one_line_and_nothing_is_half_written(
    tmp_path: Path, file: Path, whole: object, size: int
) -> None:
    home = tmp_path / "lake"
    bring(home, "clicks", HEADER)
    done = limited(home, file, size)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "cannot be written" in done.stderr
    assert rows(home, "clicks") == []
    bring(home, "clicks", file)
    assert state(home) == whole


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_home_is_one_line(tmp_path: Path, file: Path) -> None:
    home = tmp_path / "lake"
    bring(home, "clicks", HEADER)
    home.chmod(0o500)
    with pytest.raises(LakeUnwritable, match="permission denied"):
        bring(home, "clicks", file)


def test_reading_while_importing_sees_whole_commits(tmp_path: Path, file: Path) -> None:
    home = tmp_path / "lake"
    bring(home, "clicks", HEADER + line("first"))
    process = subprocess.Popen(
        [sys.executable, "-m", "replay.cli", "import", "clicks", str(file), "--home", str(home)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    seen = set()
    while process.poll() is None:
        seen.add(len(rows(home, "clicks")))
        time.sleep(0.01)
    seen.add(len(rows(home, "clicks")))
    assert seen == {1, 301}


def test_rows_that_do_not_add_up_are_an_error() -> None:
    with pytest.raises(Inconsistent, match="nothing was committed"):
        FileReport("f", "clicks", read=2, added=1)
