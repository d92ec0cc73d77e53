"""From segments to rows: JSON lines into Arrow, damaged lines apart, each click once, in log order.

The lines are read at once and fast; only where that finds anything amiss they are looked at one
by one. Floats were written so that they come back as the same float32.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from io import BytesIO

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
from pydantic import TypeAdapter, ValidationError

from replay.tables import CLICKS, DECISION_VALUES, DECISIONS, QUARANTINE, TIMESTAMP, Table
from scorer.serving.clicks import PRICE_LIMIT
from scorer.serving.ports import Answer

LAST_TS = 253_402_300_800_000_000  # the year 10000, where dates end
_ANSWER = TypeAdapter(Answer)
_SHOWN = 4096  # bytes of a bad line that are kept
_BLOCK = 8 << 20  # bytes, more than any line
_OF_ANSWER = {"seq", "ts", "source", "store_epoch"}
_OF_CLICK = [field for field in CLICKS.schema if field.name not in {*_OF_ANSWER, "ingested_at"}]
_SCHEMA = pa.schema(
    [
        ("click", pa.struct([(field.name, field.type) for field in _OF_CLICK])),
        ("source", pa.string()),
        ("store_epoch", pa.string()),
        *(
            (field.name, pa.int64() if field.type == TIMESTAMP else field.type)
            for field in DECISIONS.schema
            if field.name != "click_id"
        ),
    ]
)
_NEVER_NULL = [
    *("seq", "ts", "source"),
    *(field.name for field in (*_OF_CLICK, *DECISIONS.schema) if not field.nullable),
]
_SOURCES = {"live", "unstamped"}

Widths = Callable[[str, str], tuple[int, int] | None]


@dataclass(frozen=True)
class Bad:
    """A line that is no answer, or that has features of another width than its spec's."""

    file: str
    line: int
    column: str | None
    reason: str
    row: str


@dataclass(frozen=True)
class Parsed:
    """Lines as rows, with the columns of clicks and decisions (times in µs), and the bad ones."""

    rows: pa.Table
    bad: tuple[Bad, ...]


def parse(segments: Sequence[tuple[str, bytes]]) -> Parsed:
    """Read segments, each a name and its bytes."""
    whole = all(content.endswith(b"\n") for _, content in segments if content)
    rows = _read(b"".join(content for _, content in segments)) if whole else None
    if rows is not None:
        return Parsed(rows, ())
    lines = [
        _Line(name, number, line)
        for name, content in segments
        for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), 1)
    ]
    found = list(_halve(lines))
    tables = [each for each in found if isinstance(each, pa.Table)]
    bad = tuple(each for each in found if isinstance(each, Bad))
    return Parsed(pa.concat_tables([_flat(_SCHEMA.empty_table()), *tables]), bad)


@dataclass(frozen=True, slots=True)
class _Line:
    file: str
    number: int
    text: bytes


