"""What `publish` and `revert` share: preview, ask, commit, deliver."""

import getpass
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from recovery.commands.verdicts.deliver import deliver_now
from recovery.delivery import check_sinks
from recovery.gates import GateObjects
from recovery.ledger import Publication
from recovery.publishing import Preview, Terms, nothing, objection
from recovery.report import preview_report, record_lines
from recovery.sinks import open_sinks
from recovery.sinks.sink import Sink
from replay.console import command_line, print_json, screen
from replay.cursors import lags
from replay.errors import BadInput
from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.span import iso_local, now_micros, to_micros
from replay.tables import VERDICTS

F = TypeVar("F", bound=Callable[..., Any])
Propose = Callable[[Lake, str, Terms, int], Preview]
Commit = Callable[[Lake, str, Terms, int], Publication]
RUN = "run"  # under this key of a context's meta stands the JSON of the run that is published


def terms_options(function: F) -> F:
    """Add the options that say on what terms corrections are published."""
    for option in reversed(
        (
            click.option("--yes", is_flag=True, help="Publish without asking."),
            click.option(
                "--rebill", is_flag=True, help="Also bill clicks again; else they are withheld."
            ),
            click.option(
                "--override",
                "overrides",
                multiple=True,
                metavar="GATE",
                help="Publish though this gate objects; may be repeated.",
            ),
            click.option("--reason", help="Why; kept in the ledger, required with --override."),
            click.option("--by", metavar="NAME", help="Who; else the user who is logged in."),
            click.option(
                "--no-deliver", is_flag=True, help="Commit to the ledger and send nothing yet."
            ),
        )
    ):
        function = option(function)
    return function


def read_terms(
    rebill: bool, overrides: tuple[str, ...], reason: str | None, by: str | None
) -> Terms:
    """Return the terms that the options give; gate names may also be joined by commas."""
    names = tuple(name.strip() for text in overrides for name in text.split(","))
    return Terms(rebill, tuple(dict.fromkeys(names)), reason, by or getpass.getuser())


def correct(
    home: str | None,
    lake: Lake,
    run_id: str,
    terms: Terms,
    calls: tuple[Propose, Commit],
    *,
    yes: bool,
    no_deliver: bool,
    as_json: bool,
) -> None:
    """Preview a correction, ask, commit it and deliver; exit as the command does."""
    propose, commit = calls
    sinks = open_sinks(lake)  # what is wrong with them must show before anything is published
    preview = propose(lake, run_id, terms, now_micros())
    if preview.published is None:
        _show(lake, preview, sinks, as_json=as_json)
        if not preview.proposal.verdicts:
            _refuse_withheld(preview)
        elif not _agreed(home, preview, terms, yes=yes, as_json=as_json):
            _print_json(preview, None, as_json=as_json)
            if preview.objections:
                raise GateObjects(objection(preview.proposal, list(preview.objections)))
            return
    elif not as_json:
        at = iso_local(to_micros(preview.published.at))
        click.echo(f"run {preview.published.run_id} is published since {at}; nothing was added")
    if not no_deliver:
        check_sinks(sinks)
    record = preview.published
    if record is None and preview.proposal.verdicts:
        record = commit(lake, run_id, terms, now_micros())
        if not as_json:
            click.echo("\n".join(record_lines(record, lake.config.currency)))
    _print_json(preview, record, as_json=as_json)
    if not no_deliver:
        sys.exit(deliver_now(lake, quiet=as_json))


def _show(lake: Lake, preview: Preview, sinks: Sequence[Sink], *, as_json: bool) -> None:
    if as_json:
        return
    console = screen()
    for part in preview_report(preview, lake.config.currency):
        console.print(part)
    click.echo()
    snapshot = Snapshot.take(lake, tables=(VERDICTS,))
    with connect(1) as connection:
        behind = {lag.sink: lag.verdicts for lag in lags(connection, snapshot, now_micros())}
    for sink in sinks:
        waiting = f", after the {n:,} that it lacks" if (n := behind[sink.name]) else ""
        click.echo(f"to {sink.where}: {preview.proposal.verdicts:,} verdicts{waiting}")
    if not sinks:
        click.echo("no sink is configured: verdicts stay in the ledger ([sinks] in replay.toml)")


def _refuse_withheld(preview: Preview) -> None:
    """Say why nothing is published; that is an error where re-bills alone are left."""
    if preview.proposal.withheld.clicks:
        raise BadInput(nothing(preview.proposal))
    click.echo(nothing(preview.proposal), err=True)


def _agreed(home: str | None, preview: Preview, terms: Terms, *, yes: bool, as_json: bool) -> bool:
    if preview.objections:
        if not as_json:
            _suggest_overrides(home, preview, terms)
        return False
    if yes:
        return True
    count = preview.proposal.verdicts
    if sys.stdin.isatty() and not as_json:
        return click.confirm(f"\nPublish {count:,} verdicts?", err=True)
    if not as_json:
        click.echo("\nThis is a preview: nothing was published. To publish:")
        click.echo(f"  {_again(home, preview, terms, '--yes')}")
    return False


def _suggest_overrides(home: str | None, preview: Preview, terms: Terms) -> None:
    fixed = [g.name for g in preview.objections if g.name in ("sampled", "unsettled")]
    if fixed:
        click.echo(
            f"\nNothing can be published: {' and '.join(fixed)} can't be overridden. Replay the "
            "whole of a span that the log holds, and publish that run."
        )
        return
    names = [gate.name for gate in preview.gates if gate.verdict != "pass"]
    click.echo("\nNothing was published. If these figures are right, and you can say why:")
    extra = ["--override", ",".join(names), *([] if terms.reason else ["--reason", "WHY"]), "--yes"]
    click.echo(f"  {_again(home, preview, Terms(terms.rebill, (), terms.reason), *extra)}")


def _again(home: str | None, preview: Preview, terms: Terms, *more: str) -> str:
    proposal = preview.proposal
    words = ["verdicts", proposal.action, proposal.run_id]
    words += ["--rebill"] if terms.rebill else []
    words += ["--override", ",".join(terms.overrides)] if terms.overrides else []
    words += ["--reason", terms.reason] if terms.reason else []
    return command_line(home, *words, *more)


def _print_json(preview: Preview, record: Publication | None, *, as_json: bool) -> None:
    if not as_json:
        return
    run = click.get_current_context().meta.get(RUN)
    print_json(
        {
            **({"run": run} if run else {}),
            "proposal": preview.proposal.to_json(),
            "gates": [gate.model_dump() for gate in preview.gates],
            "published": None if record is None else record.model_dump(mode="json"),
        }
    )
