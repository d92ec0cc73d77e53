"""`replay verdicts`: the ledger of corrections, and what is done with it."""

from importlib import import_module

import click

from scorer.errors import nearest

# Subcommand → "module:function", loaded on use, as in `replay.cli`.
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


class Subcommands(click.Group):
    """A group that imports a subcommand when it is called, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the subcommand, or None where the table has no such name."""
        if cmd_name not in SUBCOMMANDS:
            return None
        module, _, function = SUBCOMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(f"{__name__}.{module}"), function)
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without importing what it lists."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in SUBCOMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest subcommands where there is none of this name."""
        if args[0] not in SUBCOMMANDS:
            hint = nearest(args[0], SUBCOMMANDS, "`replay verdicts --help` lists them.")
            raise click.UsageError(f"no command named {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Subcommands)
def verdicts() -> None:
    """Publish corrections and undo them.

    Every correction stands in one ledger, which these commands add to, deliver from and check.

    \b
    Example:
      replay verdicts publish latest
    """
