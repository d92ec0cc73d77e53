"""The engine equals the DuckDB oracle on a log in bulk, for the spec that ships."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from replay.snapshot import Snapshot
from replay.span import Span
from scorer.spec import Spec, load_spec
from tests.lakes import make_lake
from tests.oracles import plain, sql
from tests.oracles.engine import Answer, answer, ask, assert_equal
from tests.traffic import DAY, FIRST, profiles, traffic

HOUR = DAY // 24
SPAN = Span(FIRST + DAY + 7 * HOUR // 2, FIRST + 2 * DAY - HOUR)  # sees back to where the log is


def lake_of(home: Path, clicks: pa.Table, commits: int) -> Snapshot:
    """Write the clicks as they come, dealt out to some commits, and what is known of their keys."""
    dealt = [np.arange(len(clicks))[k::commits] for k in range(commits)]
    known = {f"profiles_{name}": rows for name, rows in profiles(clicks).items()}
    return Snapshot.take(make_lake(home, clicks, commits=dealt, **known))


def by_sql(spec: Spec, clicks: pa.Table, span: Span) -> Answer:
    """Ask the DuckDB oracle."""
    found = sql.features(spec, clicks, profiles(clicks), span)
    ordered = clicks.sort_by([(column, "ascending") for column in ("ts", "seq", "click_id")])
    times = ordered.column("ts").cast(pa.int64()).to_numpy()
    ids = ordered.filter((times >= span.start) & (times < span.end)).column("click_id").to_pylist()
    return answer(spec, ids, {name: found.column(name).to_numpy() for name in spec.names})


def test_engine_equals_duckdb_in_bulk(tmp_path: Path) -> None:
    """Twenty thousand clicks; in slices or at once, in three unsorted files a day or in one."""
    spec, clicks = load_spec("default"), traffic(20_000)
    expected = by_sql(spec, clicks, SPAN)
    assert max(expected.values["clicks_ip_1h"]) > 50
    many = lake_of(tmp_path / "many", clicks, 3)
    for slice_length, threads in ((None, 2), (HOUR // 2 + 1, 1), (5 * HOUR, 3)):
        assert_equal(ask(many, spec, SPAN, slice_length, threads), expected)
    ordered = clicks.sort_by([("ts", "descending"), ("click_id", "ascending")])
    assert_equal(ask(lake_of(tmp_path / "one", ordered, 1), spec, SPAN), expected)


def test_engine_equals_brute_force_for_the_default_spec(tmp_path: Path) -> None:
    """Brute force is O(n²): a few hundred clicks."""
    spec, clicks = load_spec("default"), traffic(500, seed=1)
    micros = {"ts": pa.int64(), "valid_from": pa.int64()}

    def rows(table: pa.Table) -> list[plain.Row]:
        fields = [pa.field(f.name, micros.get(f.name, f.type)) for f in table.schema]
        found: list[plain.Row] = table.cast(pa.schema(fields)).to_pylist()
        return found

    known = {name: rows(table) for name, table in profiles(clicks).items()}
    values = plain.features(spec, rows(clicks), known, SPAN)
    expected = by_sql(spec, clicks, SPAN)
    assert_equal(answer(spec, expected.ids, values), expected)
    assert_equal(ask(lake_of(tmp_path, clicks, 2), spec, SPAN), expected)


@pytest.mark.soak
def test_engine_equals_duckdb_on_two_million(tmp_path: Path) -> None:
    spec, clicks = load_spec("default"), traffic(2_000_000, seed=2)
    expected = by_sql(spec, clicks, SPAN)
    assert_equal(ask(lake_of(tmp_path, clicks, 4), spec, SPAN), expected)
