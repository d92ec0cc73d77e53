"""CSV as Arrow batches of records, each with its line in the file; no line is lost in silence.

A block whose every line is a record goes through Arrow's parser. Any other block (values with line
breaks, quotes that are never closed, bytes that are not UTF-8) goes line by line through Python's,
which reads quotes the same way; so a row's fate does not depend on its neighbours. A quote that is
not closed within `RECORD_LINES` lines costs its own line and not the rest of the file.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from replay.importing.records import Record, blocks, decode, to_table

RECORD_LINES = 100
NOT_CLOSED = "quote not closed"
WRONG_WIDTH = "wrong number of fields"
STRAY_RETURN = "stray carriage return"
UNREADABLE = "not readable as CSV"


@dataclass(frozen=True)
class CsvReader:
    """The records of a CSV file below its header line; `width` fields each."""

    width: int
    delimiter: str

    def batches(self, stream: BinaryIO, line: int, row: int = 1) -> Iterator[pa.Table]:
        """Yield tables of row, line, broken, text, c0, c1, … from the stream's position.

        `line` is the number of the first line in the file, `row` that of the first record.
        """
        for block in blocks(stream):
            table = self._whole(block.data, line, row)
            used = len(block.data)
            if table is None:
                records, used = self._one_by_one(block.data, line, last=block.last)
                table = to_table(records, row, self.width)
            line += block.data.count(b"\n", 0, used)
            row += table.num_rows
            block.keep(used)
            yield table

    def _whole(self, data: bytes, line: int, row: int) -> pa.Table | None:
        """Parse a block at once; None where some line of it is no record of its own."""
        lines = data.count(b"\n")
        if _needs_care(data) or self._ends_open(data):
            return None
        rejected: list[arrow_csv.InvalidRow] = []

        def reject(bad: arrow_csv.InvalidRow) -> str:
            rejected.append(bad)
            return "skip"

        names = [f"c{i}" for i in range(self.width)]
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(data),
                arrow_csv.ReadOptions(
                    use_threads=False, block_size=len(data) + 1, column_names=names
                ),
                arrow_csv.ParseOptions(
                    delimiter=self.delimiter,
                    newlines_in_values=True,
                    ignore_empty_lines=False,
                    invalid_row_handler=reject,
                ),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
        except pa.ArrowInvalid:
            return None
        if table.num_rows + len(rejected) != lines:
            return None
        bad = np.array([r.number - 1 for r in rejected], dtype=np.int64)
        good = np.delete(np.arange(lines, dtype=np.int64), bad)
        nothing = pa.nulls(len(good), pa.string())
        head = [pa.array(good + row), pa.array(good + line), nothing, nothing]
        whole = pa.table([*head, *table.columns], ["row", "line", "broken", "text", *names])
        if not rejected:
            return whole
        cut = [Record(line + r.number - 1, WRONG_WIDTH, r.text, ()) for r in rejected]
        broken = to_table(cut, 0, self.width).set_column(0, "row", pa.array(bad + row))
        return pa.concat_tables([whole, broken])

    def _ends_open(self, data: bytes) -> bool:
        tail = data[data.rfind(b"\n", 0, -1) + 1 :]
        if b'"' not in tail:
            return False
        reader = csv.reader([tail.decode(errors="replace"), "\n"], delimiter=self.delimiter)
        try:
            next(reader)
        except csv.Error:
            return True
        return reader.line_num > 1

    def _one_by_one(self, data: bytes, first: int, *, last: bool) -> tuple[list[Record], int]:
        """Parse line by line; also return how many bytes were used.

        What stands behind an open quote at the block's end waits for the next block.
        """
        raw = data[:-1].split(b"\n")
        lines = [decode(line.removesuffix(b"\r")) for line in raw]
        records, i = [], 0
        while i < len(lines):
            record, used = self._record(lines, i, first + i)
            if used == 0:
                if not last and len(lines) - i < RECORD_LINES:
                    break
                record, used = Record(first + i, NOT_CLOSED, lines[i][0], ()), 1
            if record is not None:
                records.append(record)
            i += used
        return records, sum(len(line) + 1 for line in raw[:i])

    def _record(
        self, lines: list[tuple[str, str | None]], i: int, line: int
    ) -> tuple[Record | None, int]:
        """Read the record that starts at line `i`, and how many lines it takes; 0: left open."""
        text, broken = lines[i]
        if not text:
            return None, 1
        if broken is None and "\r" in text:
            broken = STRAY_RETURN
        if broken is not None or '"' not in text:
            fields = tuple(text.split(self.delimiter))
            return self._checked(line, broken, text, fields), 1
        span = lines[i : i + RECORD_LINES]
        reader = csv.reader([*(t + "\n" for t, _ in span), "\n"], delimiter=self.delimiter)
        try:
            fields = tuple(next(reader))
        except csv.Error:
            return Record(line, UNREADABLE, text, ()), 1
        used = reader.line_num
        if used > len(span):
            return None, 0
        if used > 1 and not self._is_strict(lines[i : i + used]):
            return Record(line, NOT_CLOSED, text, ()), 1
        broken = next((b for _, b in span[:used] if b is not None), None)
        return self._checked(line, broken, "\n".join(t for t, _ in span[:used]), fields), used

    def _is_strict(self, span: list[tuple[str, str | None]]) -> bool:
        """Tell whether lines make one record to the letter, so that no stray quote joined them."""
        reader = csv.reader((t + "\n" for t, _ in span), delimiter=self.delimiter, strict=True)
        try:
            return len(next(reader)) == self.width
        except csv.Error:
            return False

    def _checked(self, line: int, broken: str | None, text: str, fields: tuple[str, ...]) -> Record:
        if broken is None and len(fields) != self.width:
            broken = WRONG_WIDTH
        return Record(line, broken, text, () if broken else fields)


def _needs_care(data: bytes) -> bool:
    """Tell whether a block is not UTF-8, has blank lines, or carriage returns that end no line."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return (
        data.startswith((b"\n", b"\r\n"))
        or b"\n\n" in data
        or b"\n\r\n" in data
        or data.count(b"\r") != data.count(b"\r\n")
    )
