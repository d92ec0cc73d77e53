"""`replay verdicts status`: what the ledger comes to, and how far each sink is."""

from dataclasses import asdict

import click

from recovery.sinks import open_sinks
from recovery.totals import Totals, read_totals
from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.cursors import Lag, in_words, lags
from replay.formats import described, money, new_table
from replay.lake import Lake
from replay.snapshot import Snapshot, connect, reading
from replay.span import now_micros, to_datetime
from replay.tables import VERDICTS
from scorer.errors import BadInput


@click.command()
@home_option
@json_option
def status(home: str | None, as_json: bool) -> None:
    """Show the ledger's totals and how far each sink is behind.

    Says what the cursors say, and asks no sink.

    \b
    Example:
      replay verdicts status
    """
    lake = open_lake(home)
    snapshot = Snapshot.take(lake, tables=(VERDICTS,))
    with reading(snapshot), connect() as connection:
        totals = read_totals(connection, snapshot)
        found = lags(connection, snapshot, now_micros())
    places = _places(lake)
    if as_json:
        sinks = [{**lag.to_json(), "where": places[lag.sink]} for lag in found]
        print_json({"ledger": asdict(totals), "sinks": sinks})
        return
    screen().print(described(_totals(totals, lake.config.currency)))
    _show_sinks(found, places)


def _places(lake: Lake) -> dict[str, str]:
    """Say where each sink is, or what is wrong with its table in replay.toml."""
    places = {}
    for name in lake.config.sinks:
        try:
            (sink,) = open_sinks(lake, [name])
            places[name] = sink.where
        except BadInput as exc:
            places[name] = f"not usable: {exc}"
    return places


def _totals(totals: Totals, currency: str) -> list[tuple[str, str]]:
    def tally(clicks: int, micros: int) -> str:
        return f"{clicks:,}, {money(micros, currency, signed=True)}"

    return [
        ("verdicts", f"{totals.verdicts:,} on {totals.clicks:,} clicks"),
        ("credits", tally(totals.credits.clicks, totals.credits.micros)),
        ("re-bills", tally(totals.rebills.clicks, totals.rebills.micros)),
        ("neutral", f"{totals.neutral:,}"),
        ("net", money(totals.net_micros, currency, signed=True)),
        ("last verdict", f"{totals.head:,}"),
    ]


def _show_sinks(found: tuple[Lag, ...], places: dict[str, str]) -> None:
    if not found:
        click.echo("sinks           none; name one in replay.toml, in a table [sinks.NAME]")
        return
    made = new_table("sink", "kind", ">is at", ">behind", ">for", ">dead letters", "last", "where")
    made.columns[-1].overflow = "fold"
    for lag in found:
        made.add_row(
            lag.sink,
            lag.kind,
            "?" if lag.ledger_seq is None else f"{lag.ledger_seq:,}",
            "?" if lag.verdicts is None else f"{lag.verdicts:,}",
            "?" if lag.micros is None else in_words(lag.micros),
            f"{lag.refused:,}",
            "never" if lag.delivered_at is None else _short(lag.delivered_at),
            places[lag.sink],
        )
    click.echo()
    screen().print(made)
    for lag in found:
        if lag.problem:
            since = f" since {_short(lag.failing_since)}" if lag.failing_since else ""
            click.echo(f"{lag.sink} fails{since}: {lag.problem}")
        for letter in lag.dead_letters:
            click.echo(
                f"{lag.sink} refused verdicts {letter.first:,} to {letter.last:,} "
                f"({letter.attempts} attempts, {letter.at:%Y-%m-%d %H:%M}): {letter.error}"
            )


def _short(ts: int) -> str:
    return f"{to_datetime(ts):%Y-%m-%d %H:%M}"
