"""`replay verdicts`: the ledger of corrections, and what is done with it."""

import click

from recovery.commands.subcommands import Subcommands

SUBCOMMANDS: dict[str, tuple[str, str]] = {
    "publish": ("publish:publish", "Publish a run's corrections."),
    "revert": ("revert:revert", "Undo a published run."),
    "list": ("list_:list_", "List what was published and reverted."),
    "show": ("show:show", "Show one publication, or one verdict and its chain."),
    "reconcile": ("reconcile:reconcile", "Check that the ledger adds up."),
    "deliver": ("deliver:deliver", "Send the sinks what they do not have yet."),
    "status": ("status:status", "Show the ledger's totals and each sink's lag."),
    "statement": ("statement:statement", "Write a refund statement."),
}


class _Verdicts(Subcommands):
    package = __name__
    table = SUBCOMMANDS


@click.group(cls=_Verdicts)
def verdicts() -> None:
    """Publish corrections and undo them.

    Every correction stands in one ledger, which these commands add to, deliver from and check.

    \b
    Example:
      replay verdicts publish latest
    """
