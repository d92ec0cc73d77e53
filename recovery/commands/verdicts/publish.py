"""`replay verdicts publish`: a run's corrections into the ledger, and from there to the sinks."""

import click

from recovery.commands.verdicts.correct import Asked, correct, read_terms, terms_options
from recovery.publishing import propose
from recovery.publishing import publish as commit
from replay.console import home_option, json_option


@click.command()
@click.argument("run_id")
@terms_options
@home_option
@json_option
def publish(
    run_id: str,
    yes: bool,
    rebill: bool,
    overrides: tuple[str, ...],
    reason: str | None,
    by: str | None,
    no_deliver: bool,
    home: str | None,
    as_json: bool,
) -> None:
    """Publish a run's corrections; RUN_ID may be `latest`.

    Shows what would change, for whom and for how much money, holds it to the gates, and asks. Every
    click is set to what the run decided, counted from the decision in effect now: so overlapping
    runs net out. A run is published once; again, it is only delivered to sinks that lack it.

    \b
    Example:
      replay verdicts publish latest
      replay verdicts publish latest --override changed --reason "the robot wave of 2 March" --yes
    """
    asked = Asked(home, yes, no_deliver, as_json, by)
    correct(asked, run_id, read_terms(rebill, overrides, reason, by), propose, commit)
