"""Figures beside their bounds, as lines, JSON and JUnit XML."""

from xml.etree import ElementTree as ET

import pytest

from recovery.check.checking import Check, Outcome
from recovery.check.figures import Figure, figures
from recovery.check.forms import check_json, junit
from recovery.check.report import breaches
from recovery.check.suite import choose
from scorer.metrics import Share
from simulator.bounds import Bounds
from simulator.judge import Judged, Repair, Tally

PRICE = 1_000_000


def tally(kind: str, slice_key: str, clicks: int, invalid: int) -> Tally:
    credited = invalid * PRICE
    return Tally(kind, kind != "human", slice_key, clicks, invalid, clicks * PRICE, credited)


JUDGED = Judged(
    (
        tally("burst", "device=tv", 50, 40),
        tally("burst", "device=pc", 50, 20),
        tally("human", "device=tv", 100, 3),
        tally("human", "device=pc", 300, 1),
        tally("human", "device=old", 2, 2),
    )
)
REPAIR = Repair(Share(3, 4), Share(9, 10))
ALL = Bounds(
    detection={"burst": 0.6},
    human_fpr=0.02,
    slice_human_fpr=0.05,
    slice_clicks=100,
    repair_recall=0.75,
    repair_precision=0.95,
    wrongly_credited=0.02,
)


def shares(bounds: Bounds, judged: Judged = JUDGED) -> dict[str, tuple[Share, bool]]:
    return {f.key: (f.share, f.holds) for f in figures(bounds, judged, REPAIR)}


def test_each_bound_has_its_figure() -> None:
    assert shares(ALL) == {
        "detection.burst": (Share(60, 100), True),  # equal to its bound
        "human_fpr": (Share(6, 402), True),
        "slice_human_fpr": (Share(3, 100), True),  # two of two old devices are too few to tell
        "repair_recall": (Share(3, 4), True),
        "repair_precision": (Share(9, 10), False),
        "wrongly_credited": (Share(6 * PRICE, 502 * PRICE), True),
    }


def test_a_bound_that_is_left_out_has_none() -> None:
    assert list(shares(Bounds(human_fpr=0.5))) == ["human_fpr"]


def test_the_worst_slice_is_named() -> None:
    bounds = ALL.model_copy(update={"slice_clicks": 2})
    [worst] = [f for f in figures(bounds, JUDGED, REPAIR) if f.key == "slice_human_fpr"]
    assert (worst.share, worst.where, worst.holds) == (Share(2, 2), "device=old", False)


def test_what_is_unknown_breaks_its_bound() -> None:
    nobody = Judged((tally("crawler", "device=tv", 5, 5),))
    found = shares(ALL, nobody)
    for key in ("detection.burst", "human_fpr", "slice_human_fpr"):
        assert found[key] == (Share(0, 0), False)


@pytest.fixture
def check() -> Check:
    [quiet, rival] = choose(("quiet", "rival"))
    fine = Figure("human_fpr", "people's clicks", Share(1, 100), 0.02, least=False)
    missed = Figure("detection.rival", "clicks of rival robots", Share(1, 10), 0.25, least=True)
    outcomes = (
        Outcome(quiet, (fine,), JUDGED, None, 1.5),
        Outcome(rival, (fine, missed), JUDGED, REPAIR, 0.25),
    )
    return Check("v7", "abc", outcomes)


LINE = (
    "rival (seed 1): detection.rival is 10.00% (1 of 10 clicks of rival robots), and must be at "
    "least 25.00%"
)


def test_a_breach_is_a_line_with_scenario_seed_figure_and_bound(check: Check) -> None:
    assert breaches(check) == [LINE]


def test_junit_has_a_suite_for_each_scenario_and_a_case_for_each_bound(check: Check) -> None:
    root = ET.fromstring(junit(check))  # noqa: S314  our own
    totals = {"tests": "3", "failures": "1", "errors": "0", "skipped": "0", "time": "1.750"}
    assert (root.tag, root.attrib) == ("testsuites", {"name": "replay check", **totals})
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["quiet", "rival"]
    rival = suites["rival"]
    assert (rival.get("tests"), rival.get("failures"), rival.get("time")) == ("2", "1", "0.250")
    told = {p.get("name"): p.get("value") for p in rival.findall("properties/property")}
    assert told == {"model": "v7", "digest": "abc", "seed": "1"}
    cases = {case.get("name"): case for case in rival.findall("testcase")}
    assert [case.get("classname") for case in cases.values()] == ["replay.check.rival"] * 2
    assert cases["human_fpr"].find("failure") is None
    failure = cases["detection.rival"].find("failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == (LINE, LINE)
    assert sum(float(str(case.get("time"))) for case in cases.values()) == 0.25


def test_json_has_everything(check: Check) -> None:
    document = check_json(check)
    assert (document["model"], document["holds"]) == ("v7", False)
    quiet, rival = document["scenarios"]
    assert (quiet["holds"], rival["holds"]) == (True, False)
    assert (rival["seed"], rival["title"]) == (1, "a rival empties one campaign every night")
    assert rival["figures"][1]["rate"] == 0.1
    assert rival["decisions"][0]["clicks"] == 50
    assert (quiet["repair"], rival["repair"]["recall"]) == (None, {"part": 3, "whole": 4})
