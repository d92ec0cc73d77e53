"""The `replay` command: one table of subcommands, each loaded on use.

The root imports click and nothing heavy, so that `replay --help` answers at once. Without a
subcommand, `replay --from … --to … --model …` is `replay run`.
"""

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import NamedTuple, NoReturn

import click

from replay.errors import ReplayError
from scorer.errors import nearest

INTERRUPTED = "interrupted; nothing half-done was kept"


class Entry(NamedTuple):
    """A row of the command table: `target` is "module:function"."""

    name: str
    target: str
    help: str


COMMANDS: tuple[Entry, ...] = (
    Entry("run", "replay.commands.run:run", "Replay a span with a model version and diff it."),
    Entry("status", "replay.commands.status:status", "Show what stands in production now."),
    Entry("runs", "replay.commands.runs:runs", "List and show past runs."),
    Entry("explain", "replay.commands.explain:explain", "Tell one click's whole story."),
    Entry("import", "replay.commands.import_:import_", "Add rows from files to a table."),
    Entry("features", "replay.commands.features:features", "Write point-in-time features."),
    Entry("skew", "replay.commands.skew:skew", "Compare logged features with recomputed ones."),
    Entry("sql", "replay.commands.sql:sql", "Query the lake with DuckDB, read-only."),
    Entry("lake", "replay.commands.lake:lake", "Look after the lake's files."),
    Entry("labels", "replay.commands.labels:labels", "Count the clicks that stand for humans."),
    Entry("train", "replay.commands.train:train", "Train a model version on weak labels."),
    Entry(
        "models",
        "recovery.commands.models:models",
        "List, compare, import and calibrate model versions, promote them, and roll back.",
    ),
    Entry("verdicts", "recovery.commands.verdicts:verdicts", "Publish corrections and undo them."),
    Entry("audit", "recovery.commands.audit:audit", "Compare model versions on the same clicks."),
    Entry(
        "check",
        "recovery.commands.check:check",
        "Hold a version against simulated bursts and incidents.",
    ),
    Entry("serve", "replay.commands.serve:serve", "Decide live clicks over HTTP."),
    Entry("simulate", "recovery.commands.simulate:simulate", "Make clicks with a known truth."),
)


class CommandTable(click.Group):
    """A group that imports a command when it is called, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return [entry.name for entry in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command, or None where the table has no such name."""
        for entry in COMMANDS:
            if entry.name == cmd_name:
                module, _, function = entry.target.partition(":")
                command = getattr(import_module(module), function)
                if not isinstance(command, click.Command):
                    raise TypeError(f"{entry.target} is no click command")
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without importing what it lists."""
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.help) for entry in COMMANDS])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read options without a subcommand as those of `run`."""
        if args and args[0].startswith("-") and args[0] not in ("--help", "--version"):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest commands where there is none of this name."""
        if self.get_command(ctx, args[0]) is None:
            hint = nearest(args[0], self.list_commands(ctx), "`replay --help` lists the commands.")
            raise click.UsageError(f"no command named {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=CommandTable, context_settings={"help_option_names": ["--help"]})
@click.version_option(package_name="slidr-replay", prog_name="replay")
def root() -> None:
    """Replay past clicks exactly, with any model version, and see what it would have changed.

    \b
    Example:
      replay --from 2026-03-02T14:00 --to 2026-03-02T20:00 --model previous
    """


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 fine, 1 a finding, 2 bad usage or input, 130 interrupted."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        code = root.main(args=args, prog_name="replay", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.NoArgsIsHelpError as exc:
        click.echo(exc.format_message(), err=True)
        sys.exit(2)
    except click.UsageError as exc:
        message = exc.format_message()
        stop = "" if message.endswith((".", "?")) else "."
        where = f" See `{exc.ctx.command_path} --help`." if exc.ctx else ""
        fail(f"{message}{stop}{where}", 2)
    except click.ClickException as exc:
        fail(exc.format_message(), 2)
    except ReplayError as exc:
        fail(noted(exc), exc.exit_code)
    except (KeyboardInterrupt, click.Abort) as exc:
        fail(interrupted(exc), 130)
    except RuntimeError as exc:
        if str(exc) != "Query interrupted":  # what DuckDB makes of Ctrl-C
            raise
        fail(interrupted(exc), 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def notes(error: BaseException) -> list[str]:
    """Return the notes on an error; click puts one of its own before Ctrl-C's."""
    found: list[str] = getattr(error, "__notes__", [])
    return found or (notes(error.__cause__) if error.__cause__ else [])


def noted(error: ReplayError) -> str:
    """Return an error's message and what is noted on it."""
    said = notes(error)
    return "; ".join([str(error).removesuffix("."), *said]) if said else str(error)


def interrupted(error: BaseException) -> str:
    """Say what an interruption left."""
    kept = "; ".join(notes(error))
    return f"interrupted; {kept}" if kept else INTERRUPTED


def interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Answer Ctrl-C; leave a second one to the system, since DuckDB may wait long for a task."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt


def fail(message: str, code: int) -> NoReturn:
    """Write one line to stderr and exit."""
    click.echo("replay: " + " ".join(message.split()), err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
