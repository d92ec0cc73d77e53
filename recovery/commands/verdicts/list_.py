"""`replay verdicts list`: what was published and reverted."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import click
from rich.table import Table

from recovery.history import PublishedRun, published_run, published_runs, unknown, verdicts_of
from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.formats import money, new_table
from replay.span import iso, to_datetime

SHOWN = 50


@click.command("list")
@click.option("--run", "run_id", metavar="RUN_ID", help="List this run's verdicts; or latest.")
@click.option("--limit", type=click.IntRange(1), default=SHOWN, help="At most so many verdicts.")
@home_option
@json_option
def list_(run_id: str | None, limit: int, home: str | None, as_json: bool) -> None:
    """List what was published and reverted, the newest first; with --run, its verdicts.

    \b
    Example:
      replay verdicts list
      replay verdicts list --run latest --limit 10
    """
    lake = open_lake(home)
    if run_id is None:
        found = list(reversed(published_runs(lake)))
        if as_json:
            print_json({"runs": [run_json(run) for run in found]})
        elif not found:
            click.echo("the ledger is empty: nothing was published")
        else:
            screen().print(_runs(found, lake.config.currency))
        return
    run = published_run(lake, run_id)
    if run is None:
        raise unknown(lake, run_id)
    rows = verdicts_of(lake, run.run_id, limit)
    if as_json:
        print_json({"run_id": run.run_id, "verdicts": [verdict_json(row) for row in rows]})
        return
    screen().print(verdicts_table(rows, lake.config.currency))
    if run.verdicts > len(rows):
        click.echo(f"{run.verdicts - len(rows):,} more; --limit shows more of them")


def run_json(run: PublishedRun) -> dict[str, Any]:
    """Return a published run as plain data; times in UTC, money in micros."""
    records = [record.model_dump(mode="json") for record in run.records]
    sums = {"action": run.action, "neutral": run.neutral, "since": iso(run.since)}
    return {**asdict(run), **sums, "records": records}


def verdict_json(row: dict[str, Any]) -> dict[str, Any]:
    """Return a verdict as plain data, its times in UTC."""
    return {**row, "ts": iso(row["ts"]), "issued_at": iso(row["issued_at"])}


def verdicts_table(rows: Iterable[dict[str, Any]], currency: str) -> Table:
    """Return verdicts with their money and causes; ids are shown whole."""
    made = new_table(">number", "click", "time", "advertiser", "decision", ">money", "reason")
    made.columns[1].no_wrap = made.columns[2].no_wrap = True
    for row in rows:
        made.add_row(
            f"{row['ledger_seq']:,}",
            row["click_id"],
            f"{to_datetime(row['ts']):%Y-%m-%d %H:%M:%S}",
            row["advertiser_id"],
            f"{row['previous']} → {row['decision']}",
            money(row["adjustment_micros"], currency, signed=True),
            row["reason"].partition(";")[0].partition(" of ")[0],
        )
    return made


def _runs(runs: list[PublishedRun], currency: str) -> Table:
    made = new_table("run", "action", "since", ">verdicts", ">in effect", ">credits", ">re-bills")
    made.columns[0].no_wrap = made.columns[2].no_wrap = True
    for run in runs:
        made.add_row(
            run.run_id,
            run.action,
            f"{to_datetime(run.since):%Y-%m-%d %H:%M}",
            f"{run.verdicts:,}",
            f"{run.in_effect:,}",
            money(run.credits.micros, currency, signed=True),
            money(run.rebills.micros, currency, signed=True),
        )
    return made
