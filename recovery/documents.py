"""A verdict as a JSON document: one shape for every sink.

The columns of `verdicts` in their order; times in ISO 8601, UTC, with µs and Z; money as integers;
`null` where there is none; UTF-8, no spaces, no line break. A function of the row alone, so that
what is sent again is the same bytes.
"""

import json
from collections.abc import Iterator

import duckdb
import pyarrow as pa

from recovery.ledger import read_ledger
from replay.snapshot import Snapshot
from replay.tables import VERDICTS


def _value(field: pa.Field) -> str:
    if pa.types.is_timestamp(field.type):
        return f"strftime({field.name}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    if pa.types.is_floating(field.type):  # JSON has no NaN
        return f"CASE WHEN isfinite({field.name}) THEN {field.name} END"
    return str(field.name)


_DOCUMENT = "to_json(struct_pack({}))::VARCHAR AS document".format(
    ", ".join(f"{field.name} := {_value(field)}" for field in VERDICTS.schema)
)


def documents(connection: duckdb.DuckDBPyConnection, rows: pa.RecordBatch) -> pa.Array:
    """Return each row's document, as a string; `connection` thinks in UTC."""
    found = connection.from_arrow(pa.table(rows)).project(_DOCUMENT).to_arrow_table()
    return found.column("document").combine_chunks()


def same_verdict(document: bytes | str, snapshot: Snapshot, ledger_seq: int) -> bool:
    """Whether a document is the ledger's verdict of that number.

    Looks at the fields that the document has: one written by an older version may lack some.
    """
    try:
        held = json.loads(document)
    except ValueError:
        return False
    for ours in _parsed(snapshot, ledger_seq):
        return (
            isinstance(held, dict)
            and "verdict_id" in held
            and all(held[name] == ours[name] for name in held.keys() & ours.keys())
        )
    return False


def _parsed(snapshot: Snapshot, ledger_seq: int) -> Iterator[dict[str, object]]:
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for rows in read_ledger(snapshot, ledger_seq - 1, ledger_seq):
            for document in documents(connection, rows).to_pylist():
                yield json.loads(document)


def gathered(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Join and cut batches to multiples of `rows`, but for the last: small commits make small ones.

    >>> small = [pa.record_batch({"n": [k]}) for k in range(5)]
    >>> [batch.column("n").to_pylist() for batch in gathered(iter(small), 2)]
    [[0, 1], [2, 3], [4]]
    """
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        count = sum(one.num_rows for one in waiting)
        if count >= rows:
            whole = pa.concat_batches(waiting)
            yield whole.slice(0, count - count % rows)
            waiting = [whole.slice(count - count % rows)]
    if any(batch.num_rows for batch in waiting):
        yield pa.concat_batches(waiting)
