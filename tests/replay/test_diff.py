"""A run's parts against a plain reading of the design, on small lakes that collide."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay.span import to_micros
from tests.oracles.runs import RULES, SPAN, Drawn, Oracle, Row, lakes, store, store_rules
from tests.versions import run


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_rules(tmp_path_factory.mktemp("versions"))


def only(rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    return [{column: row[column] for column in columns} for row in rows]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    drawn=lakes(),
    model=st.sampled_from(list(RULES)),
    features=st.sampled_from(["recomputed", "recomputed", "logged"]),
    where=st.sampled_from([None, None, "device = 'tablet'"]),
)
def test_a_run_says_what_the_design_says(
    models: Path, drawn: Drawn, model: str, features: str, where: str | None
) -> None:
    oracle = Oracle(drawn, model, features, where)
    expected = [said for _, _, said in oracle.decisions()]
    changes = oracle.changes()
    with TemporaryDirectory() as folder:
        done = run(store(folder, models, drawn), model, SPAN, features=features, where=where)
        assert only(done.rows("decisions"), list(expected[0]) if expected else []) == expected
        assert only(done.rows("changes"), list(changes[0]) if changes else []) == changes
        assert all(SPAN.start <= to_micros(row["ts"]) < SPAN.end for row in done.rows("decisions"))
    summary = done.summary
    assert summary.clicks == summary.decided + summary.undecided == len(expected)
    assert summary.changed.micros == sum(change["adjustment_micros"] for change in changes)
    assert summary.withheld == sum(said["withheld"] for said in expected)