def _halve(lines: Sequence[_Line]) -> Iterator[pa.Table | Bad]:
    """Read the lines at once, or else each half by itself, down to those that are bad."""
    rows = _read(b"".join(line.text + b"\n" for line in lines))
    if rows is not None:
        yield rows
    elif len(lines) == 1:
        yield _bad(lines[0])
    else:
        yield from _halve(lines[: len(lines) // 2])
        yield from _halve(lines[len(lines) // 2 :])


def _bad(line: _Line) -> Bad:
    column, reason = None, "holds a value that the table cannot"
    try:
        _ANSWER.validate_json(line.text)
    except ValidationError as exc:
        first = exc.errors()[0]
        column, reason = ".".join(map(str, first["loc"])) or None, first["msg"]
    shown = line.text[:_SHOWN].decode(errors="backslashreplace").replace("\0", "\\0")
    return Bad(line.file, line.number, column, reason, shown)


def _read(data: bytes) -> pa.Table | None:
    """Read whole lines; None where any of them is not what the tables can hold."""
    if not data:
        return _flat(_SCHEMA.empty_table())
    options = pj.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore")
    try:
        data.decode()  # Arrow's reader lets through what is no UTF-8
        read = pj.read_json(
            BytesIO(data), pj.ReadOptions(use_threads=False, block_size=_BLOCK), options
        )
    except (UnicodeDecodeError, pa.ArrowException):
        return None
    rows = _flat(read)
    return rows if rows.num_rows == data.count(b"\n") and _sound(rows) else None


def _flat(read: pa.Table) -> pa.Table:
    """Bring a click's columns beside the others."""
    for field in _OF_CLICK:
        read = read.append_column(field.name, pc.struct_field(read["click"], field.name))
    return read.drop_columns(["click"])


def _sound(rows: pa.Table) -> bool:
    return (
        not any(rows[name].null_count for name in _NEVER_NULL)
        and _within(rows["ts"], 0, LAST_TS)
        and _within(rows["decided_at"], 0, LAST_TS)
        and _within(rows["price_micros"], 0, PRICE_LIMIT + 1)
        and not pc.list_flatten(rows["facts"]).null_count
        and set(rows["decision"].unique().to_pylist()) <= set(DECISION_VALUES)
        and set(rows["source"].unique().to_pylist()) <= _SOURCES
    )


def _within(numbers: pa.ChunkedArray, least: int, end: int) -> bool:
    bounds = pc.min_max(numbers).as_py()
    return bounds["min"] is None or least <= bounds["min"] <= bounds["max"] < end


def in_log_order(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> pa.Table:
    """Return one row for each click_id, in log order.

    Of several a decided one is kept before an undecided, one with the store's stamp before one
    without, then the first by (ts, seq).
    """
    keys = rows.select(["click_id", "ts", "seq", "decision", "source"])
    keys = keys.append_column("place", pa.array(np.arange(rows.num_rows)))
    view = "keys_of_a_batch"
    connection.register(view, keys)
    try:
        chosen = connection.sql(f"""
            SELECT place FROM {view} QUALIFY 1 = row_number() OVER (
                PARTITION BY click_id
                ORDER BY decision = 'undecided', source = 'unstamped', ts, seq, place
            ) ORDER BY ts, seq, click_id
        """).fetchnumpy()["place"]
    finally:
        connection.unregister(view)
    return rows.take(pa.array(chosen))


def check_widths(rows: pa.Table, widths: Widths) -> tuple[pa.Table, tuple[Bad, ...]]:
    """Take away features that are not as many as their spec has; their clicks land without them.

    `widths` tells how many facts and reals a version's spec has, by the version's name and the
    spec's digest; None where that is not known.
    """
    found = pa.table(
        {
            "model_version": rows["model_version"],
            "spec_digest": rows["spec_digest"],
            "facts": pc.list_value_length(rows["facts"]),
            "reals": pc.list_value_length(rows["reals"]),
        }
    )
    bad = []
    for kind in found.group_by(found.column_names).aggregate([]).drop_null().to_pylist():
        has, due = (
            (kind["facts"], kind["reals"]),
            widths(kind["model_version"], kind["spec_digest"]),
        )
        if due is None or due == has:
            continue
        wrong = reduce(pc.and_, (pc.equal(found[name], kind[name]) for name in kind))
        wrong = pc.fill_null(wrong, False)
        for name in ("facts", "reals"):
            without = pc.if_else(wrong, pa.scalar(None, rows.schema.field(name).type), rows[name])
            rows = rows.set_column(rows.column_names.index(name), name, without)
        reason = f"{has} facts and reals, where the spec of {kind['model_version']} has {due}"
        said = f"{pc.sum(wrong).as_py():,} clicks"
        bad.append(Bad("decisions", 0, "facts", reason, said))
    return rows, tuple(bad)


def clicks(rows: pa.Table, ingested_at: int) -> list[pa.RecordBatch]:
    """Return rows of `clicks`, which land at `ingested_at` (µs)."""
    stamps = pa.array(np.full(rows.num_rows, ingested_at))
    return _as(CLICKS, rows.append_column("ingested_at", stamps))


def decisions(rows: pa.Table) -> list[pa.RecordBatch]:
    """Return rows of `decisions`."""
    return _as(DECISIONS, rows)


def quarantine(bad: Sequence[Bad], at: int) -> list[pa.RecordBatch]:
    """Return rows of `quarantine`, of the time `at` (µs)."""
    rows = [{"at": at, "table": CLICKS.name, **asdict(each)} for each in bad]
    columns = {name: [row[name] for row in rows] for name in QUARANTINE.schema.names}
    return _as(QUARANTINE, pa.table(columns))


def _as(table: Table, rows: pa.Table) -> list[pa.RecordBatch]:
    made: list[pa.RecordBatch] = (
        rows.select(table.schema.names).cast(table.schema).combine_chunks().to_batches()
    )
    return made
