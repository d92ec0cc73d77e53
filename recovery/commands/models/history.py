"""`replay models history`: what was in production, and who put it there."""

import click

from recovery.commands.models.moves import promotion_json, warn_of_unknown
from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.formats import new_table
from replay.production import Production, read_production
from replay.span import iso, to_datetime

SHOWN = 50


@click.command()
@click.option("--limit", type=click.IntRange(1), default=SHOWN, help="At most so many moves.")
@home_option
@json_option
def history(limit: int, home: str | None, as_json: bool) -> None:
    """List what was in production and who put it there, the newest first.

    \b
    Example:
      replay models history
    """
    lake = open_lake(home)
    production = read_production(lake)
    moves = _moves(production)[:limit]
    if as_json:
        print_json({"history": moves})
        return
    if not moves:
        click.echo("nothing was ever in production")
        return
    warn_of_unknown(lake, *(row.model_version for row in production.history[-limit:]))
    made = new_table("since (UTC)", "version", "action", "from", "by", "reason")
    made.columns[0].no_wrap = made.columns[1].no_wrap = True
    for row, move in zip(reversed(production.history), moves, strict=False):
        made.add_row(
            f"{to_datetime(row.at):%Y-%m-%d %H:%M:%S}",
            row.model_version,
            row.action,
            str(move["before"] or "none"),
            row.by,
            row.reason,
        )
    screen().print(made)
    if (more := len(production.history) - len(moves)) > 0:
        click.echo(f"{more:,} older; --limit shows more of them")


def _moves(production: Production) -> list[dict[str, object]]:
    """Return every row with what stood before it and until when it stood, the newest first."""
    rows = production.history
    before = [None, *(row.model_version for row in rows)]
    until = [*(iso(row.at) for row in rows[1:]), None]
    found = [
        {"before": was, **promotion_json(row), "until": end}
        for was, row, end in zip(before, rows, until, strict=False)
    ]
    return found[::-1]
