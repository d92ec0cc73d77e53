"""Write docs/cli.md from the commands' own help; `make docs` runs this, and a test compares."""

from collections.abc import Iterator
from pathlib import Path

import click

from replay.cli import root

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 100
HEAD = """\
# Commands

<!-- Written by `make docs` from the commands' own help: change that, not this page. -->

Every command takes `--help`. Without a subcommand, `replay --from … --to … --model …` is
`replay run`. Data goes to stdout; progress, warnings and errors go to stderr. Exit codes: 0 done
and nothing to object to; 1 the command did its work and found a problem; 2 bad usage or bad input;
130 interrupted. Times are ISO 8601 (UTC unless they carry an offset), `now`, or relative as in
`-6h`; ranges hold their start and not their end.
"""


def walk(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    """Yield the context of a command and of every command below it, in the order of its help."""
    yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is None:
                raise LookupError(f"{context.command_path} lists {name!r} and has no such command")
            yield from walk(child, _context(child, name, context))


def commands() -> list[click.Context]:
    """Return the context of every command, the root's first."""
    return list(walk(root, _context(root, "replay", None)))


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH)


def page() -> str:
    """Return the text of docs/cli.md."""
    sections = [
        f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n"
        for context in commands()
    ]
    return "\n".join([HEAD, *sections])


if __name__ == "__main__":
    PAGE.write_text(page())
