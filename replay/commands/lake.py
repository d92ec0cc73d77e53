"""`replay lake`: looking after the lake's files."""

from dataclasses import asdict

import click

from replay.compaction import compact as compact_lake
from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.formats import new_table
from replay.span import now_micros, parse_time


@click.group()
def lake() -> None:
    """Look after the lake's files."""


@lake.command()
@click.option(
    "--before",
    default="now",
    show_default=True,
    metavar="TIME",
    help="Only days that ended by then; today's files are never touched.",
)
@home_option
@json_option
def compact(before: str, home: str | None, as_json: bool) -> None:
    """Merge the small files of closed days, in log order. Rows and earlier versions stay.

    \b
    Example:
      replay lake compact --before -7d
    """
    now = now_micros()
    done = compact_lake(open_lake(home), parse_time(before, now), now)
    if as_json:
        print_json([asdict(table) for table in done])
        return
    if not any(table.days for table in done):
        click.echo("nothing to do: every closed day is one file")
        return
    shown = new_table("table", ">days", ">files before", ">files now", ">rows")
    for table in done:
        counts = (table.days, table.files, table.days, table.rows)
        shown.add_row(table.table, *(f"{count:,}" for count in counts))
    screen().print(shown)
