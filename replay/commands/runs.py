"""`replay runs`: the finished runs."""

import click

from replay.commands.run import show_run
from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.formats import money, new_table
from replay.report import run_json
from replay.runs import read_manifest, run_folder, run_ids
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
    """List the finished runs, the newest first.

    \b
    Example:
      replay runs list
    """
    lake = open_lake(home)
    found = [read_manifest(run_folder(lake, run_id)) for run_id in reversed(run_ids(lake))]
    if as_json:
        print_json([manifest.model_dump(mode="json") for manifest in found])
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
