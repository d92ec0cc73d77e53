"""Safety gates: each at, just under and just over its bound; bounds and overrides."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from recovery.gates import GATES, Gate, Judged, check_bounds, check_overrides, judge
from recovery.proposal import AdvertiserMove, Proposal
from replay.span import Span
from replay.summary import Tally
from scorer.errors import BadInput
from scorer.metrics import Share
from tests.versions import HOUR

NAMES = [gate.name for gate in GATES]
FREE = [gate.name for gate in GATES if not gate.fixed]
FIXED = ["sampled", "unsettled"]
NONE = Tally(0, 0)
# Of 1,000 clicks at 1,000 micros each, and nothing to object to.
QUIET = Proposal(
    action="publish",
    run_id="r",
    model_version="v",
    span=Span(0, 10 * HOUR),
    at=20 * HOUR,
    clicks=1_000,
    spend_micros=1_000_000,
    moves={},
    causes={},
    outcomes={},
    credits=NONE,
    rebills=NONE,
    neutral=0,
    withheld=NONE,
    late=NONE,
    superseded={},
    advertisers=(),
    fpr=Share(0, 100),
    cold_start=0,
    gap=0,
    sampled=False,
    window_hours=72,
    settled_until=10 * HOUR,
)


def gate(name: str) -> Gate:
    return next(gate for gate in GATES if gate.name == name)


def judged(proposal: Proposal, name: str, **bounds: float) -> Judged:
    """Return one gate's answer."""
    return next(j for j in judge(GATES, proposal, bounds, ()) if j.name == name)


def objecting(proposal: Proposal, bounds: Mapping[str, float] | None = None) -> list[str]:
    return [j.name for j in judge(GATES, proposal, bounds or {}, ()) if j.verdict == "object"]


def moved(credit: int, rebill: int = 0, spend: int = 1_000, name: str = "a") -> AdvertiserMove:
    return AdvertiserMove(name, int(credit < 0), int(rebill > 0), credit, rebill, spend)


def test_the_gates_in_their_order() -> None:
    assert NAMES == [
        "sampled",
        "unsettled",
        "cold_start",
        "log_gap",
        "changed",
        "credit_clicks",
        "credit_money",
        "rebill_clicks",
        "rebill_money",
        "billing_window",
        "advertiser",
        "fpr",
    ]
    assert [g.name for g in GATES if g.fixed] == FIXED
    assert [j.name for j in judge(GATES, QUIET, {}, ())] == NAMES


def test_nothing_is_no_reason_to_object() -> None:
    assert objecting(QUIET) == []
    empty = replace(QUIET, clicks=0, spend_micros=0)
    assert objecting(empty) == []


# Gate → what of QUIET is changed: just within the bound, at it, and just over it.
EDGES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], float]] = [
    ("sampled", {}, {"sampled": False}, {"sampled": True}, 0),
    (
        "unsettled",
        {"settled_until": 11 * HOUR},
        {"settled_until": 10 * HOUR},
        {"settled_until": 10 * HOUR - 1},
        0,
    ),
    ("cold_start", {}, {"cold_start": 0}, {"cold_start": 1}, 0),
    ("log_gap", {}, {"gap": 0}, {"gap": 1}, 0),
    ("changed", {"neutral": 99}, {"neutral": 100}, {"neutral": 101}, 0.1),
    (
        "credit_clicks",
        {"credits": Tally(99, 0)},
        {"credits": Tally(100, 0)},
        {"credits": Tally(101, 0)},
        0.1,
    ),
    (
        "credit_money",
        {"credits": Tally(1, -99_999)},
        {"credits": Tally(1, -100_000)},
        {"credits": Tally(1, -100_001)},
        0.1,
    ),
    (
        "rebill_clicks",
        {"rebills": Tally(19, 0)},
        {"rebills": Tally(20, 0)},
        {"rebills": Tally(21, 0)},
        0.02,
    ),
    (
        "rebill_money",
        {"rebills": Tally(1, 19_999)},
        {"rebills": Tally(1, 20_000)},
        {"rebills": Tally(1, 20_001)},
        0.02,
    ),
    (
        "billing_window",
        {},
        {"rebills": Tally(1, 1), "late": NONE},
        {"rebills": Tally(1, 1), "late": Tally(1, 0)},
        0,
    ),
    (
        "advertiser",
        {"advertisers": (moved(-249),)},
        {"advertisers": (moved(-250),)},
        {"advertisers": (moved(-251),)},
        0.25,
    ),
    (
        "advertiser",
        {"advertisers": (moved(0, 249),)},
        {"advertisers": (moved(0, 250),)},
        {"advertisers": (moved(-1, name="b"), moved(0, 251))},
        0.25,
    ),
    ("fpr", {"fpr": Share(4, 100)}, {"fpr": Share(5, 100)}, {"fpr": Share(51, 1_000)}, 0.05),
]


