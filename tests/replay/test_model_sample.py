"""Samples of what a foreign model gives: three kinds of file, and every mistake in them."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from replay.model_sample import read_sample
from scorer.errors import BadInput
from scorer.foreign.checks import DRAWN, drawn
from scorer.spec import parse_spec
from tests.scorer.foreign.graphs import TINY

ROWS: dict[str, list[Any]] = {
    "click_id": ["a", "b", "c"],
    "user_age": [0.5, -3.25, 7.0],
    "probability": [0.0, 0.125, 1.0],
    "logged_in": [True, False, True],
    "clicks_user_1h": [1, 16_777_217, 0],
}


def written(path: Path, changes: dict[str, list[Any] | None] | None = None) -> Path:
    """Write the rows, with columns changed or (None) left out, as the path's name says."""
    rows = {**ROWS, **(changes or {})}
    table = pa.table({name: values for name, values in rows.items() if values is not None})
    match path.suffix:
        case ".csv":
            pa.csv.write_csv(table, path)
        case ".ndjson":
            path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
        case _:
            pq.write_table(table, path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        read_sample(path, TINY)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", ["s.csv", "s.ndjson", "s.parquet"])
def test_columns_are_found_by_name(tmp_path: Path, name: str) -> None:
    found = read_sample(written(tmp_path / name), TINY)
    assert found.facts.tolist() == [[1, 16_777_217, 0], [1, 0, 1]]
    assert found.reals.tolist() == [[0.5, -3.25, 7.0]]
    assert found.expected.tolist() == [0.0, 0.125, 1.0]
    assert found.facts.dtype == np.int32
    assert found.reals.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"user_age": None}, "lacks the column user_age"),
        ({"probability": None, "logged_in": None}, "lacks the columns logged_in, probability"),
        ({name: [] for name in ROWS}, "holds 0 rows; give 1 to 1,000,000"),
        (
            {"clicks_user_1h": [1, 0.5, 2]},
            "row 2: clicks_user_1h is 0.5, no whole number; give raw",
        ),
        ({"clicks_user_1h": [1, 2, 2**31]}, "row 3: clicks_user_1h is 2.14748e+09, no 32-bit"),
        ({"user_age": [1.0, None, 1.0]}, "row 2: user_age is null; leave the row out"),
        ({"user_age": [1.0, 1.0, float("nan")]}, "row 3: user_age is nan, no finite number"),
        ({"user_age": ["old", "x", "y"]}, "column user_age holds string, not numbers"),
        ({"probability": [0.5, 0.5, 1.5]}, "row 3: probability is 1.5, no probability in [0, 1]"),
        ({"probability": [-0.5, 0.5, 1]}, "row 1: probability is -0.5, no probability in [0, 1]"),
    ],
)
def test_mistakes(tmp_path: Path, changes: dict[str, list[Any] | None], said: str) -> None:
    assert refused(written(tmp_path / "s.parquet", changes)).startswith(said)


def test_files_that_can_t_be_read(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "absent.csv")
    broken = tmp_path / "s.csv"
    broken.write_text("a,b\n1,2\n3\n")
    assert refused(broken).startswith("can't be read as CSV")
    pressed = tmp_path / "s.csv.gz"
    pressed.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert refused(pressed) == "is compressed with gzip; give it plain"


def test_a_spec_of_reals_alone(tmp_path: Path) -> None:
    spec = parse_spec({"time": {"parts": ["hour_sin"]}, "flags": {"logged_in": False}}, "time")
    path = tmp_path / "s.parquet"
    pq.write_table(pa.table({"hour_sin": [0.5, -0.5], "probability": [0.25, 1.0]}), path)
    found = read_sample(path, spec)
    assert (found.facts.shape, found.reals.tolist()) == ((0, 2), [[0.5, -0.5]])
    assert [part.shape for part in drawn(spec)] == [(0, DRAWN), (1, DRAWN)]
