"""A file to import: what it really holds, its columns, and its records as Arrow tables.

What a file holds is told by its first bytes; a name that says otherwise is refused.
"""

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq

from replay.errors import BadInput
from replay.importing.csv_records import CsvReader
from replay.importing.records import lines

Kind = Literal["CSV", "NDJSON", "Parquet"]
Compression = Literal["gzip", "zstd"]

_MAGIC: dict[bytes, str] = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1": "Parquet",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}
_SUFFIXES: dict[str, str] = {
    ".gz": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".csv": "CSV",
    ".tsv": "CSV",
    ".ndjson": "NDJSON",
    ".jsonl": "NDJSON",
    ".json": "NDJSON",
    ".parquet": "Parquet",
    ".pq": "Parquet",
}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LOOK = 1 << 16
_BATCH_ROWS = 65_536
_KEY_LINES = 20_000


@dataclass(frozen=True)
class SourceFile:
    """An opened file: `columns` are the names in its header, schema, or first records."""

    path: Path
    kind: Kind
    compression: Compression | None
    columns: tuple[str, ...]
    delimiter: str

    def tables(self) -> Iterator[pa.Table]:
        """Yield its records in file order.

        Tables have row and line (both from 1), broken (why a line is no record, or null), text
        (of a broken CSV line and of every NDJSON line), and then c0, c1, … in the order of
        `columns`; NDJSON has the text alone. Raises BadInput where the file turns out damaged.
        """
        with _reading(self.path):
            if self.kind == "Parquet":
                yield from _parquet(self.path)
                return
            with _open(self.path, self.compression) as stream:
                if self.kind == "NDJSON":
                    yield from lines(stream)
                    return
                stream.readline()
                yield from CsvReader(len(self.columns), self.delimiter).batches(stream, line=2)

    def digest(self) -> str:
        """Return the SHA-256 of the file's bytes, hex."""
        with _reading(self.path), self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def open_source(path: Path, delimiter: str = ",") -> SourceFile:
    """Look into a file.

    Raises BadInput where it is absent, empty, of no known kind, or not what its name says.
    """
    with _reading(path):
        with path.open("rb") as stream:
            outer = _magic(stream.read(8))
        compression = cast("Compression", outer) if outer in ("gzip", "zstd") else None
        kind = _kind(path, outer, compression)
        _agree(path, compression, kind)
        columns = _columns(path, kind, compression, delimiter)
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise BadInput(f"{path}: column {twice[0]!r} stands in it twice")
    return SourceFile(path, kind, compression, columns, delimiter)


def _kind(path: Path, outer: str | None, compression: Compression | None) -> Kind:
    if outer == "Parquet":
        return "Parquet"
    if outer is not None and compression is None:
        raise BadInput(f"{path}: holds {outer}; give CSV, NDJSON or Parquet, plain, gzip or zstd")
    with _open(path, compression) as stream:
        look = stream.read(_LOOK)
    text = look.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if not text:
        raise BadInput(f"{path}: the file is empty")
    if _magic(look) is not None or b"\0" in look:
        raise BadInput(f"{path}: holds neither CSV, NDJSON nor plain Parquet")
    if text.startswith(b"["):
        raise BadInput(f"{path}: holds one JSON array; give one JSON object a line")
    return "NDJSON" if text.startswith(b"{") else "CSV"


def _magic(head: bytes) -> str | None:
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def _agree(path: Path, compression: Compression | None, kind: Kind) -> None:
    """Raise BadInput where the name says another thing than the content."""
    said = [_SUFFIXES[suffix] for suffix in path.suffixes[-2:] if suffix in _SUFFIXES]
    holds = [kind, *([compression] if compression else [])]
    wrong = [word for word in said if word not in holds]
    if said and compression and compression not in said:
        wrong = [said[-1]]
    if wrong:
        raise BadInput(
            f"{path}: is not what its name says: the name says {wrong[0]}, "
            f"the content is {' in '.join(holds)}; rename it or give the right file"
        )


def _columns(
    path: Path, kind: Kind, compression: Compression | None, delimiter: str
) -> tuple[str, ...]:
    if kind == "Parquet":
        return tuple(pq.read_schema(path).names)
    with _open(path, compression) as stream:
        if kind == "CSV":
            header = stream.readline(_LOOK).removeprefix(_BYTE_ORDER_MARK).decode()
            return tuple(next(csv.reader([header.rstrip("\r\n")], delimiter=delimiter), ()))
        keys: dict[str, None] = {}
        for _, line in zip(range(_KEY_LINES), stream, strict=False):
            keys.update(dict.fromkeys(_keys(line)))
        return tuple(keys)


def _keys(line: bytes) -> list[str]:
    try:
        record = json.loads(line)
    except ValueError:
        return []
    return list(record) if isinstance(record, dict) else []


def _parquet(path: Path) -> Iterator[pa.Table]:
    row = 1
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS):
            numbers = pa.array(range(row, row + batch.num_rows), pa.int64())
            nothing = pa.nulls(batch.num_rows, pa.string())
            names = [f"c{i}" for i in range(batch.num_columns)]
            yield pa.table(
                [numbers, numbers, nothing, nothing, *batch.columns],
                ["row", "line", "broken", "text", *names],
            )
            row += batch.num_rows


def _open(path: Path, compression: Compression | None) -> BinaryIO:
    # Arrow reads a gzip file that is cut off as if it were empty; Python's reader refuses it.
    if compression == "gzip":
        return cast("BinaryIO", gzip.open(path, "rb"))
    if compression == "zstd":
        return cast("BinaryIO", io.BufferedReader(pa.input_stream(path, compression="zstd")))
    return path.open("rb")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what a file that cannot be read raises into BadInput."""
    try:
        yield
    except UnicodeDecodeError as exc:
        raise BadInput(f"{path}: the header line is not UTF-8") from exc
    except (EOFError, zlib.error, gzip.BadGzipFile, pa.ArrowException) as exc:
        raise BadInput(f"{path}: damaged or cut off: {exc}") from exc
    except BadInput as exc:
        prefix = "" if str(exc).startswith(str(path)) else f"{path}: "
        raise BadInput(prefix + str(exc)) from exc
    except OSError as exc:
        # Arrow reports what is wrong inside of a file as an OSError without a number.
        what = "damaged or cut off" if exc.errno is None else "cannot be read"
        raise BadInput(f"{path}: {what}: {exc.strerror or exc}") from exc
