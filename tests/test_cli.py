"""The command line as a whole: its table, its help, its exit codes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from docs.generate import commands
from replay.cli import COMMANDS, INTERRUPTED, Entry, root
from replay.lake import Lake

PATHS = [context.command_path for context in commands()]
HEAVY = {"deltalake", "duckdb", "numba", "numpy", "pyarrow", "pydantic", "rich", "torch"}


def context_of(path: str) -> click.Context:
    return next(context for context in commands() if context.command_path == path)


def replay(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "replay.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, replay.cli\ntry: replay.cli.main(['--help'])\nfinally: print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "click" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: str(entry.name))
def test_the_root_says_of_a_command_what_it_says_of_itself(entry: Entry) -> None:
    context = click.Context(root, info_name="replay")
    command = root.get_command(context, entry.name)
    assert command is not None
    assert command.get_short_help_str(limit=100) == entry.help


@pytest.mark.parametrize("path", PATHS)
def test_every_option_has_help(path: str) -> None:
    context = context_of(path)
    for parameter in context.command.get_params(context):
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts


@pytest.mark.parametrize("path", PATHS)
def test_every_command_has_an_example_and_the_common_options(path: str) -> None:
    context = context_of(path)
    if isinstance(context.command, click.Group):
        return
    lines = [line.strip() for line in context.get_help().splitlines()]
    starts = [i for i, line in enumerate(lines) if line in ("Example:", "Examples:")]
    assert starts, "no example, or rewrapped"
    assert lines[starts[0] + 1].startswith(("replay ", "$ replay "))
    options = {name for option in context.command.params for name in option.opts}
    assert {"--home", "--json"} <= options


def test_unknown_command_names_the_nearest() -> None:
    done = replay("stauts")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "replay: no command named 'stauts'. Did you mean status or audit?\n"


def test_missing_option_is_one_line() -> None:
    done = replay("--from", "2026-03-01", "--to", "2026-03-02")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "replay: Missing option '--model'. See `replay run --help`.\n"


def test_unknown_option_is_one_line() -> None:
    done = replay("status", "--hom", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "--home" in done.stderr


def test_no_lake_is_one_line(tmp_path: Path) -> None:
    done = replay("status", "--home", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"replay: {tmp_path} is no lake")
    assert done.stderr.count("\n") == 1


def test_bare_replay_shows_help_and_fails() -> None:
    done = replay()
    assert (done.returncode, done.stdout) == (2, "")
    assert "Commands:\n  run " in done.stderr


def test_ctrl_c_while_a_file_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "clicks.csv"
    os.mkfifo(pipe)
    arguments = [
        "import",
        "clicks",
        str(pipe),
        "--home",
        str(tmp_path / "lake"),
        "--currency",
        "USD",
    ]
    command = [sys.executable, "-m", "replay.cli", *arguments]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process,
        pipe.open("w"),  # opens when the command has opened its end
    ):
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.strip()) == (130, f"replay: {INTERRUPTED}")
    assert not (tmp_path / "lake").exists()


def test_two_ctrl_c_end_a_query_that_never_ends(tmp_path: Path) -> None:
    Lake.create(tmp_path / "lake", "USD")
    query = "SELECT sum(a.range * b.range) FROM range(100000000) a, range(100000000) b"
    script = (
        "import os, signal, threading; from replay.cli import main;"
        "keys = (os.getpid(), signal.SIGINT);"
        "threading.Timer(2, os.kill, keys).start(); threading.Timer(4, os.kill, keys).start();"
        f"main(['sql', {query!r}, '--home', {str(tmp_path / 'lake')!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode in (130, -signal.SIGINT)  # the second where the first had to wait
    assert "Traceback" not in done.stderr


def test_output_cut_short_by_a_pipe_is_no_traceback() -> None:
    line = f"{sys.executable} -m replay.cli --help | true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
