"""`replay models`: the stored versions, and which of them stands in production."""

import click

from recovery.commands.subcommands import Subcommands
from replay.span import now_micros

SUBCOMMANDS: dict[str, tuple[str, str]] = {
    "list": ("list_:list_", "List the stored versions."),
    "show": ("show:show", "Show what a version was made of, and its thresholds."),
    "compare": ("compare:compare", "Set two versions side by side."),
    "import": ("import_:import_", "Store a model made elsewhere, a graph in ONNX, as a version."),
    "calibrate": ("calibrate:calibrate", "Give each slice a threshold, at one budget of FPR."),
    "promote": ("promote:promote", "Put a version into production."),
    "rollback": ("rollback:rollback", "Put back the version before the present one."),
    "history": ("history:history", "List what was in production, and who put it there."),
    "at": ("at:at", "Tell what was in production at a time."),
}


class _Models(Subcommands):
    package = __name__
    table = SUBCOMMANDS

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note when the command was given: importing a subcommand takes longer than its work."""
        ctx.obj = now_micros()
        return super().parse_args(ctx, args)


@click.group(cls=_Models)
def models() -> None:
    """List, compare, import and calibrate model versions, promote them, and roll back.

    \b
    Example:
      replay models rollback
    """
