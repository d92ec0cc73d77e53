"""`replay status`: what stands in production now."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import click
from rich.table import Table

from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.cursors import Lag, in_words
from replay.formats import bar, new_table, percent
from replay.span import iso_local, now_micros, to_datetime
from replay.status import HourStatus, Status, read_status

RUNS_SHOWN = 5


@click.command()
@home_option
@json_option
def status(home: str | None, as_json: bool) -> None:
    """Show what stands in production now.

    The version and since when, the last 24 hours of decisions, open incidents, runs whose changes
    are not published, how far each sink of verdicts is behind, and each machine's log of decisions.

    \b
    Example:
      replay status
    """
    found = read_status(open_lake(home), now_micros())
    if as_json:
        shares = {"ivr": found.ivr.rate, "undecided": found.undecided.rate}
        print_json({**_plain(found), **shares, "sinks": [lag.to_json() for lag in found.sinks]})
        return
    for line in _lines(found):
        click.echo(line)
    if found.hours:
        screen().print(_hours(found.hours))


def _plain(found: Status) -> dict[str, Any]:
    return asdict(replace(found, sinks=()))


def _lines(found: Status) -> Iterator[str]:
    since = f" since {iso_local(found.since)}" if found.since is not None else ""
    yield f"production      {found.production or 'none'}{since}"
    yield f"previous        {found.previous or 'none'}"
    if found.last_click is None or found.day is None:
        yield "clicks          none yet"
    else:
        yield f"last click      {iso_local(found.last_click)}"
        yield f"last 24 h       {found.day}"
        yield f"IVR             {percent(found.ivr)} clicks"
        yield f"undecided       {percent(found.undecided)} clicks (never logged ones too)"
    yield from _list("open incident", found.open_incidents)
    yield from _list("not published", found.unpublished_runs[-RUNS_SHOWN:])
    if (more := len(found.unpublished_runs) - RUNS_SHOWN) > 0:
        yield f"                and {more:,} older"
    yield from _list("sink", tuple(map(_behind, found.sinks)))
    for log in found.logs:
        if not log.closed:
            yield f"{'log':<16}{log}"


def _behind(lag: Lag) -> str:
    """Say in a line how far a sink is behind, and what is wrong with it."""
    if lag.verdicts is None or lag.micros is None:
        return f"{lag.sink} ({lag.kind}): {lag.problem}"
    behind = f"{lag.verdicts:,} verdicts behind, for {in_words(lag.micros)}"
    said = [behind if lag.verdicts else "has every verdict"]
    said += [f"{lag.refused:,} in dead letters"] if lag.refused else []
    said += [f"failing: {lag.problem}"] if lag.problem else []
    return f"{lag.sink} ({lag.kind}): {'; '.join(said)}"


def _list(name: str, lines: tuple[str, ...]) -> Iterator[str]:
    for line in lines or ("none",):
        yield f"{name:<16}{line}"


def _hours(hours: tuple[HourStatus, ...]) -> Table:
    made = new_table("hour (UTC)", ">clicks", ">invalid", ">undecided", "share invalid")
    for hour in hours:
        made.add_row(
            f"{to_datetime(hour.start):%Y-%m-%d %H:%M}",
            f"{hour.clicks:,}",
            f"{hour.invalid:,}",
            f"{hour.undecided + hour.missing:,}",
            bar(hour.invalid, hour.clicks),
        )
    return made
