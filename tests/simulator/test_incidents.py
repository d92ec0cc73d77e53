"""Each shipped incident from end to end: simulate, replay with the right model, publish, score.

The bounds come from the truth tables alone. The healthy version on recomputed features is what
should have decided, so a replay with it must put right every click that was decided otherwise, and
touch no other. Only a borderline click is left as it is, which the run counts. Its changes are as
true to who clicked as the healthy version is on the very clicks that went wrong.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from recovery.gates import GATES
from recovery.publishing import Terms, publish
from replay.errors import BadInput
from replay.lake import Lake
from replay.span import Span
from simulator.incidents import INCIDENTS
from simulator.score import ALL, INCIDENT, Scores, score_run
from tests.simulator.production import ask, make, repaired, small
from tests.versions import Ran, run

REPAIRABLE = [incident.name for incident in INCIDENTS if incident.name != "clock_step"]
TERMS = Terms(
    rebill=True,
    overrides=tuple(gate.name for gate in GATES if not gate.fixed),
    reason="the lake is small, so that an incident is a large share of it",
)


class Expected(NamedTuple):
    """What the truth tables say of a span, before any run."""

    wrong: int
    true_if_repaired: int
    net_micros: int


class Repair(NamedTuple):
    lake: Lake
    expected: Expected
    ran: Ran
    scores: Scores


def expected(lake: Lake, span: Span) -> Expected:
    [row] = ask(
        lake,
        f"""
        WITH beside AS (
          SELECT coalesce(d.decision, 'undecided') AS was, t.decision AS should, price_micros,
            is_robot
          FROM clicks c JOIN decision_truth t USING (click_id) JOIN truth USING (click_id)
          LEFT JOIN decisions d USING (click_id)
          WHERE c.ts >= make_timestamptz({span.start}) AND c.ts < make_timestamptz({span.end})
        )
        SELECT count(*), count(*) FILTER ((should = 'invalid') = is_robot),
          coalesce(sum(CASE WHEN was = 'invalid' THEN 0 ELSE price_micros END
            - CASE WHEN should = 'invalid' THEN 0 ELSE price_micros END), 0)::BIGINT
        FROM beside WHERE was <> should
        """,
    )
    return Expected(*(int(str(value)) for value in row))


def left_wrong(lake: Lake, span: Span) -> int:
    """Count the clicks whose decision, verdicts included, is not what it should have been."""
    [(clicks,)] = ask(
        lake,
        f"""
        SELECT count(*) FROM clicks c JOIN decision_truth t USING (click_id)
        LEFT JOIN decisions d USING (click_id) LEFT JOIN verdicts v USING (click_id)
        WHERE c.ts >= make_timestamptz({span.start}) AND c.ts < make_timestamptz({span.end})
          AND coalesce(v.decision, d.decision, 'undecided') <> t.decision
        """,
    )
    return int(str(clicks))


def should(lake: Lake) -> list[tuple[object, ...]]:
    return ask(lake, "SELECT click_id, decision FROM decision_truth ORDER BY click_id")


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    """Return what should be decided where nothing goes wrong."""
    home = tmp_path_factory.mktemp("calm") / "lake"
    return should(make(home, small("service_down", incidents=[])))


@pytest.fixture(scope="module", params=REPAIRABLE)
def repair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Repair:
    scenario = small(request.param)
    lake = make(tmp_path_factory.mktemp(request.param) / "lake", scenario)
    span = repaired(scenario)
    ran = run(lake, "v1", span)
    return Repair(lake, expected(lake, span), ran, score_run(lake, ran.manifest.run_id))


def test_a_replay_with_the_right_model_repairs_it(repair: Repair) -> None:
    whole, withheld = repair.scores.whole, repair.ran.summary.withheld
    assert repair.expected.wrong > 20
    assert whole.recall.whole == repair.expected.wrong
    assert whole.recall.part == whole.precision.whole == repair.expected.wrong - withheld
    assert abs(whole.precision.part - repair.expected.true_if_repaired) <= withheld
    assert whole.healthy_before.net == repair.expected.net_micros
    if not withheld:
        assert (whole.healthy_after.over, whole.healthy_after.under) == (0, 0)


def test_a_replay_of_wrong_times_repairs_nothing(
    tmp_path: Path, calm: list[tuple[object, ...]]
) -> None:
    """The log holds the stamps of the clock that was wrong, so there is nothing to replay from."""
    scenario = small("clock_step")
    lake = make(tmp_path / "lake", scenario)
    span = repaired(scenario)
    run_id = run(lake, "v1", span).manifest.run_id
    scores, wrong = score_run(lake, run_id), expected(lake, span).wrong
    assert scores.whole.recall.whole == wrong > 20
    assert scores.whole.precision.whole == scores.whole.recall.part == 0
    with pytest.raises(BadInput, match="nothing to publish"):
        publish(lake, run_id, TERMS, span.end)
    assert left_wrong(lake, span) == wrong
    assert should(lake) == calm


def test_what_should_have_been_decided_depends_on_no_fault(
    repair: Repair, calm: list[tuple[object, ...]]
) -> None:
    assert should(repair.lake) == calm


def test_every_wrong_click_is_laid_to_the_incident(repair: Repair) -> None:
    rows = {row.name: row for row in repair.scores.rows if row.part == INCIDENT}
    [name] = [name for name in rows if name != "none"]
    assert name == f"{_kind(repair)}-1"
    assert rows[name].recall.whole == repair.expected.wrong


def test_what_is_published_bills_what_the_score_says(repair: Repair) -> None:
    whole = repair.scores.whole
    record = publish(repair.lake, repair.ran.manifest.run_id, TERMS, repair.scores.span.end)
    assert record.verdicts == whole.precision.whole
    moved = record.credits.micros + record.rebills.micros
    assert moved == whole.healthy_after.net - whole.healthy_before.net
    assert left_wrong(repair.lake, repair.scores.span) == repair.ran.summary.withheld
    assert score_run(repair.lake, repair.ran.manifest.run_id) == repair.scores


def test_parts_add_up(repair: Repair) -> None:
    for part in {row.part for row in repair.scores.rows} - {ALL}:
        rows = [row for row in repair.scores.rows if row.part == part]
        for share in ("precision", "recall"):
            whole = getattr(repair.scores.whole, share)
            assert sum(getattr(row, share).whole for row in rows) == whole.whole
            assert sum(getattr(row, share).part for row in rows) == whole.part
        assert sum(row.truth_after.net for row in rows) == repair.scores.whole.truth_after.net


def _kind(repair: Repair) -> str:
    [(kind,)] = ask(
        repair.lake, "SELECT kind FROM incident_truth WHERE NOT starts_with(kind, 'robot_')"
    )
    return str(kind)
