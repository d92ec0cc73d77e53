"""`replay verdicts revert`: undo a published run."""

import click

from recovery.commands.verdicts.correct import Asked, correct, read_terms, terms_options
from recovery.publishing import propose_revert
from recovery.publishing import revert as commit
from replay.console import home_option, json_option


@click.command()
@click.argument("run_id")
@terms_options
@home_option
@json_option
def revert(
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
    """Undo a published run, or a revert (its id is `revert-RUN_ID`); `latest` is the newest.

    Restores, click by click, the decision before the run, where the run's verdict is still the last
    one; the others are listed. Undoing a credit bills the click again, so it takes --rebill.

    \b
    Example:
      replay verdicts revert 20260302T201500Z-a1b2c3
      replay verdicts revert 20260302T201500Z-a1b2c3 --rebill --reason "wrong model" --yes
    """
    asked = Asked(home, yes, no_deliver, as_json, by)
    correct(asked, run_id, read_terms(rebill, overrides, reason, by), propose_revert, commit)
