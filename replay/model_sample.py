"""A sample of what a foreign model gives: features by the spec's names, and `probability`."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from replay.importing.files import open_source
from scorer.errors import BadInput
from scorer.foreign.checks import Sample
from scorer.spec import Spec

PROBABILITY = "probability"
MOST_ROWS = 1_000_000
FACTS = np.iinfo(np.int32)


def read_sample(path: Path, spec: Spec) -> Sample:
    """Read a sample from a Parquet, CSV or NDJSON file; other columns than the spec's are let be.

    Raises BadInput naming file, row (from 1) and column, where a column is missing, a value is no
    finite number, a fact no whole one, or a probability not in [0, 1].
    """
    rows = _read(path)
    wanted = [*spec.names, PROBABILITY]
    if missing := [name for name in wanted if name not in rows.column_names]:
        raise BadInput(f"{path}: lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
    if not 0 < len(rows) <= MOST_ROWS:
        raise BadInput(f"{path}: holds {len(rows):,} rows; give 1 to {MOST_ROWS:,}")
    values = {name: _numbers(path, name, rows[name]) for name in wanted}
    for name in spec.facts:
        whole = values[name] == np.floor(values[name])
        _check(path, name, values[name], whole, "no whole number; give raw features, not scaled")
        within = (values[name] >= FACTS.min) & (values[name] <= FACTS.max)
        _check(path, name, values[name], within, "no 32-bit integer")
    p = values[PROBABILITY]
    _check(path, PROBABILITY, p, (p >= 0) & (p <= 1), "no probability in [0, 1]")
    facts = np.array([values[name] for name in spec.facts]).reshape(-1, len(rows))
    reals = np.array([values[name] for name in spec.reals]).reshape(-1, len(rows))
    return Sample(facts.astype(np.int32), reals.astype(np.float32), p)


def _read(path: Path) -> pa.Table:
    source = open_source(path)
    if source.compression:
        raise BadInput(f"{path}: is compressed with {source.compression}; give it plain")
    readers = {"CSV": pa.csv.read_csv, "NDJSON": pa.json.read_json, "Parquet": pq.read_table}
    try:
        return readers[source.kind](str(path))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:
        said = " ".join(str(exc).split())
        raise BadInput(f"{path}: can't be read as {source.kind}: {said}") from exc


def _numbers(path: Path, name: str, column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return a column as float64; a boolean is 0 or 1."""
    kind = column.type
    if pa.types.is_boolean(kind):
        column = pc.cast(column, pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise BadInput(f"{path}: column {name} holds {kind}, not numbers")
    if column.null_count:
        row = pc.index(pc.is_null(column), value=True).as_py() + 1
        raise BadInput(f"{path}: row {row}: {name} is null; leave the row out")
    values: NDArray[np.float64] = column.to_numpy().astype(np.float64)
    _check(path, name, values, np.isfinite(values), "no finite number; leave the row out")
    return values


def _check(
    path: Path, name: str, values: NDArray[np.float64], good: NDArray[np.bool_], what: str
) -> None:
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise BadInput(f"{path}: row {row + 1}: {name} is {values[row]:g}, {what}")
