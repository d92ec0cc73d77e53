"""`replay sql`: DuckDB over the lake, read-only."""

import csv
import json
import math
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal

import click
import pyarrow as pa
from rich.measure import Measurement
from rich.table import Table as ScreenTable

from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.errors import BadInput, BadQuery
from replay.query import reader, run_query
from replay.snapshot import Snapshot, reading
from replay.span import now_micros, parse_time
from replay.tables import LOG_TABLES, TRUTH_TABLES

SHOWN_ROWS = 1000
WIDEST = 10_000

Row = list[object]


@click.command()
@click.argument("query")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--as-of", metavar="TIME", help="Read the lake as it was known then.")
@home_option
@json_option
def sql(query: str, as_csv: bool, as_of: str | None, home: str | None, as_json: bool) -> None:
    """Query the lake with DuckDB, read-only.

    Every table is a view, and so is `runs`. A query can read nothing else and write nothing.

    \b
    Example:
      replay sql "SELECT device, count(*) AS clicks FROM clicks GROUP BY device ORDER BY clicks"
    """
    if as_csv and as_json:
        raise BadInput("--csv and --json exclude each other")
    moment = None if as_of is None else parse_time(as_of, now_micros())
    snapshot = Snapshot.take(open_lake(home), moment, (*LOG_TABLES, *TRUTH_TABLES))
    with reading(snapshot), reader(snapshot) as connection:
        batches = run_query(connection, query)
        names = list(next(batches).schema.names)
        rows = _rows(batches)
        if as_json:
            print_json([dict(zip(_distinct(names), row, strict=True)) for row in rows])
        elif as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(names)
            writer.writerows([_text(value) for value in row] for row in rows)
        else:
            _show(names, rows)


def _show(names: list[str], rows: Iterator[Row]) -> None:
    made = ScreenTable(*names, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    more = 0
    for number, row in enumerate(rows):
        if number < SHOWN_ROWS:
            made.add_row(*(_text(value) for value in row))
        else:
            more += 1
    console = screen()
    wide = console.options.update(max_width=WIDEST)
    console.width = max(console.width, Measurement.get(console, wide, made).maximum)
    console.print(made)
    if more:
        click.echo(f"… {more:,} more; --csv prints them all", err=True)


def _rows(batches: Iterator[pa.RecordBatch]) -> Iterator[Row]:
    for batch in batches:
        try:
            columns = [[plain(value) for value in column.to_pylist()] for column in batch.columns]
        except (OverflowError, ValueError) as exc:
            raise BadQuery(f"a value cannot be shown: {exc}") from exc
        yield from (list(row) for row in zip(*columns, strict=True))


def plain(value: object) -> object:
    """Return a value as JSON can hold it: times as ISO 8601 in UTC, whole numbers exact.

    >>> plain(datetime(2026, 3, 1, tzinfo=UTC)), plain(Decimal(7)), plain(float("nan"))
    ('2026-03-01T00:00:00Z', 7, None)
    """
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime():
            text = (value.astimezone(UTC) if value.tzinfo else value).isoformat()
            return text.replace("+00:00", "Z")
        case date() | time():
            return value.isoformat()
        case bytes():
            return value.hex()
        case list():
            return [plain(item) for item in value]
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _distinct(names: list[str]) -> list[str]:
    """Number the columns that share a name, since a JSON object has each once."""
    return [
        name if name not in names[:i] else f"{name}_{names[:i].count(name)}"
        for i, name in enumerate(names)
    ]
