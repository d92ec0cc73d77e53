"""`replay import`: rows from files into a table of the lake."""

from pathlib import Path

import click

from replay.config import LakeConfig, check_currency, find_home
from replay.console import home_option, json_option, print_json, screen, warn
from replay.errors import BadInput, BadMap, NotALake
from replay.formats import new_table
from replay.importing.column_map import ColumnMap, read_map
from replay.importing.files import open_source
from replay.importing.importer import import_file
from replay.importing.plan import Plan, bind
from replay.importing.report import FileReport
from replay.importing.targets import IMPORTABLE
from replay.lake import Lake
from replay.runs import run_folder
from replay.span import now_micros
from replay.tables import TABLES


@click.command(name="import")
@click.argument("table", type=click.Choice(IMPORTABLE))
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--map",
    "map_file",
    metavar="MAP.toml",
    type=click.Path(path_type=Path),
    help="Which source column feeds which of the table's; docs/import.md says how.",
)
@click.option("--strict", is_flag=True, help="Exit 1 when a row went to quarantine.")
@click.option(
    "--backfill",
    is_flag=True,
    help="Profiles of the past: a snapshot may land later than 5 minutes before its valid_from.",
)
@click.option(
    "--currency",
    metavar="CODE",
    help="The currency of the money in the files; makes the lake where there is none.",
)
@click.option(
    "--from-run",
    metavar="RUN_ID",
    help="Record this run's decisions as production's, for a log that has none there.",
)
@home_option
@json_option
def import_(
    table: str,
    files: tuple[Path, ...],
    map_file: Path | None,
    strict: bool,
    backfill: bool,
    currency: str | None,
    from_run: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Add rows from files to a table.

    Files are CSV, NDJSON or Parquet, plain or compressed with gzip or zstd. A row that breaks the
    schema goes to `quarantine` and the rest of its file lands; a row whose id the table has is
    dropped and counted. The same file again adds nothing.

    \b
    Example:
      replay import clicks clicks.csv.gz --map docs/maps/rees46-clicks.toml --currency USD
    """
    folder = find_home(home, Path.cwd())
    if from_run is not None:
        if table != "decisions" or files:
            raise BadInput("--from-run goes with `replay import decisions` and no file")
        from replay.recording import record_run  # loads torch, which a file's import can spare

        lake = Lake.open(folder)
        run_id = run_folder(lake, from_run).path.name  # `latest` has a name too
        added = record_run(lake, run_id)
        if as_json:
            print_json({"run_id": run_id, "added": added})
        else:
            click.echo(f"{added:,} decisions of run {run_id} recorded as production's")
        return 0
    if not files:
        raise BadInput("no file given; name one or more, or --from-run RUN_ID for decisions")
    column_map = read_map(map_file, table) if map_file else ColumnMap()
    plans = _plans(table, files, column_map, map_file)
    lake = _lake(folder, currency, column_map.currency)
    reports = []
    for plan in plans:
        reports.append(import_file(lake, plan, now_micros(), backfill=backfill))
        if reports[-1].already:
            warn(f"{plan.source.path}: already imported; nothing was added")
    if as_json:
        print_json([_document(report) for report in reports])
    else:
        _show(reports)
    return int(strict and any(report.quarantined for report in reports))


def _plans(
    table: str, files: tuple[Path, ...], column_map: ColumnMap, map_file: Path | None
) -> list[Plan]:
    """Look into every file before anything is written; name all that cannot be used."""
    plans, problems = [], []
    for path in files:
        try:
            source = open_source(path, column_map.delimiter)
            plans.append(bind(TABLES[table], source, column_map, str(map_file or path)))
        except BadInput as exc:
            problems.append(exc)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        kind = BadMap if all(isinstance(p, BadMap) for p in problems) else BadInput
        raise kind("; ".join(str(problem) for problem in problems))
    return plans


def _lake(folder: Path, option: str | None, mapped: str | None) -> Lake:
    """Open the lake; where --currency is given and there is none, return one still to be made."""
    stated = [check_currency(code) for code in (option, mapped) if code]
    if option and not (folder / "replay.toml").exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise NotALake(f"{folder} is no lake and not empty; give another --home")
        lake = Lake(folder, LakeConfig(currency=option))
    else:
        lake = Lake.open(folder)
    for code in stated:
        if code != lake.config.currency:
            raise BadInput(
                f"the files are in {code}, the lake {folder} is in {lake.config.currency}; "
                "a lake has one currency"
            )
    return lake


def _document(report: FileReport) -> dict[str, object]:
    return {
        "file": report.file,
        "table": report.table,
        "read": report.read,
        "added": report.added,
        "duplicates": report.duplicates,
        "filtered": report.filtered,
        "quarantined": dict(report.quarantined),
        "already_imported": report.already,
    }


def _show(reports: list[FileReport]) -> None:
    counted = (">read", ">added", ">duplicates", ">filtered", ">quarantined")
    made = new_table("file", "table", *counted)
    for r in reports:
        counts = (r.read, r.added, r.duplicates, r.filtered, sum(r.quarantined.values()))
        made.add_row(r.file, r.table, *(f"{count:,}" for count in counts))
    screen().print(made)
    for r in reports:
        for reason, count in r.quarantined.items():
            screen().print(f"{r.file}: {count:,} in quarantine: {reason}")
