"""A group whose subcommands are imported when they are called, as `replay.cli` does it."""

from collections.abc import Mapping
from importlib import import_module
from typing import ClassVar

import click

from scorer.errors import nearest


class Subcommands(click.Group):
    """A group with a table of its subcommands: name → ("module:function", help).

    Modules are named within `package`.
    """

    package: ClassVar[str]
    table: ClassVar[Mapping[str, tuple[str, str]]]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the subcommand, or None where the table has no such name."""
        if cmd_name not in self.table:
            return None
        module, _, function = self.table[cmd_name][0].partition(":")
        command = getattr(import_module(f"{self.package}.{module}"), function)
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without importing what it lists."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest subcommands where there is none of this name."""
        if args[0] not in self.table:
            hint = nearest(args[0], self.table, f"`{ctx.command_path} --help` lists them.")
            raise click.UsageError(f"no command named {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)
