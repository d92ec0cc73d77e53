"""Two processes move the pointer at once: one wins, the other is told, and one row is added."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import pytest

from recovery.production import promote
from replay.cli import main
from replay.lake import Lake
from replay.production import read_production
from tests.lakes import make_lake
from tests.versions import at_least

ROLLBACK = ("models", "rollback", "--json")
PROMOTE = ("models", "promote", "v1", "--reason", "because", "--json")
# Where both wait for each other: when each was asked and nobody has read the history, and when each
# has read the same history and is about to commit.
MEETINGS = {
    "before reading": "recovery.production:_head",
    "before committing": "replay.lake:Lake.append",
}
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pytest", "tests.recovery.test_pointer_races"])


class Waits(Protocol):
    """A barrier."""

    def wait(self) -> int: ...


def _meet(seam: str, barrier: Waits) -> None:
    """Wait at the barrier before each call of a seam."""
    module, _, name = seam.partition(":")
    owner: Any = import_module(module)
    *parents, last = name.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    inner = getattr(owner, last)

    def outer(*args: object, **kwargs: object) -> object:
        barrier.wait()
        return inner(*args, **kwargs)

    setattr(owner, last, outer)


def _command(argv: Sequence[str], seam: str, barrier: Waits, told: Connection) -> None:
    _meet(seam, barrier)
    out, err, code = StringIO(), StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(argv)
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1
    told.send((code, out.getvalue(), err.getvalue()))
    sys.stdout.flush()
    os._exit(0)


def at_once(home: Path, seam: str, *lines: Sequence[str]) -> list[tuple[int, str, str]]:
    """Run the commands in a process each; return exit code, stdout and stderr of each."""
    barrier = _CONTEXT.Barrier(len(lines))
    pipes, processes = [], []
    for number, line in enumerate(lines):
        here, there = _CONTEXT.Pipe(duplex=False)
        argv = [*line, "--by", f"process {number}", "--home", str(home)]
        process = _CONTEXT.Process(target=_command, args=(argv, seam, barrier, there))
        process.start()
        there.close()
        pipes.append(here)
        processes.append(process)
    said = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join()
    return said


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = make_lake(tmp_path / "lake")
    for at, name in enumerate(("v1", "v2", "v3"), 1):
        at_least(made, name, 2)
        promote(made, name, "me", "why", {}, at)
    return made


@pytest.mark.parametrize("meeting", MEETINGS)
@pytest.mark.parametrize(
    "lines", [(ROLLBACK, ROLLBACK), (PROMOTE, ROLLBACK), (PROMOTE, PROMOTE), (ROLLBACK,) * 4]
)
def test_one_wins_and_the_others_are_told(
    lake: Lake, lines: tuple[tuple[str, ...], ...], meeting: str
) -> None:
    said = at_once(lake.home, MEETINGS[meeting], *lines)
    won = [number for number, (code, _, _) in enumerate(said) if code == 0]
    assert len(won) == 1, said
    _, out, _ = said[won[0]]
    row = json.loads(out)
    assert (row["before"], row["by"]) == ("v3", f"process {won[0]}")
    for number, (code, out, err) in enumerate(said):
        if number not in won:
            assert (code, out, err.count("\n")) == (2, "", 1)
            assert "another writer committed to promotions first" in err
            assert f"by 'process {won[0]}'" in err
    history = read_production(lake).history
    assert [each.model_version for each in history] == ["v1", "v2", "v3", row["model_version"]]
    assert history[-1].by == f"process {won[0]}"
