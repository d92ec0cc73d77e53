"""`replay runs`: the finished runs, and those that are not."""

from dataclasses import asdict

import click

from replay import unfinished
from replay.begun import Begun, progress_of
from replay.commands.run import show_run
from replay.console import command_line, home_option, json_option, open_lake, print_json, screen
from replay.formats import money, new_table
from replay.report import run_json
from replay.runs import read_manifest, run_folder, run_ids, unfinished_ids
from replay.span import iso, to_micros
from replay.summary import read_summary


@click.group()
def runs() -> None:
    """List and show past runs.

    \b
    Example:
      replay runs show latest
    """


@runs.command("list")
@home_option
@json_option
def list_(home: str | None, as_json: bool) -> None:
    """List the runs, the newest first; those not finished with what to type.

    \b
    Example:
      replay runs list
    """
    lake = open_lake(home)
    found = [read_manifest(run_folder(lake, run_id)) for run_id in reversed(run_ids(lake))]
    begun = [progress_of(lake, run_id) for run_id in reversed(unfinished_ids(lake))]
    if as_json:
        finished = [manifest.model_dump(mode="json") for manifest in found]
        print_json([*(asdict(run) for run in begun), *finished])
        return
    made = new_table("run", "model", "from", "to", ">clicks", ">changes", ">money")
    for manifest in found:
        made.add_row(
            manifest.run_id,
            manifest.model_version,
            iso(to_micros(manifest.start)),
            iso(to_micros(manifest.end)),
            f"{manifest.counts['replayed']:,}",
            f"{manifest.counts['changed']:,}",
            money(manifest.counts["adjustment_micros"], lake.config.currency, signed=True),
        )
    screen().print(made)
    if begun:
        click.echo("\nnot finished:")
    for run in begun:
        click.echo(f"  {_not_finished(home, run)}")


def _not_finished(home: str | None, run: Begun) -> str:
    if run.status == "running":
        return f"{run.run_id}: {run.slices_done or 0} slices are done; being written"
    drop_ = command_line(home, "runs", "drop", run.run_id)
    if run.slices is None:
        return f"{run.run_id}: its plan is damaged; {drop_} removes it"
    resume = command_line(home, "--resume", run.run_id)
    return (
        f"{run.run_id}: {run.slices_done} of {run.slices} slices of {run.model_version} from "
        f"{run.start} to {run.end}; {resume} finishes it, {drop_} removes it"
    )


@runs.command()
@click.argument("run_id")
@home_option
@json_option
def drop(run_id: str, home: str | None, as_json: bool) -> None:
    """Remove a run that is not finished. Finished ones are kept: verdicts rest on them.

    \b
    Example:
      replay runs drop 20260302T201500Z-5f0c1a
    """
    unfinished.drop(open_lake(home), run_id)
    if as_json:
        print_json({"run_id": run_id, "status": "dropped"})
    else:
        click.echo(f"run {run_id} and its parts were removed")


@runs.command()
@click.argument("run_id")
@home_option
@json_option
def show(run_id: str, home: str | None, as_json: bool) -> None:
    """Show a finished run's report again; `latest` is the newest.

    \b
    Example:
      replay runs show latest
    """
    lake = open_lake(home)
    folder = run_folder(lake, run_id)
    manifest = read_manifest(folder)
    summary = read_summary(folder, manifest)
    if as_json:
        print_json(run_json(manifest, summary))
    else:
        show_run(manifest, summary, lake.config.currency)
