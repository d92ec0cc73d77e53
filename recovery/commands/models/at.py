"""`replay models at`: what was in production at a time."""

import click

from recovery.commands.models.moves import promotion_json, warn_of_unknown
from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.errors import BadTime
from replay.formats import described
from replay.production import Production, Stood, read_production
from replay.span import iso, iso_local, now_micros, parse_time


@click.command(context_settings={"ignore_unknown_options": True})  # -6h is a time
@click.argument("time")
@home_option
@json_option
def at(time: str, home: str | None, as_json: bool) -> None:
    """Tell what was in production at TIME, and from when to when.

    \b
    Example:
      replay models at 2026-03-02T14:00
      replay models at -6h
    """
    now = now_micros()
    ts = parse_time(time, now)
    if ts > now:
        raise BadTime(f"{iso(ts)} is yet to come; `replay models at now` tells what stands now")
    lake = open_lake(home)
    production = read_production(lake)
    stood = production.stood(ts)
    if as_json:
        print_json(_json(ts, stood))
        return
    if stood.row:
        warn_of_unknown(lake, stood.row.model_version)
    screen().print(described(_described(ts, stood, production)))


def _json(ts: int, stood: Stood) -> dict[str, object]:
    row, until = stood.row, stood.until
    return {
        "at": iso(ts),
        "version": row.model_version if row else None,
        "from": iso(row.at) if row else None,
        "to": None if until is None else iso(until),
        "put_there": promotion_json(row) if row else None,
    }


def _described(ts: int, stood: Stood, production: Production) -> list[tuple[str, str]]:
    row, until = stood.row, stood.until
    rows = [("at", iso_local(ts)), ("in production", row.model_version if row else "none")]
    rows += [("from", iso_local(row.at))] if row else []
    rows += [("to", "now" if until is None else f"{iso_local(until)}, then {production.at(until)}")]
    rows += [("put there", f"by {row.by} ({row.action}): {row.reason}")] if row else []
    return rows
