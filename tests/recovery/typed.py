"""Commands as they are typed, in this process and at a terminal, on copies of the known lake."""

import os
import pty
import select
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from replay.cli import main
from replay.lake import Lake
from tests.recovery.corrections import known

GATES_OPEN = (
    "[gates]\nchanged = 1\ncredit_clicks = 1\ncredit_money = 1\nrebill_clicks = 1\n"
    "rebill_money = 1\nadvertiser = 1\nfpr = 1\nbilling_window = 99\n"
)
FILE_SINK = '[sinks.billing]\nkind = "ndjson"\npath = "out.ndjson"\n'
CTRL_C = b"\x03"

Replay = Callable[..., tuple[int, str, str]]


def typed(capsys: pytest.CaptureFixture[str]) -> Replay:
    """Return what runs a command and gives its exit code, stdout and stderr."""

    def run(*line: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(line)
        assert isinstance(stop.value.code, int)
        return (stop.value.code, *capsys.readouterr())

    return run


def configured(lake: Lake, settings: str) -> Lake:
    """Write a lake's settings."""
    (lake.home / "replay.toml").write_text(f'currency = "USD"\n{settings}')
    return Lake.open(lake.home)


def open_lake(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Copy the known lake, open its gates, give it a sink, and let commands find it."""
    made = known().copy(folder)
    monkeypatch.setenv("REPLAY_HOME", str(made.home))
    return configured(made, GATES_OPEN + FILE_SINK)


def suggested(out: str) -> list[str]:
    """Return the words of the command that an output ends with, but for the program."""
    return shlex.split(out.splitlines()[-1])[1:]


def at_a_terminal(lake: Lake, key: bytes, *line: str) -> tuple[int, str]:
    """Type a key at the question; return the exit code and what was on the screen."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "replay.cli", *line, "--home", str(lake.home)]
    with subprocess.Popen(command, preexec_fn=lambda: os.login_tty(theirs)) as process:
        os.close(theirs)
        shown, typed_it = b"", False
        while True:
            readable, _, _ = select.select([ours], [], [], 1)
            try:
                shown += os.read(ours, 65_536) if readable else b""
            except OSError:  # the other end is closed
                break
            # Python may be about to read when Ctrl-C comes, and miss it: a person types it again.
            if b"[y/N]" in shown and (not typed_it or (key == CTRL_C and not readable)):
                os.write(ours, key)
                typed_it = True
        os.close(ours)
        code = process.wait(60)
    assert b"Traceback" not in shown
    return code, shown.decode()
