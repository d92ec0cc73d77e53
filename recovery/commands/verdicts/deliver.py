"""`replay verdicts deliver`: send the sinks what they do not have yet."""

from collections.abc import Sequence

import click

from recovery.delivered import Delivery
from recovery.delivery import deliver as send
from replay.console import home_option, json_option, open_lake, print_json, progress, screen
from replay.cursors import lags
from replay.formats import new_table
from replay.lake import Lake
from replay.snapshot import Snapshot, connect, reading
from replay.span import now_micros
from replay.tables import VERDICTS


@click.command()
@click.option("--sink", "names", metavar="NAME", multiple=True, help="This sink alone; repeatable.")
@click.option("--dead-letters", is_flag=True, help="Send again what the sinks refused before.")
@home_option
@json_option
def deliver(names: tuple[str, ...], dead_letters: bool, home: str | None, as_json: bool) -> None:
    """Send the sinks of replay.toml what they do not have yet.

    Each goes on from where it is, and none waits for another. What is sent again has the same ids.
    Exit code 2 where a sink could not be served, 1 where one has dead letters: verdicts that it
    refused while it took others, now or before.

    \b
    Example:
      replay verdicts deliver --sink billing
    """
    report = deliver_now(open_lake(home), names, dead_letters=dead_letters)
    if as_json:
        print_json(report.to_json())
    else:
        show_delivery(report)
    end(report)


def deliver_now(lake: Lake, names: Sequence[str] = (), *, dead_letters: bool = False) -> Delivery:
    """Deliver to the sinks named, or to all, and show progress."""
    with progress("delivering", _waiting(lake, names), "verdicts") as advance:
        return send(lake, names or None, dead_letters=dead_letters, advance=advance, say=_say)


def end(report: Delivery) -> None:
    """Say what stood in the way, a line for each sink, and exit as the report says."""
    for text in (*report.problems, *report.warnings):
        _say(text)
    if report.exit_code:
        click.get_current_context().exit(report.exit_code)


def _say(text: str) -> None:
    click.echo(f"replay: {' '.join(text.split())}", err=True)


def show_delivery(report: Delivery) -> None:
    """Print what each sink got."""
    if not report.sinks:
        click.echo("no sinks: name one in replay.toml, in a table [sinks.NAME]")
        return
    made = new_table("sink", "kind", ">sent", ">is at", ">of", ">dead letters", ">s", "where")
    for served in report.sinks:
        made.add_row(
            served.sink,
            served.kind,
            f"{served.sent:,}",
            f"{served.ledger_seq:,}",
            f"{served.head:,}",
            f"{served.withheld:,}",
            f"{served.seconds:.1f}",
            served.where,
        )
    screen().print(made)


def _waiting(lake: Lake, names: Sequence[str]) -> int:
    """Count what the cursors say is left to send."""
    snapshot = Snapshot.take(lake, tables=(VERDICTS,))
    with reading(snapshot), connect() as connection:
        found = lags(connection, snapshot, now_micros())
    return sum(lag.verdicts or 0 for lag in found if not names or lag.sink in names)
