"""What the tests of the importer share: writing files, importing them, reading the lake back."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from replay.commands.import_ import import_
from replay.errors import ReplayError
from replay.importing.column_map import ColumnMap, read_map
from replay.importing.files import open_source
from replay.importing.importer import import_file
from replay.importing.plan import bind
from replay.importing.report import FileReport
from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.tables import TABLES

ROOT = Path(__file__).resolve().parents[3]
MAPS = ROOT / "docs" / "maps"
NOW = 1_790_000_000_000_000

HEADER = "click_id,ts,user_id,device,logged_in,advertiser_id,campaign_id,price_micros\n"


def line(click_id: object = "c1", ts: str = "2026-03-01T12:00:00Z", **columns: object) -> str:
    """Return one line of a clicks file, below HEADER."""
    given: dict[str, object] = {
        "user_id": "u",
        "device": "desktop",
        "logged_in": "true",
        "advertiser_id": "a",
        "campaign_id": "c",
        "price_micros": 5,
    }
    return ",".join(str(value) for value in [click_id, ts, *{**given, **columns}.values()]) + "\n"


def bring(
    home: Path,
    table: str,
    content: str | bytes | Path,
    column_map: str = "",
    *,
    name: str = "file.csv",
    now: int = NOW,
    backfill: bool = False,
) -> FileReport:
    """Import a file of this content, or this file, into the lake at `home`."""
    path = content if isinstance(content, Path) else home.parent / name
    if not isinstance(content, Path):
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    chosen = ColumnMap()
    if column_map:
        toml = home.parent / "map.toml"
        toml.write_text(column_map)
        chosen = read_map(toml, table)
    plan = bind(TABLES[table], open_source(path, chosen.delimiter), chosen, "map")
    return import_file(Lake.create(home, "USD"), plan, now, backfill=backfill)


def rows(home: Path, name: str, columns: str = "*", order: str = "ALL") -> list[Mapping[str, Any]]:
    """Read a table of the lake; times as µs."""
    snapshot = Snapshot.take(Lake.open(home))
    with connect() as connection:
        query = f"SELECT {columns} FROM {snapshot.source(name)} ORDER BY {order}"
        found: Sequence[Mapping[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
    return list(found)


def run(*arguments: object) -> tuple[int, Any]:
    """Run `replay import … --json`; return the exit code and the document."""
    result = CliRunner().invoke(import_, [*map(str, arguments), "--json"], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return int(result.return_value), json.loads(result.stdout)


def refused(*arguments: object) -> str:
    """Run `replay import …`, which must fail; return what it says, which must be one line."""
    result = CliRunner().invoke(import_, [*map(str, arguments)], standalone_mode=False)
    assert isinstance(result.exception, ReplayError), result.output
    assert result.exception.exit_code == 2
    message = str(result.exception)
    assert "\n" not in message
    return message


def data(name: str) -> Path:
    """Return a real log's path; skip the test where it is not there."""
    path = ROOT.parent / "shared" / "data" / name
    if not path.exists():
        pytest.skip(f"{path} is not there: real logs are not passed on with the project")
    return path
