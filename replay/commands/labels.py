"""`replay labels`: which clicks stand for humans, before a version is trained on them."""

from collections.abc import Iterator, Mapping

import click
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.formats import bar, described, new_table, percent, strip
from replay.label_report import HOURS, Count, LabelReport, read_labels
from replay.snapshot import Snapshot, reading
from replay.span import Span, iso_local, now_micros, parse_time

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST = 20  # rows of a table; --json has them all


@click.command()
@click.option("--from", "from_", required=True, metavar="TIME", help="First moment, inclusive.")
@click.option("--to", required=True, metavar="TIME", help="Last moment, exclusive.")
@click.option(
    "--known-by", metavar="TIME", help="Label by the purchases known before then; else by --to."
)
@click.option("--as-of", metavar="TIME", help="Read the lake as it was known then.")
@home_option
@json_option
def labels(
    from_: str, to: str, known_by: str | None, as_of: str | None, home: str | None, as_json: bool
) -> None:
    """Count the clicks that stand for humans.

    Those that led to a purchase, and those made logged in from accounts that buy much and often; by
    slice, by hour of the week and by source. Without --known-by they are the labels that `replay
    train` sees on the same span.

    \b
    Example:
      replay labels --from 2026-03-01 --to 2026-03-02
    """
    now = now_micros()
    span = Span(parse_time(from_, now), parse_time(to, now))
    known = span.end if known_by is None else parse_time(known_by, now)
    snapshot = Snapshot.take(open_lake(home), None if as_of is None else parse_time(as_of, now))
    with reading(snapshot):
        report = read_labels(snapshot, span, known)
    if as_json:
        print_json(report.to_json())
        return
    console = screen()
    for part in _screen(report):
        console.print(part)


def _screen(report: LabelReport) -> Iterator[RenderableType]:
    yield described(
        {
            "from": iso_local(report.start),
            "to": iso_local(report.end),
            "known by": iso_local(report.known_by),
            "accounts": f"{report.scored:,} with a purchase, {report.high_rfm:,} of them with an "
            f"RFM score of {report.threshold} or more",
            "human": f"{percent(report.total.share)} clicks",
        }.items()
    )
    for title, table in (
        ("label from", _sources(report.total)),
        ("by slice", _counts("slice", report.slices)),
        ("by source of the click", _counts("source", report.log_sources)),
        ("by hour of the week (UTC), from 0:00 to 23:00", _hours(report.hours)),
    ):
        yield Text(f"\n{title}")
        yield table


def _sources(total: Count) -> Table:
    made = new_table("source", ">clicks", "share")
    for name, clicks in total.by_source.items():
        made.add_row(name, f"{clicks:,}", bar(clicks, total.clicks))
    return made


def _counts(name: str, counts: Mapping[str, Count]) -> Table:
    """Return a row for each of the keys with the most clicks, and one for all others."""
    made = new_table(name, ">clicks", ">human", ">purchasing", ">high RFM", "share human")
    by_clicks = sorted(counts.items(), key=lambda item: -item[1].clicks)
    shown, others = by_clicks[:MOST], by_clicks[MOST:]
    if others:
        shown.append((f"{len(others):,} others", sum((count for _, count in others), Count())))
    for key, count in shown:
        figures = (count.clicks, count.human, count.purchasing, count.high_rfm)
        made.add_row(key, *(f"{n:,}" for n in figures), bar(count.human, count.clicks))
    return made


def _hours(hours: Mapping[int, Count]) -> Table:
    """Draw each weekday's hours: all clicks, and the human ones, each to its own scale."""
    made = new_table("day", ">clicks", ">human", "clicks by hour", "human clicks by hour")
    most = max(count.clicks for count in hours.values())
    most_human = max(count.human for count in hours.values())
    for number, name in enumerate(WEEKDAYS):
        day = [hours.get(number * HOURS + hour, Count()) for hour in range(HOURS)]
        total = sum(day, Count())
        if total.clicks:
            made.add_row(
                name,
                f"{total.clicks:,}",
                f"{total.human:,}",
                strip([count.clicks for count in day], most),
                strip([count.human for count in day], most_human),
            )
    return made
