"""What `publish` and `revert` share: preview, ask, commit, deliver."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from recovery.commands.verdicts.deliver import deliver_now, end, show_delivery
from recovery.delivered import Delivery
from recovery.delivery import check_sinks
from recovery.gates import FIXED, GateObjects
from recovery.ledger import Publication
from recovery.publishing import Preview, Terms, nothing, objection
from recovery.report import preview_report, record_lines
from recovery.sinks import open_sinks
from recovery.sinks.sink import Sink, SinkUnreachable
from replay.console import command_line, open_lake, print_json, screen, user_name, warn
from replay.cursors import lags
from replay.errors import BadInput
from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.span import iso_local, now_micros, to_micros
from replay.tables import VERDICTS

F = TypeVar("F", bound=Callable[..., Any])
Propose = Callable[[Lake, str, Terms, int], Preview]
Commit = Callable[[Lake, str, Terms, int], Publication]
CLOCK_MICROS = 60_000_000
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
    return Terms(rebill, tuple(dict.fromkeys(names)), reason, user_name(by))


@dataclass(frozen=True)
class Asked:
    """What the user asked for, besides the terms."""

    home: str | None
    yes: bool
    no_deliver: bool
    as_json: bool
    by: str | None


def correct(asked: Asked, run_id: str, terms: Terms, propose: Propose, commit: Commit) -> None:
    """Preview a correction, ask, commit it and deliver; exit as the command does."""
    lake = open_lake(asked.home)
    sinks = open_sinks(lake)  # what is wrong with them must show before anything is published
    now = now_micros()
    preview = propose(lake, run_id, terms, now)
    if preview.proposal.at > now + CLOCK_MICROS:
        warn(
            f"the ledger's newest verdict was issued {iso_local(preview.proposal.at)}, after this "
            "machine's clock: the billing window is counted from there; set the clock right"
        )
    record = preview.published
    if not asked.as_json:
        _show(lake, preview, sinks)
    if not _goes_on(asked, preview, terms):
        _stop(asked, preview)
        return
    if record is None and preview.proposal.verdicts:
        if not asked.no_deliver:
            _check(sinks)
        record = commit(lake, run_id, terms, now_micros())
        if not asked.as_json:
            click.echo("\n".join(record_lines(record, lake.config.currency)))
    delivered = None if asked.no_deliver or not sinks else deliver_now(lake)
    if asked.as_json:
        _print_json(preview, record, delivered)
    if delivered:
        if not asked.as_json:
            show_delivery(delivered)
        end(delivered)


def _check(sinks: Sequence[Sink]) -> None:
    try:
        check_sinks(sinks)
    except SinkUnreachable as exc:
        raise SinkUnreachable(
            f"{exc}. Nothing was published; with --no-deliver it is, and "
            "`replay verdicts deliver` sends it later"
        ) from exc


def _stop(asked: Asked, preview: Preview) -> None:
    if asked.as_json:
        _print_json(preview, preview.published, None)
    if preview.objections:
        raise GateObjects(objection(preview.proposal, list(preview.objections)))


def _show(lake: Lake, preview: Preview, sinks: Sequence[Sink]) -> None:
    if record := preview.published:
        at = iso_local(to_micros(record.at))
        click.echo(f"run {record.run_id} is published since {at}: nothing is added")
        return
    console = screen()
    for part in preview_report(preview, lake.config.currency):
        console.print(part)
    click.echo()
    snapshot = Snapshot.take(lake, tables=(VERDICTS,))
    with connect(1) as connection:
        behind = {lag.sink: lag.verdicts for lag in lags(connection, snapshot, now_micros())}
    for sink in sinks if preview.proposal.verdicts else ():
        waiting = f", after the {n:,} that it lacks" if (n := behind[sink.name]) else ""
        click.echo(f"to {sink.where}: {preview.proposal.verdicts:,} verdicts{waiting}")
    if not sinks:
        click.echo("no sink is configured: verdicts stay in the ledger ([sinks] in replay.toml)")


def _goes_on(asked: Asked, preview: Preview, terms: Terms) -> bool:
    """Say whether to commit and deliver; tell the user what to type where not.

    Raises BadInput where nothing is left but re-bills that are withheld.
    """
    proposal = preview.proposal
    if preview.published is not None or not proposal.verdicts:
        if preview.published is None:
            if proposal.withheld.clicks:
                if asked.as_json:
                    _print_json(preview, None, None)
                raise BadInput(nothing(proposal))
            click.echo(nothing(proposal), err=True)
        return asked.yes
    if preview.objections:
        if not asked.as_json:
            _suggest_overrides(asked, preview, terms)
        return False
    if asked.yes:
        return True
    if asked.as_json:
        return False
    if sys.stdin.isatty():
        return click.confirm(f"\nPublish {proposal.verdicts:,} verdicts?", err=True)
    click.echo("\nThis is a preview: nothing was published. To publish:")
    click.echo(f"  {_again(asked, preview, terms, '--yes')}")
    return False


def _suggest_overrides(asked: Asked, preview: Preview, terms: Terms) -> None:
    fixed = [gate.name for gate in preview.objections if gate.name in FIXED]
    if fixed:
        click.echo(
            f"\nNothing can be published: {' and '.join(fixed)} can't be overridden. Replay the "
            "whole of a span that the log holds, and publish that run."
        )
        return
    names = [gate.name for gate in preview.gates if gate.verdict != "pass"]
    click.echo("\nNothing was published. If these figures are right, and you can say why:")
    extra = ["--override", ",".join(names), *([] if terms.reason else ["--reason", "WHY"]), "--yes"]
    click.echo(f"  {_again(asked, preview, Terms(terms.rebill, (), terms.reason), *extra)}")


def _again(asked: Asked, preview: Preview, terms: Terms, *more: str) -> str:
    proposal = preview.proposal
    words = ["verdicts", proposal.action, proposal.run_id]
    words += ["--rebill"] if terms.rebill else []
    words += ["--override", ",".join(terms.overrides)] if terms.overrides else []
    words += ["--reason", terms.reason] if terms.reason else []
    words += ["--by", asked.by] if asked.by else []
    words += ["--no-deliver"] if asked.no_deliver else []
    return command_line(asked.home, *words, *more)


def _print_json(preview: Preview, record: Publication | None, delivered: Delivery | None) -> None:
    run = click.get_current_context().meta.get(RUN)
    print_json(
        {
            **({"run": run} if run else {}),
            "proposal": preview.proposal.to_json(),
            "gates": [gate.model_dump() for gate in preview.gates],
            "published": None if record is None else record.model_dump(mode="json"),
            "delivered": None if delivered is None else delivered.to_json(),
        }
    )
