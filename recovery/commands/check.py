"""`replay check`: a version against simulated bursts and incidents."""

import os
import sys
from pathlib import Path

import click

from recovery.check.cache import SimulatedLakes
from recovery.check.candidate import staged
from recovery.check.checking import expected_clicks, run_check
from recovery.check.forms import check_json, junit
from recovery.check.report import breaches, check_table, verdict
from recovery.check.suite import choose
from replay.config import find_cache
from replay.console import home_option, json_option, open_lake, print_json, progress, screen
from replay.durable import put_whole
from replay.errors import BadInput
from replay.lake import writing


@click.command()
@click.option(
    "--model", required=True, metavar="V", help="A version, or production, previous, latest."
)
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    metavar="NAME|FILE",
    help="A scenario with bounds; again for more. Else every shipped one.",
)
@click.option("--fast", is_flag=True, help="Only the few scenarios that are marked as fast.")
@click.option("--junit", "junit_file", metavar="FILE", help="Also write JUnit XML.")
@click.option(
    "--cache",
    metavar="DIR",
    help="Where simulated lakes are kept; else REPLAY_CACHE, else the user's cache folder.",
)
@home_option
@json_option
def check(
    model: str,
    scenarios: tuple[str, ...],
    fast: bool,
    junit_file: str | None,
    cache: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Hold a version against simulated bursts and incidents.

    Simulates each scenario that has bounds (or takes it from the cache), replays it with the
    version, and compares what it decides with who clicked: robots detected by kind, people called
    robots by slice, what of an incident it repairs, and money wrongly credited. Exits 1, with a
    line for each, where a bound is broken.

    \b
    Example:
      replay check --model latest --junit build/check.xml
    """
    if fast and scenarios:
        raise click.UsageError("--fast chooses the scenarios; leave it out, or --scenario")
    cases = choose(scenarios, fast=fast)
    target = None if junit_file is None else _writable(junit_file)
    lakes = SimulatedLakes(find_cache(cache))
    with (
        staged(open_lake(home), model) as candidate,
        progress("check", expected_clicks(cases, lakes)) as advance,
    ):
        found = run_check(candidate, cases, lakes, advance)
    if target is not None:
        with writing(target):
            put_whole(target, junit(found))
    if as_json:
        print_json(check_json(found))
    else:
        console = screen()
        console.print(check_table(found))
        console.print(verdict(found))
    for line in breaches(found):
        click.echo(f"broken: {line}", err=True)
    if not found.holds:
        sys.exit(1)


def _writable(name: str) -> Path:
    """Return a file that can be written; raise BadInput before hours of work are lost on it."""
    path = Path(name).absolute()
    if path.is_dir():
        raise BadInput(f"--junit {name} is a folder; give a file in it")
    if not path.parent.is_dir():
        raise BadInput(f"--junit {name}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise BadInput(f"--junit {name}: {path.parent} can't be written to; give another place")
    return path
