"""What commands share: the home and JSON options, printing, and progress.

Data goes to stdout; progress, warnings and errors go to stderr. With `--json`, stdout holds one
JSON document and nothing else.
"""

import getpass
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from replay.config import find_home
from replay.lake import Lake

LOG_EVERY_SECONDS = 5.0

F = TypeVar("F", bound=Callable[..., Any])


def home_option(function: F) -> F:
    """Add `--home`."""
    return click.option(
        "--home",
        metavar="DIR",
        help="The lake's folder; else REPLAY_HOME, else the nearest replay.toml.",
    )(function)


def json_option(function: F) -> F:
    """Add `--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
    )(function)


def open_lake(home: str | None) -> Lake:
    """Open the lake that the options, the environment or a `replay.toml` name."""
    return Lake.open(find_home(home, Path.cwd()))


def user_name(given: str | None) -> str:
    """Return the name that `--by` gives, else that of who is logged in, else the number."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def print_json(document: object) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=str))


def screen(*, stderr: bool = False) -> Console:
    """Return a rich console that does not guess at numbers or markup in users' text."""
    width = None if sys.stdout.isatty() else 110
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)


def command_line(home: str | None, *words: str) -> str:
    """Return a command to type next: this program as it was called, and `--home` if it was given.

    >>> command_line("my lake", "status").split(" ", 1)[1]
    "status --home 'my lake'"
    """
    called = sys.argv[0]
    program = "replay" if called == shutil.which("replay") else called
    given = ["--home", home] if home else []
    return shlex.join([program, *words, *given])


def warn(message: str) -> None:
    """Write a warning to stderr, one line."""
    click.echo(f"warning: {message}", err=True)


class Advance(Protocol):
    """Tells how many more units are done."""

    def __call__(self, units: int) -> None:
        """Count `units` more."""
        ...


@contextmanager
def progress(what: str, total: int, unit: str = "clicks") -> Iterator[Advance]:
    """Show rate and time left on stderr: a bar on a terminal, a log line now and then elsewhere."""
    if sys.stderr.isatty():
        with _bar(what, total, unit) as advance:
            yield advance
    else:
        yield _Lines(what, total, unit)


@contextmanager
def _bar(what: str, total: int, unit: str) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started, done = time.monotonic(), 0
    with Progress(*columns, console=screen(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=max(total, 1), rate="")

        def advance(units: int) -> None:
            nonlocal done
            done += units
            rate = done / max(time.monotonic() - started, 1e-9)
            bars.update(task, advance=units, rate=f"{rate:,.0f} {unit}/s")

        yield advance


class _Lines:
    """Progress as plain log lines, at most one every few seconds."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._started = self._said = time.monotonic()
        self._done = 0

    def __call__(self, units: int) -> None:
        self._done += units
        now = time.monotonic()
        if now - self._said < LOG_EVERY_SECONDS:
            return
        self._said = now
        rate = self._done / max(now - self._started, 1e-9)
        left = max(self._total - self._done, 0) / max(rate, 1e-9)
        click.echo(
            f"{self._what}: {self._done:,} of {self._total:,} {self._unit}, "
            f"{rate:,.0f}/s, about {left:,.0f} s left",
            err=True,
        )
