"""`replay verdicts show`: one publication, or one verdict with all of its click's."""

from typing import Any

import click

from recovery.commands.verdicts.list_ import run_json, verdict_json, verdicts_table
from recovery.history import PublishedRun, chain, published_run, unknown
from recovery.report import effects_line, gates_table, record_lines
from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.formats import described, money, printable
from replay.span import iso_local


@click.command()
@click.argument("id_", metavar="ID")
@home_option
@json_option
def show(id_: str, home: str | None, as_json: bool) -> None:
    """Show a publication and its gates, or a verdict and all others on its click.

    ID is a run's (or `latest`, the newest publication), a verdict's or a click's.

    \b
    Example:
      replay verdicts show latest
    """
    lake = open_lake(home)
    currency = lake.config.currency
    if run := published_run(lake, id_):
        if as_json:
            print_json(run_json(run))
        else:
            _show_run(run, currency)
        return
    rows = chain(lake, id_)
    if not rows:
        raise unknown(lake, id_)
    if as_json:
        print_json({"click_id": rows[0]["click_id"], "verdicts": [verdict_json(r) for r in rows]})
    else:
        _show_chain(rows, currency)


def _show_run(run: PublishedRun, currency: str) -> None:
    if not run.records:
        click.echo(f"run {printable(run.run_id)}: {run.verdicts:,} verdicts, imported")
        click.echo(effects_line(run.credits, run.rebills, run.neutral, currency))
    for record in run.records:
        click.echo("\n".join(record_lines(record, currency)))
        screen().print(gates_table(record.gates))
    click.echo(f"{run.in_effect:,} of its {run.verdicts:,} verdicts are in effect")


def _show_chain(rows: list[dict[str, Any]], currency: str) -> None:
    screen().print(verdicts_table(rows, currency))
    total = money(sum(row["adjustment_micros"] for row in rows), currency, signed=True)
    facts = [("decision now", str(rows[-1]["decision"])), ("sum of the adjustments", total)]
    for row in rows:
        facts += [
            (f"verdict {row['ledger_seq']:,}", row["verdict_id"]),
            ("  issued", iso_local(row["issued_at"])),
            ("  run", row["run_id"]),
            ("  reason", row["reason"]),
        ]
    screen().print(described(facts))
