"""Safety gates through a lake and a run: each can object, at its bound and just over it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recovery.gates import GATES, GateObjects
from recovery.ledger import publications
from recovery.publishing import Terms, propose, propose_revert, publish
from replay.lake import Lake
from replay.runs import RunManifest
from replay.span import Span, now_micros
from replay.summary import Tally
from scorer.errors import BadInput
from tests.lakes import add_rows, click, make_lake
from tests.recovery.corrections import copied
from tests.recovery.ledgers import all_terms, stored, versions
from tests.versions import HOUR, START, burst, logged, run, verdict

FREE = [gate.name for gate in GATES if not gate.fixed]
FIXED = ["sampled", "unsettled"]
HOUR_CLICKS = 14
NOW = START + 100 * HOUR


def hour(number: int, prefix: str) -> list[dict[str, Any]]:
    """Fourteen clicks of as many users, of advertiser calm."""
    return [
        click(
            START + number * HOUR + n * 1_000_000,
            n,
            f"{prefix}{n:02}",
            user_id=f"{prefix}{n}",
            advertiser_id="calm",
            price_micros=1_000,
        )
        for n in range(HOUR_CLICKS)
    ]


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, RunManifest]:
    """A lake whose run every gate but the fixed ones objects to: 14 + 17 clicks, a gap between.

    The 14 are a cold start. Of the 17, u1 and u2 become invalid and u1 led to a purchase; u0,
    which costs most, becomes valid.
    """
    lake = make_lake(tmp_path_factory.mktemp("loud") / "lake")
    (lake.home / "models").symlink_to(versions())
    u = burst(3, start=START + 2 * HOUR, price_micros=2_000)
    u[0]["price_micros"] = 4_000
    rows = [*hour(0, "a"), *hour(2, "b"), *u]
    said = {"u0": "invalid"}
    add_rows(lake, "decisions", [logged(r, None, said.get(r["click_id"], "valid")) for r in rows])
    bought = {"ts": START + 3 * HOUR, "purchase_id": "p", "click_id": "u1"}
    other = {"ts": START + 3 * HOUR, "purchase_id": "q", "click_id": "b00"}
    add_rows(lake, "purchases", [bought, other])
    add_rows(lake, "clicks", rows)
    return lake, run(lake, "two", Span(START, START + 3 * HOUR)).manifest


FIGURES = {
    "sampled": 0,
    "unsettled": 0,
    "cold_start": 14 / 31,
    "log_gap": 17 / 31,
    "changed": 3 / 31,
    "credit_clicks": 2 / 31,
    "credit_money": 4_000 / 36_000,
    "rebill_clicks": 1 / 31,
    "rebill_money": 4_000 / 36_000,
    "billing_window": 1,
    "advertiser": 0.5,
    "fpr": 0.5,
}


def bounded(lake: Lake, **bounds: float) -> Lake:
    """Return the lake with these bounds."""
    return replace(lake, config=lake.config.model_copy(update={"gates": bounds}))


def test_figures_of_a_run(loud: tuple[Lake, RunManifest]) -> None:
    lake, manifest = loud
    preview = propose(lake, manifest.run_id, Terms(rebill=True), NOW)
    assert {j.name: j.figure for j in preview.gates} == FIGURES
    assert [j.bound for j in preview.gates] == [g.bound for g in GATES]


def test_what_is_withheld_is_not_held_against_the_run(loud: tuple[Lake, RunManifest]) -> None:
    lake, manifest = loud
    found = {j.name: j.figure for j in propose(lake, manifest.run_id, Terms(), NOW).gates}
    nothing = dict.fromkeys(("rebill_clicks", "rebill_money", "billing_window"), 0)
    # The largest advertiser's share is that of its credits: 4,000 of u's 8,000.
    assert found == FIGURES | nothing | {"changed": 2 / 31, "advertiser": 0.5}


@pytest.mark.parametrize("name", FREE)
def test_each_gate_alone_can_stop_a_publication(loud: tuple[Lake, RunManifest], name: str) -> None:
    lake, manifest = loud
    tight = bounded(lake, **dict.fromkeys(FREE, 0.0))
    others = tuple(other for other in FREE if other != name)
    terms = Terms(rebill=True, overrides=others, reason="a test")
    with pytest.raises(GateObjects, match=rf"this gate objects: {name}$") as caught:
        publish(tight, manifest.run_id, terms, NOW)
    assert caught.value.exit_code == 1
    assert stored(lake) == []
    assert publications(lake) == []


@pytest.mark.parametrize("name", FREE)
def test_a_bound_of_the_lake_is_met_at_it_and_not_under_it(
    loud: tuple[Lake, RunManifest], name: str
) -> None:
    lake, manifest = loud
    figure = FIGURES[name]
    for bound, expected in ((figure, "pass"), (figure * (1 - 1e-9), "object")):
        terms = Terms(rebill=True)
        preview = propose(bounded(lake, **{name: bound}), manifest.run_id, terms, NOW)
        (answer,) = (j for j in preview.gates if j.name == name)
        assert (answer.verdict, answer.bound, answer.figure) == (expected, bound, figure)


def test_overridden_gates_are_kept_with_the_reason(
    loud: tuple[Lake, RunManifest], tmp_path: Path
) -> None:
    origin, manifest = loud
    lake = copied(origin, tmp_path)
    lax = bounded(lake, changed=0.5, credit_clicks=0.5)
    terms = Terms(rebill=True, overrides=tuple(FREE), reason="the wave of 1 March", by="me")
    record = publish(lax, manifest.run_id, terms, NOW)
    wanted = tuple(n for n in FREE if n not in ("changed", "credit_clicks"))
    assert record.overrides == wanted
    assert publications(lake) == [record]
    verdicts = {j.name: j.verdict for j in record.gates}
    passing = dict.fromkeys((*FIXED, "changed", "credit_clicks"), "pass")
    assert verdicts == dict.fromkeys(wanted, "overridden") | passing
    assert (record.reason, record.by) == ("the wave of 1 March", "me")
    for row in stored(lake):
        assert row["reason"].endswith(f"; overriding {', '.join(wanted)}: the wave of 1 March")


@pytest.mark.parametrize("name", FIXED)
def test_fixed_gates_are_not_to_be_moved(loud: tuple[Lake, RunManifest], name: str) -> None:
    lake, manifest = loud
    for attempt in (propose, publish):
        with pytest.raises(BadInput, match=f"--override: gate '{name}' can't be overridden"):
            attempt(lake, manifest.run_id, Terms(overrides=(name,), reason="x"), NOW)
        with pytest.raises(BadInput, match=rf"replay.toml: \[gates\]: gate '{name}' can't"):
            attempt(bounded(lake, **{name: 1.0}), manifest.run_id, Terms(), NOW)


def test_a_sampled_run_is_never_published(loud: tuple[Lake, RunManifest]) -> None:
    lake, _ = loud
    sampled = run(lake, "two", Span(START, START + 3 * HOUR), sample="99.9999%")
    for terms in (all_terms(rebill=True), all_terms(rebill=False)):
        with pytest.raises(GateObjects, match=r"this gate objects: sampled$"):
            publish(lake, sampled.manifest.run_id, terms, NOW)
    assert stored(lake) == []


def test_an_unsettled_run_is_never_published(tmp_path: Path) -> None:
    now = now_micros()
    lake = make_lake(tmp_path / "lake", clicks=[click(now - HOUR, n, f"c{n}") for n in range(3)])
    (lake.home / "models").symlink_to(versions())
    made = run(lake, "two", Span(now - HOUR, now + 10 * HOUR)).manifest
    for at in (now, now + 9_000 * HOUR):  # what was not settled when it ran stays so
        preview = propose(lake, made.run_id, all_terms(rebill=True), at)
        (answer,) = preview.objections
        assert answer.name == "unsettled"
        assert answer.figure is not None
        assert 9 < answer.figure <= 10
        with pytest.raises(GateObjects, match="unsettled"):
            publish(lake, made.run_id, all_terms(rebill=True), at)


def test_a_run_of_a_past_that_was_still_open_is_unsettled(tmp_path: Path) -> None:
    """Settled is the moment of --as-of, not that of the run."""
    before = now_micros()
    lake = make_lake(tmp_path / "lake", clicks=[click(before - HOUR, n, f"c{n}") for n in range(3)])
    (lake.home / "models").symlink_to(versions())
    as_of = now_micros() + 2_000_000  # commits are stamped to the millisecond
    made = run(lake, "two", Span(before - HOUR, as_of + HOUR), as_of=as_of).manifest
    (answer,) = propose(lake, made.run_id, all_terms(rebill=True), before).objections
    assert answer.name == "unsettled"


def test_the_billing_window_ends_with_its_last_microsecond(
    loud: tuple[Lake, RunManifest],
) -> None:
    lake, manifest = loud
    rebilled = START + 2 * HOUR  # u0
    for hours in (72, 0):
        config = lake.config.model_copy(update={"billing_window_hours": hours})
        for late, figure in ((0, 0), (1, 1)):
            at = rebilled + hours * HOUR + late
            preview = propose(replace(lake, config=config), manifest.run_id, Terms(True), at)
            (answer,) = (j for j in preview.gates if j.name == "billing_window")
            assert answer.figure == figure
            assert preview.proposal.late == Tally(figure, 4_000 * figure)


def test_a_where_can_not_push_a_share_above_all(tmp_path: Path) -> None:
    """Cold starts and gaps are counted among the clicks that the run decided."""
    lake = make_lake(tmp_path / "lake")
    (lake.home / "models").symlink_to(versions())
    rows = [*hour(0, "a"), *hour(2, "b"), *burst(3, start=START + 2 * HOUR)]
    add_rows(lake, "clicks", rows)
    made = run(lake, "two", Span(START, START + 3 * HOUR), where="click_id = 'u1'").manifest
    found = {j.name: j for j in propose(lake, made.run_id, Terms(), NOW).gates}
    assert found["cold_start"].figure == 0
    assert found["log_gap"].figure == 1


def test_a_bound_of_everything_holds_for_every_share(tmp_path: Path) -> None:
    """Also where an import credited more than the clicks cost, or clicks that are not there."""
    rows = burst(2)
    lake = make_lake(tmp_path / "lake", clicks=rows)
    strange = [
        verdict(rows[0], "invalid", 1, "imported") | {"adjustment_micros": -9_000_000},
        verdict(click(START, 9, "lost"), "invalid", 2, "imported") | {"adjustment_micros": -1},
    ]
    add_rows(lake, "verdicts", strange)
    free = bounded(lake, rebill_clicks=1, rebill_money=1)
    preview = propose_revert(free, "imported", Terms(rebill=True), START + HOUR)
    assert preview.proposal.rebills == Tally(2, 9_000_001)
    assert preview.objections == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("[gates]\nchangd = 0.1", "[gates] names no gate 'changd'. Did you mean changed?"),
        ("[gates]\nsampled = 1", "gate 'sampled' can't be overridden or set"),
        ("[gates]\nchanged = 10", "[gates] changed = 10.0: write 10% as 0.1"),
        ("[gates]\nchanged = nan", "[gates] changed = nan is no bound"),
        ('[gates]\nchanged = "much"', "gates.changed"),
        ("[gates]\nchanged = true", "gates.changed"),
        ('[gates]\nchanged = "0.5"', "gates.changed"),
        ("[gates.changed]\nbound = 0.1", "gates.changed"),
        ("gates = 3", "gates"),
        ("billing_window_hours = -1", "billing_window_hours"),
        ("billing_window_hours = 1.5", "billing_window_hours"),
        ("billing_window_hours = true", "billing_window_hours"),
    ],
)
def test_settings_of_a_lake_that_can_not_be(tmp_path: Path, settings: str, words: str) -> None:
    lake = Lake.create(tmp_path / "lake", "USD")
    (lake.home / "replay.toml").write_text(f'currency = "USD"\n{settings}\n')
    with pytest.raises(BadInput) as caught:
        propose(Lake.open(lake.home), "any", Terms(), NOW)
    assert str(lake.home / "replay.toml") in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_lakes_bounds_replace_the_defaults(
    loud: tuple[Lake, RunManifest], tmp_path: Path
) -> None:
    origin, manifest = loud
    lake = copied(origin, tmp_path)
    text = 'currency = "USD"\nbilling_window_hours = 98\n[gates]\nfpr = 0.5\ncold_start = 1\n'
    (lake.home / "replay.toml").write_text(text)
    gates = propose(Lake.open(lake.home), manifest.run_id, Terms(rebill=True), NOW).gates
    found = {j.name: (j.verdict, j.bound) for j in gates}
    assert found["fpr"] == ("pass", 0.5)
    assert found["cold_start"] == ("pass", 1)
    assert found["billing_window"] == ("pass", 0)
    assert found["log_gap"] == ("object", 0)
