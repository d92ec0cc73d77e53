"""`replay models rollback`: put back the version before the present one."""

import click

from recovery.commands.models.moves import move_json, said
from recovery.production import rollback as put_back
from replay.console import command_line, home_option, json_option, open_lake, print_json, user_name
from replay.span import now_micros


@click.command()
@click.option("--to", metavar="VERSION", help="Go back to this one; else to the one before.")
@click.option("--reason", help="Why; kept with the rollback.")
@click.option("--by", metavar="NAME", help="Who rolls back; else the user who is logged in.")
@home_option
@json_option
@click.pass_obj
def rollback(
    asked: int,
    to: str | None,
    reason: str | None,
    by: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Put back, from now on, the version that was in production before the present one.

    Never goes to a version that was rolled back from; only `replay models promote` does.

    \b
    Example:
      replay models rollback
      replay models rollback --to v2 --reason "v3 and v4 take people in the app for robots"
    """
    move = put_back(open_lake(home), user_name(by), now_micros(), reason, to, asked)
    why = f"undoes the rollback from {move.before}"
    undo = command_line(home, "models", "promote", str(move.before), "--reason", why)
    if as_json:
        print_json({**move_json(move), "undo": undo})
    else:
        click.echo(f"{said(move)}\nTo undo:\n  {undo}")
