import io
import random

import pytest

from replay.importing import records
from replay.importing.csv_records import NOT_CLOSED, STRAY_RETURN, WRONG_WIDTH, CsvReader
from replay.importing.records import NOT_UTF8


def read(content: bytes, width: int = 3) -> list[tuple[int, int, str | None, list[str] | None]]:
    """Return (row, line, broken, fields) of every record, in file order."""
    found = []
    for table in CsvReader(width, ",").batches(io.BytesIO(content), line=2):
        for record in table.to_pylist():
            row, line, broken, _, *fields = record.values()
            found.append((row, line, broken, None if broken else fields))
    return sorted(found)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"1,2,3", [(1, 2, None, ["1", "2", "3"])]),
        (b"1,2,3\n4,5", [(1, 2, None, ["1", "2", "3"]), (2, 3, WRONG_WIDTH, None)]),
        (b"1,2,3,4\n5,,7\n", [(1, 2, WRONG_WIDTH, None), (2, 3, None, ["5", "", "7"])]),
        (b"1,2,3\r\n4,5,6\r\n", [(1, 2, None, ["1", "2", "3"]), (2, 3, None, ["4", "5", "6"])]),
        (b"\n1,2,3\n\n\n4,5,6\n", [(1, 3, None, ["1", "2", "3"]), (2, 6, None, ["4", "5", "6"])]),
        (b'1,"a,""b""",3\n', [(1, 2, None, ["1", 'a,"b"', "3"])]),
        (b'1,5" x,3\n', [(1, 2, None, ["1", '5" x', "3"])]),
        (b'1,"a\nb",3\n4,5\n', [(1, 2, None, ["1", "a\nb", "3"]), (2, 4, WRONG_WIDTH, None)]),
        (b"1,\xff,3\n4,5,6\n", [(1, 2, NOT_UTF8, None), (2, 3, None, ["4", "5", "6"])]),
        (b"1,2\r3,3\n4,5,6\n", [(1, 2, STRAY_RETURN, None), (2, 3, None, ["4", "5", "6"])]),
        (b'1,2,"cut', [(1, 2, NOT_CLOSED, None)]),
    ],
)
def test_every_line_is_a_record_or_a_broken_one(
    content: bytes, expected: list[tuple[int, int, str | None, list[str] | None]]
) -> None:
    assert read(content) == expected


@pytest.mark.parametrize("tail", [b"", b'10,"11",12\n', b'9,"8\n7",6\n'])
def test_an_open_quote_costs_its_own_line(tail: bytes) -> None:
    found = read(b'1,2,3\n4,"5,6\n7,8,9\n' + tail)
    assert [record[1:3] for record in found[:3]] == [(2, None), (3, NOT_CLOSED), (4, None)]
    assert all(broken is None for _, _, broken, _ in found[3:])
    assert len(found) == 3 + bool(tail)


def test_block_edges_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(5)
    kinds = (b"1,2,3\n", b'1,"a\nb",3\n', b"1,2\n", b'1,"x,3\n', b"\n", b"1,\xff,3\n", b'"",2,3\n')
    content = b"".join(draw.choices(kinds, k=600)) + b'1,"2'
    whole = read(content)
    assert len({broken for _, _, broken, _ in whole}) == 4
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr(records, "BLOCK_BYTES", size)
        assert read(content) == whole


def test_rows_are_numbered_over_broken_lines() -> None:
    found = read(b"1,2,3\n1,2\n1,2,3\n" * 3)
    assert [row for row, *_ in found] == list(range(1, 10))
    assert [line for _, line, *_ in found] == list(range(2, 11))