@pytest.mark.parametrize(("name", "under", "at", "over", "bound"), EDGES)
def test_a_figure_at_its_bound_passes_and_one_above_it_objects(
    name: str, under: dict[str, Any], at: dict[str, Any], over: dict[str, Any], bound: float
) -> None:
    assert gate(name).bound == bound
    others = {other: 10.0**9 for other in NAMES if other != name}
    for changes in (under, at):
        assert objecting(replace(QUIET, **changes), others) == []
    assert judged(replace(QUIET, **at), name).figure == bound
    beyond = replace(QUIET, **over)
    assert objecting(beyond, others) == [name]
    answer = judged(beyond, name)
    assert (answer.verdict, answer.bound) == ("object", bound)
    assert answer.figure is not None
    assert answer.figure > bound
    said = gate(name).meaning.replace("{top}", "a").replace("{hours}", "72")
    assert answer.meaning == said


@pytest.mark.parametrize("name", NAMES)
def test_every_gate_has_an_edge(name: str) -> None:
    assert name in {edge[0] for edge in EDGES}


def test_a_bound_that_is_written_as_a_decimal_is_met_exactly() -> None:
    for thousandths in range(1_000):
        written = float(f"0.{thousandths:03d}")
        at = judged(replace(QUIET, neutral=thousandths), "changed", changed=written)
        assert at.verdict == "pass", written
        over = judged(replace(QUIET, neutral=thousandths + 1), "changed", changed=written)
        assert over.verdict == "object", written


def test_credits_and_rebills_of_one_advertiser_are_not_netted() -> None:
    both = replace(QUIET, advertisers=(moved(-240, 240), moved(-10, 260, name="b")))
    assert judged(both, "advertiser").figure == 0.26


def test_something_of_nothing_is_all_of_it() -> None:
    nothing = replace(QUIET, clicks=0, spend_micros=0, rebills=Tally(1, 5), late=Tally(1, 5))
    for name in ("changed", "rebill_clicks", "rebill_money"):
        assert judged(nothing, name).figure == 1
    assert judged(replace(QUIET, advertisers=(moved(-1, 0, 0),)), "advertiser").figure == 1
    assert judged(replace(QUIET, advertisers=(moved(0, 0, 0),)), "advertiser").figure == 0


def test_an_unknown_figure_objects_unless_all_is_allowed() -> None:
    unknown = replace(QUIET, fpr=Share(0, 0))
    assert objecting(unknown) == ["fpr"]
    assert judged(unknown, "fpr").figure is None
    assert judged(unknown, "fpr", fpr=0.999999).verdict == "object"
    assert judged(unknown, "fpr", fpr=1).verdict == "pass"
    assert objecting(replace(QUIET, fpr=None)) == ["fpr"]
    (answer,) = judge([gate("fpr")], unknown, {}, ["fpr"])
    assert (answer.verdict, answer.figure) == ("overridden", None)


def test_only_what_objects_is_overridden() -> None:
    beyond = replace(QUIET, neutral=101)
    answers = {j.name: j.verdict for j in judge(GATES, beyond, {}, FREE)}
    assert answers == {n: "overridden" if n == "changed" else "pass" for n in NAMES}


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"changd": 0.1}, "no gate 'changd'. Did you mean changed?"),
        ({"": 0.1}, "no gate ''. The gates are sampled, unsettled, cold_start"),
        ({"sampled": 1}, "'sampled' can't be overridden or set"),
        ({"unsettled": 0}, "'unsettled' can't be overridden or set"),
        ({"changed": -0.01}, "changed = -0.01 is no bound"),
        ({"changed": float("nan")}, "changed = nan is no bound"),
        ({"billing_window": float("inf")}, "billing_window = inf is no bound"),
        ({"changed": 10}, "changed = 10: write 10% as 0.1"),
        ({"fpr": 1.0001}, "write 10% as 0.1"),
        ({"fpr": 0.1, "advertiser": 2}, "advertiser = 2"),
    ],
)
def test_bounds_that_can_not_be(bounds: dict[str, float], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_bounds(bounds, "F")
    assert str(caught.value).startswith("F: [gates]")
    assert words in str(caught.value)


def test_bounds_that_can_be() -> None:
    check_bounds(dict.fromkeys(FREE, 0) | {"billing_window": 7, "changed": 1, "fpr": 0.5}, "F")


@pytest.mark.parametrize(
    ("names", "reason", "words"),
    [
        (["chnged"], "because", "no gate 'chnged'. Did you mean changed?"),
        ([""], "because", "no gate ''"),
        (["sampled"], "because", "'sampled' can't be overridden or set; it always holds"),
        (["changed", "unsettled"], "because", "'unsettled' can't be overridden"),
        (["changed"], None, "overriding changed needs a reason"),
        (["changed", "fpr"], " \n", "overriding changed, fpr needs a reason"),
    ],
)
def test_overrides_that_can_not_be(names: list[str], reason: str | None, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_overrides(names, reason)
    assert words in str(caught.value)


def test_overrides_that_can_be() -> None:
    check_overrides([], None)
    check_overrides(FREE, "because")
