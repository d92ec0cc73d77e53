"""A verdict as a JSON document, against the standard library's."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recovery.documents import documents
from replay.snapshot import connect
from replay.tables import VERDICTS
from tests.lakes import Row, click, to_table
from tests.recovery.sending import plain_document
from tests.versions import START, verdict

TEXT = st.text(max_size=8)
FLOATS = st.none() | st.floats(width=32)
TIMES = st.sampled_from([0, 1, START, START + 1, START + 999_999, START + 1_000_000, -1])
ROWS = st.lists(st.tuples(TEXT, TEXT, FLOATS, TIMES, st.integers(-(2**63), 2**63 - 1)), max_size=4)


def written(rows: Sequence[Row]) -> list[str]:
    (batch,) = to_table(VERDICTS, rows).to_batches() or [None]
    if batch is None:
        return []
    with connect(1) as connection:
        found: list[str] = documents(connection, batch).to_pylist()
    return found


@settings(max_examples=40)
@given(ROWS)
def test_any_row_is_one_line_of_json_that_says_what_it_holds(
    drawn: list[tuple[object, ...]],
) -> None:
    rows = []
    for number, (campaign, reason, probability, ts, money) in enumerate(drawn, 1):
        row = dict(verdict(click(START), "valid", number))
        row |= {"campaign_id": campaign, "reason": reason, "probability": probability}
        row |= {"ts": ts, "issued_at": START, "adjustment_micros": money}
        rows.append(row)
    found = written(rows)
    assert found == written(rows)
    assert [json.loads(text) for text in found] == [
        json.loads(plain_document(finite(row))) for row in to_table(VERDICTS, rows).to_pylist()
    ]
    for text in found:
        assert "\n" not in text
        assert list(json.loads(text)) == VERDICTS.schema.names
        text.encode()


def finite(row: Row) -> Row:
    """JSON has no NaN and no infinity."""
    value = row["probability"]
    return {**row, "probability": value if value is not None and math.isfinite(value) else None}


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1e-10, 2.5e-5, 0.999999, 1e-45])
def test_a_probability_reads_back_as_the_float_that_it_was(value: float) -> None:
    row = {**verdict(click(START), "valid", 1), "probability": value}
    (text,) = written([row])
    assert np.float32(json.loads(text)["probability"]) == np.float32(value)


def test_times_have_micros_and_a_z() -> None:
    row = {**verdict(click(START), "valid", 1), "ts": START, "issued_at": START + 1}
    found = json.loads(written([row])[0])
    assert (found["ts"], found["issued_at"]) == (
        "2026-03-01T12:00:00.000000Z",
        "2026-03-01T12:00:00.000001Z",
    )


def test_no_rows_no_documents() -> None:
    with connect(1) as connection:
        batch = pa.RecordBatch.from_pylist([], schema=VERDICTS.schema)
        assert documents(connection, batch).to_pylist() == []
