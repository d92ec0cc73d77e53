"""`replay verdicts statement`: what advertisers were billed before and after corrections."""

import json
import secrets
from collections.abc import Iterable
from pathlib import Path

import click

from recovery.statement import Statement
from recovery.statement import statement as account
from recovery.statement_forms import statement_csv, statement_json, statement_report
from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.lake import writing
from replay.span import Span, now_micros, parse_time
from scorer.errors import BadInput


@click.command()
@click.option("--from", "from_", metavar="TIME", help="First moment of the clicks, inclusive.")
@click.option("--to", metavar="TIME", help="Last moment of the clicks, exclusive.")
@click.option("--run", "run_id", metavar="RUN_ID", help="Right before and after this run alone.")
@click.option("--advertiser", metavar="ID", help="Only this advertiser.")
@click.option("--all", "everyone", is_flag=True, help="Campaigns without corrections too.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for spreadsheets and bookkeeping.")
@click.option("--out", metavar="FILE", help="Write to a file: CSV, or JSON with --json.")
@home_option
@json_option
def statement(
    from_: str | None,
    to: str | None,
    run_id: str | None,
    advertiser: str | None,
    everyone: bool,
    as_csv: bool,
    out: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Write a refund statement.

    For each advertiser and campaign: all clicks by decision and what was billed for them, before
    and after; between the two, each run's credits, re-bills and corrections without money. Checked:
    before + corrections = after. Covers the days (UTC) of the corrected clicks, or those of
    [from, to). With --run, `before` is right before that run; a revert is the run revert-RUN_ID.

    \b
    Example:
      replay verdicts statement
      replay verdicts statement --advertiser adv7 --csv --out build/adv7.csv
    """
    if as_csv and as_json:
        raise BadInput("give --csv or --json, not both")
    path = None if out is None else _path(out)
    lake = open_lake(home)
    found = account(lake, _span(from_, to), run_id, advertiser, everyone=everyone)
    if path is not None:
        text = [_document(found)] if as_json else statement_csv(found)
        _write(path, text)
        _say_written(found, path, as_json=as_json)
    elif as_json:
        print_json(statement_json(found))
    elif as_csv:
        for line in statement_csv(found):
            click.echo(line, nl=False)
    else:
        for part in statement_report(found):
            screen().print(part)


def _span(from_: str | None, to: str | None) -> Span | None:
    if from_ is None and to is None:
        return None
    if from_ is None or to is None:
        raise BadInput("give --from and --to together, or neither")
    now = now_micros()
    return Span(parse_time(from_, now), parse_time(to, now))


def _path(out: str) -> Path:
    """Return the file to write; raise BadInput where it is a folder, a device or nothing."""
    path = Path(out)
    if not path.name or (path.exists() and not path.is_file()):
        raise BadInput(f"--out {out!r} names no file; give one, as in statement.csv")
    return path


def _document(found: Statement) -> str:
    return json.dumps(statement_json(found), indent=2, ensure_ascii=False) + "\n"


def _write(path: Path, text: Iterable[str]) -> None:
    """Write a file, whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.unfinished")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("w", encoding="utf-8", newline="") as file:
                file.writelines(text)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def _say_written(found: Statement, path: Path, *, as_json: bool) -> None:
    items = sum(len(one.items) for one in found.accounts)
    if as_json:
        print_json({"file": str(path), "campaigns": len(found.accounts), "items": items})
    else:
        click.echo(f"wrote {len(found.accounts):,} campaigns with {items:,} items to {path}")
