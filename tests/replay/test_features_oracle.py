"""The engine equals two independent oracles, bit for bit, on clicks made to collide."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay.span import Span
from replay.tables import TABLES
from scorer.spec import Spec
from tests.lakes import to_table
from tests.oracles import sql
from tests.oracles.engine import Answer, Ask, answer, ask_case, assert_equal, expect
from tests.strategies import BASES, MINUTE, SECOND, SMALL, Case, cases, crowd, slice_lengths, specs


def by_sql(case: Case, spec: Spec, *_: object, **__: object) -> Answer:
    """Ask the DuckDB oracle about a case."""
    clicks = to_table(TABLES["clicks"], case.clicks)
    profiles = {
        name: to_table(TABLES[f"profiles_{name}"], rows)
        for name, rows in case.profiles.items()
        if rows
    }
    found = sql.features(spec, clicks, profiles, case.span)
    ids = expect(case, spec).ids
    return answer(spec, ids, {name: found.column(name).to_numpy() for name in spec.names})


# Dense logs, the same each time, around midnight UTC and both changes of clocks: each asked for as
# a whole, and for a piece of the last of three bursts, which needs a look-back and ends in a tie.
CROWDS: tuple[Case, ...] = tuple(
    replace(case, span=span)
    for seed, base in enumerate(BASES)
    for case in [crowd(70, seed, base)]
    for last in [max(click["ts"] for click in case.clicks)]
    for span in (case.span, Span(base + 20 * MINUTE - 10 * SECOND, last))
)


def check_crowds(ask: Ask) -> None:
    """Compare with brute force; `test_features_mistakes` shows that no classic mistake passes."""
    for case in CROWDS:
        assert_equal(ask(case, SMALL), expect(case, SMALL))


def test_engine_equals_brute_force_on_crowds() -> None:
    check_crowds(ask_case)


def test_duckdb_equals_brute_force_on_crowds() -> None:
    check_crowds(by_sql)


@settings(max_examples=20, deadline=None)
@given(cases(), slice_lengths(), st.sampled_from((1, 2)))
def test_engine_equals_brute_force(case: Case, slice_length: int | None, threads: int) -> None:
    assert_equal(ask_case(case, SMALL, slice_length, threads), expect(case, SMALL))


@settings(max_examples=20, deadline=None)
@given(cases(), specs(), slice_lengths())
def test_engine_equals_brute_force_for_any_spec(
    case: Case, spec: Spec, slice_length: int | None
) -> None:
    assert_equal(ask_case(case, spec, slice_length), expect(case, spec))


@settings(max_examples=20, deadline=None)
@given(cases())
def test_the_two_oracles_agree(case: Case) -> None:
    assert_equal(by_sql(case, SMALL), expect(case, SMALL))


@pytest.mark.soak
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(max_clicks=25), specs(), slice_lengths(), st.sampled_from((1, 2, 3)))
def test_engine_equals_brute_force_at_length(
    case: Case, spec: Spec, slice_length: int | None, threads: int
) -> None:
    for each in (SMALL, spec):
        assert_equal(ask_case(case, each, slice_length, threads), expect(case, each))
