"""`replay models promote`: put a version into production."""

import click

from recovery.commands.models.moves import move_json, said
from recovery.production import promote as put_into_production
from replay.console import home_option, json_option, open_lake, print_json, user_name
from replay.production import open_versions, read_production
from replay.span import now_micros
from scorer.versions import resolve


@click.command()
@click.argument("version")
@click.option("--reason", required=True, help="Why; kept with the promotion.")
@click.option("--by", metavar="NAME", help="Who promotes; else the user who is logged in.")
@home_option
@json_option
@click.pass_obj
def promote(
    asked: int, version: str, reason: str, by: str | None, home: str | None, as_json: bool
) -> None:
    """Put a stored version into production from now on.

    \b
    Example:
      replay models promote v2 --reason "fewer humans lost on mobile web"
    """
    lake = open_lake(home)
    versions = open_versions(lake)
    name = resolve(version, versions, read_production(lake))
    metrics = versions.manifest(name).metrics
    move = put_into_production(lake, name, user_name(by), reason, metrics, now_micros(), asked)
    if as_json:
        print_json(move_json(move))
    else:
        click.echo(said(move))
