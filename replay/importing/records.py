"""Blocks of whole lines out of a byte stream, and records with their place in the file."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from replay.errors import BadInput

BLOCK_BYTES = 8 << 20
LONGEST_LINE = 64 << 20
NOT_UTF8 = "not UTF-8"


class Record(NamedTuple):
    """A record that was read by itself: its line, why it is broken, its text, its fields."""

    line: int
    broken: str | None
    text: str | None
    fields: Sequence[str]


class Block:
    """Whole lines, the last one ended too; what is not kept comes again with the next block."""

    def __init__(self, data: bytes, *, last: bool) -> None:
        self.data = data
        self.last = last
        self.used = len(data)

    def keep(self, used: int) -> None:
        """Say how many bytes were used."""
        self.used = used


def blocks(stream: BinaryIO) -> Iterator[Block]:
    """Cut a stream into blocks of whole lines.

    Raises BadInput at a line of more than 64 MiB.
    """
    rest = b""
    while True:
        data = stream.read(BLOCK_BYTES)
        buffer = rest + data
        if not data and buffer and not buffer.endswith(b"\n"):
            buffer += b"\n"
        end = buffer.rfind(b"\n") + 1
        if len(buffer) - end > LONGEST_LINE:
            raise BadInput("a line of more than 64 MiB: this is no file of lines")
        if end:
            block = Block(buffer[:end], last=not data)
            yield block
            end = block.used
        rest = buffer[end:]
        if not data:
            return


def decode(line: bytes) -> tuple[str, str | None]:
    """Return a line's text and why it is broken; bytes that are not UTF-8 are written as escapes.

    >>> decode(b"a\\xff")
    ('a\\\\xff', 'not UTF-8')
    """
    try:
        return line.decode(), None
    except UnicodeDecodeError:
        return line.decode(errors="backslashreplace"), NOT_UTF8


def to_table(records: Sequence[Record], row: int, width: int) -> pa.Table:
    """Make a table of row, line, broken, text, c0, c1, …; rows are numbered from `row`."""
    fields = [record.fields or (None,) * width for record in records]
    columns = list(zip(*fields, strict=True)) or [()] * width
    head = [
        pa.array(range(row, row + len(records)), pa.int64()),
        pa.array([record.line for record in records], pa.int64()),
        pa.array([record.broken for record in records], pa.string()),
        pa.array([record.text for record in records], pa.string()),
    ]
    values = [pa.array(column, pa.string()) for column in columns]
    names = ["row", "line", "broken", "text", *(f"c{i}" for i in range(width))]
    return pa.table([*head, *values], names)


def lines(stream: BinaryIO) -> Iterator[pa.Table]:
    """Yield tables of row, line, broken, text: every line that is not blank is a record."""
    line, row = 1, 1
    for block in blocks(stream):
        texts = [decode(raw.strip()) for raw in block.data[:-1].split(b"\n")]
        records = [
            Record(line + i, broken, text, ()) for i, (text, broken) in enumerate(texts) if text
        ]
        yield to_table(records, row, 0)
        line += len(texts)
        row += len(records)
