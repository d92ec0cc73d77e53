"""Small lakes with a ledger and sinks, and what was delivered beside what the ledger says."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from recovery.documents import documents
from recovery.ledger import read_ledger
from recovery.sinks.sink import Batch
from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from tests.lakes import Row, add_rows, click, make_lake
from tests.versions import HOUR, START, verdict

ODD = 'é"\\\n\u2028\t\x00 end'


def verdict_rows(count: int, after: int = 0, per_date: int = 3) -> list[dict[str, Any]]:
    """Verdicts after + 1 to after + count, `per_date` on each date, with texts and nulls."""
    rows = []
    for number in range(after + 1, after + count + 1):
        day = (number - 1) // per_date
        row = click(START + day * 24 * HOUR + number, number, f"c{number}", campaign_id=ODD)
        made = verdict(row, "invalid", number, f"run-{number % 3}")
        made["adjustment_micros"] = -250_000 * (number % 3)
        made["probability"] = None if number % 4 == 0 else 1 / (3 * number)
        made["follows"] = None if number % 2 else f"v-before-{number}"
        made["issued_at"] = START + number * 1_000_000
        rows.append(made)
    return rows


def add_verdicts(lake: Lake, count: int, after: int = 0, per_date: int = 3) -> None:
    """Append to the ledger, in one commit."""
    add_rows(lake, "verdicts", verdict_rows(count, after, per_date))


def with_sinks(lake: Lake, sinks: Mapping[str, Mapping[str, object]]) -> Lake:
    """Write sinks into a lake's replay.toml, in place of those there; open it again."""
    lines = ['currency = "USD"']
    for name, options in sinks.items():
        lines.append(f'[sinks."{name}"]')
        lines += [f"{key} = {_toml(value)}" for key, value in options.items()]
    (lake.home / "replay.toml").write_text("\n".join(lines) + "\n")
    return Lake.open(lake.home)


def _toml(value: object) -> str:
    return str(value) if isinstance(value, float) else json.dumps(value)


def ledger_lake(
    home: Path, count: int = 10, sinks: Mapping[str, Mapping[str, object]] | None = None
) -> Lake:
    """A lake with `count` verdicts on several dates, and sinks (one NDJSON file `file`)."""
    lake = make_lake(home)
    if count:
        add_verdicts(lake, count)
    return with_sinks(lake, sinks or {"file": {"kind": "ndjson", "path": "out.ndjson"}})


def expected(lake: Lake) -> list[str]:
    """Return the ledger's documents, made by plain Python; floats are compared as values."""
    found = []
    for batch in read_ledger(Snapshot.take(lake)):
        found += [plain_document(row) for row in batch.to_pylist()]
    return found


def plain_document(row: Row) -> str:
    """Write a row as the documents are described."""
    fields = {
        name: value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value
        for name, value in row.items()
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def numbers(documents: Sequence[str]) -> list[int]:
    """Return the ledger_seq of each document."""
    return [json.loads(document)["ledger_seq"] for document in documents]


def batch(lake: Lake) -> Batch:
    """Return the ledger's first batch."""
    rows = next(read_ledger(Snapshot.take(lake)))
    with connect(1) as connection:
        return Batch(rows, documents(connection, rows))
