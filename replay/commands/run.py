"""`replay run`: what a model version would have decided, and how that differs."""

import sys
from typing import Any, TypedDict, Unpack

import click
from click.core import ParameterSource

from replay.commands.run_plan import show_plan
from replay.console import (
    command_line,
    home_option,
    json_option,
    open_lake,
    print_json,
    progress,
    screen,
)
from replay.report import run_json, run_report
from replay.resuming import resuming
from replay.run import FEATURES, Request, execute, parse_share, prepare
from replay.runs import RunFolder, RunManifest, run_folder
from replay.snapshot import connect
from replay.span import Span, now_micros, parse_time
from replay.summary import Summary

WITH_RESUME = frozenset({"resume", "max_changed", "publish", "yes", "home", "as_json"})


class Asked(TypedDict):
    """What a run is asked for, as typed."""

    from_: str | None
    to: str | None
    model: str | None
    features: str
    device: str
    where: str | None
    sample: str | None
    as_of: str | None
    noise_floor: bool


@click.command()
@click.option("--from", "from_", metavar="TIME", help="First moment, inclusive.")
@click.option("--to", metavar="TIME", help="Last moment, exclusive.")
@click.option("--model", metavar="V", help="A version, or production, previous, latest.")
@click.option(
    "--features",
    type=click.Choice(FEATURES),
    default="recomputed",
    help="Score features rebuilt from the log, or those that production logged.",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to score."
)
@click.option("--where", metavar="SQL", help="Score only clicks that meet this condition.")
@click.option("--sample", metavar="SHARE", help="Score only this share of the users, as in 5%.")
@click.option("--as-of", metavar="TIME", help="Read the lake as it was known then.")
@click.option(
    "--noise-floor",
    is_flag=True,
    help="Also replay production's own version: what differs there is not the model's doing.",
)
@click.option("--plan", is_flag=True, help="Say what would be read, and stop.")
@click.option(
    "--resume", metavar="RUN_ID", help="Finish an interrupted run; what it was asked for stands."
)
@click.option(
    "--max-changed", metavar="SHARE", help="Exit 1 where more of the decisions change, as in 2%."
)
@click.option(
    "--publish", is_flag=True, help="Then preview the publication of its corrections, and ask."
)
@click.option("--yes", is_flag=True, help="With --publish: publish without asking.")
@home_option
@json_option
def run(
    resume: str | None,
    plan: bool,
    max_changed: str | None,
    publish: bool,
    yes: bool,
    home: str | None,
    as_json: bool,
    **asked: Unpack[Asked],
) -> None:
    """Replay a span with a model version and diff it.

    Rebuilds every feature from raw clicks, scores each click of [from, to), and sets the decisions
    beside production's: what changes, why, and for how much money. Nothing is published without
    --publish, which goes on as `replay verdicts publish` does. An interrupted run says how to
    resume it.

    \b
    Example:
      replay run --from 2026-03-02T14:00 --to 2026-03-02T20:00 --model previous
    """
    if yes and not publish:
        raise click.UsageError("--yes says to publish without asking: it goes with --publish")
    bound = None
    if max_changed is not None:
        bound = parse_share(max_changed, "--max-changed", zero=True)
    if resume is None:
        request = _request(asked)
        lake = open_lake(home)
        prepared = prepare(lake, request)
        if plan:
            show_plan(prepared, as_json=as_json)
            return
        with progress("replay", prepared.to_read) as advance:
            manifest, summary = execute(prepared, advance)
    else:
        _refuse_what_stands()
        lake = open_lake(home)
        with (
            resuming(lake, resume) as resumption,
            progress("resume", resumption.to_read) as advance,
        ):
            manifest, summary = resumption.finish(advance)
    too_many = bound is not None and summary.changed.clicks > bound * summary.decided
    publish = publish and not too_many
    document = run_json(manifest, summary)
    if as_json and not publish:
        print_json(document)
    elif not as_json:
        show_run(manifest, summary, lake.config.currency)
        if not publish:
            _suggest(home, manifest, summary, run_folder(lake, manifest.run_id))
    if too_many:
        click.echo(
            f"replay: {summary.changed_share:.2%} of the decisions change, more than "
            f"--max-changed {max_changed}",
            err=True,
        )
        sys.exit(1)
    if publish:
        click.echo("", err=as_json)
        _publish(manifest.run_id, document, home, yes=yes, as_json=as_json)


def _request(asked: Asked) -> Request:
    """Read what the options ask for; raise UsageError where one is missing."""
    from_, to, model = asked["from_"], asked["to"], asked["model"]
    if from_ is None or to is None or model is None:
        needed = (("--from", from_), ("--to", to), ("--model", model))
        missing = ", ".join(f"'{option}'" for option, value in needed if value is None)
        raise click.MissingParameter(param_hint=missing, param_type="option")
    now = now_micros()
    as_of = asked["as_of"]
    return Request(
        model=model,
        span=Span(parse_time(from_, now), parse_time(to, now)),
        features=asked["features"],
        device=asked["device"],
        where=asked["where"],
        sample=asked["sample"],
        as_of=None if as_of is None else parse_time(as_of, now),
        noise_floor=asked["noise_floor"],
    )


def _refuse_what_stands() -> None:
    """Refuse options beside --resume that say what the run was told when it began."""
    context = click.get_current_context()
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        and parameter.name not in WITH_RESUME
    ]
    if given:
        raise click.UsageError(
            f"--resume takes what the run was asked for from the run: leave out {', '.join(given)}"
        )


def _publish(
    run_id: str, document: dict[str, Any], home: str | None, *, yes: bool, as_json: bool
) -> None:
    """Go on as `replay verdicts publish RUN_ID`, found by its name as the command line finds it."""
    context = click.get_current_context()
    context.meta["run"] = document
    command: click.Command | None = context.find_root().command
    for name in ("verdicts", "publish"):
        command = command.get_command(context, name) if isinstance(command, click.Group) else None
    if command is None:
        raise TypeError("there is no command `verdicts publish`")
    context.invoke(command, run_id=run_id, yes=yes, home=home, as_json=as_json)


def show_run(manifest: RunManifest, summary: Summary, currency: str) -> None:
    """Print a run's report."""
    console = screen()
    for part in run_report(manifest, summary, currency):
        console.print(part)


def _suggest(home: str | None, manifest: RunManifest, summary: Summary, folder: RunFolder) -> None:
    """Say what to type next."""
    click.echo("\nnext:")
    with connect(1) as connection:
        query = f"""
            SELECT click_id FROM {folder.source("changes")}
            ORDER BY abs(adjustment_micros) DESC, abs(probability - threshold) DESC, click_id
            LIMIT 1
        """
        for (click_id,) in connection.sql(query).fetchall():
            command = command_line(home, "explain", str(click_id))
            click.echo(f"  {command}    # the largest change, in full")
    if summary.changes["missing"].clicks == summary.changed.clicks > 0:
        command = command_line(home, "import", "decisions", "--from-run", manifest.run_id)
        click.echo(f"  {command}    # where nothing was logged: let this run stand as production's")
    elif summary.changed.clicks:
        command = command_line(home, "verdicts", "publish", manifest.run_id)
        click.echo(f"  {command}    # what publishing these corrections would do")
    command = command_line(home, "runs", "show", manifest.run_id)
    click.echo(f"  {command}    # this report again")
