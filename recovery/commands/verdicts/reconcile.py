"""`replay verdicts reconcile`: whether the ledger adds up."""

import sys
from collections.abc import Iterator

import click
from rich.table import Table

from recovery.reconcile import Reconciliation, Totals
from recovery.reconcile import reconcile as check_ledger
from recovery.rules import EXAMPLES
from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.formats import money, new_table
from replay.summary import Tally


@click.command()
@home_option
@json_option
def reconcile(home: str | None, as_json: bool) -> None:
    """Check that the ledger adds up; exit 1 where it does not.

    Holds every verdict against the click that it is on, the decision that it starts from and the
    price that it moves; every click's and campaign's money against the log; and every publication
    against its record. Campaigns are counted over all clicks of the days (UTC) that have verdicts.

    \b
    Example:
      replay verdicts reconcile
    """
    lake = open_lake(home)
    found = check_ledger(lake)
    if as_json:
        print_json({"currency": lake.config.currency, **found.to_json()})
    else:
        _show(found, lake.config.currency)
    if not found.reconciles:
        sys.exit(1)


def _show(found: Reconciliation, currency: str) -> None:
    if not found.totals.verdicts:
        click.echo("the ledger is empty: nothing was published")
    else:
        screen().print(_checks(found))
        click.echo("\n" + "\n".join(_totals(found.totals, currency)))
    if found.reconciles:
        click.echo("reconciles: every check holds")
        return
    for line in _differences(found):
        click.echo(line, err=True)


def _checks(found: Reconciliation) -> Table:
    made = new_table("check", "what holds", ">looked at", ">differ", "")
    for check in found.checks:
        sign = "✓" if check.holds else "✗"
        made.add_row(check.name, check.meaning, f"{check.looked:,}", f"{check.differ:,}", sign)
    return made


def _totals(totals: Totals, currency: str) -> Iterator[str]:
    def written(tally: Tally) -> str:
        return f"{tally.clicks:,} ({money(tally.micros, currency, signed=True)})"

    yield (
        f"{totals.verdicts:,} verdicts: {written(totals.credits)} credits, "
        f"{written(totals.rebills)} re-bills, {totals.neutral:,} without money; "
        f"net {money(totals.net_micros, currency, signed=True)}"
    )
    imported = f"; imported verdicts: {totals.imported:,}" if totals.imported else ""
    yield f"publications and reverts: {totals.publications:,}{imported}"


def _differences(found: Reconciliation) -> Iterator[str]:
    """Name each check that does not hold, with examples and what to do."""
    failed = [check for check in found.checks if not check.holds]
    for check in failed:
        yield f"{check.name}: {check.differ:,} of {check.looked:,} differ from: {check.meaning}"
        for example in check.examples:
            yield f"  {example}"
        if check.differ > EXAMPLES:
            yield f"  and more, {check.differ:,} in all"
        yield f"  what to do: {check.todo}"
    names = ", ".join(check.name for check in failed)
    yield f"replay: the ledger does not reconcile: {names}"
