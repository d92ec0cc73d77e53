"""A check as JSON and as JUnit XML: pure functions of it."""

from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree as ET

from recovery.check.checking import Check, Outcome
from recovery.check.figures import Figure
from replay.span import iso

SUITE = "replay check"


def sentence(figure: Figure) -> str:
    """Write a figure and its bound.

    >>> from scorer.metrics import Share
    >>> sentence(Figure("detection.burst", "clicks of burst robots", Share(1, 4), 0.5, least=True))
    'detection.burst is 25.00% (1 of 4 clicks of burst robots), and must be at least 50.00%'
    """
    share, way = figure.share, "at least" if figure.least else "at most"
    rate = "unknown" if share.rate is None else f"{share.rate:.2%}"
    where = f", {figure.where}" if figure.where else ""
    found = f"{rate} ({share.part:,} of {share.whole:,} {figure.of}{where})"
    return f"{figure.key} is {found}, and must be {way} {figure.bound:.2%}"


def check_json(check: Check) -> dict[str, Any]:
    """Return everything as plain data; times in UTC, money in micros."""
    return {
        "model": check.model,
        "digest": check.digest,
        "holds": check.holds,
        "seconds": round(check.seconds, 3),
        "scenarios": [_plain(outcome) for outcome in check.outcomes],
    }


def _plain(outcome: Outcome) -> dict[str, Any]:
    case = outcome.case
    return {
        "scenario": case.name,
        "title": case.scenario.title,
        "seed": case.scenario.seed,
        "from": iso(case.span.start),
        "to": iso(case.span.end),
        "holds": not outcome.broken,
        "seconds": round(outcome.seconds, 3),
        "figures": [_plain_figure(figure) for figure in outcome.figures],
        "decisions": [asdict(tally) for tally in outcome.judged.tallies],
        "repair": asdict(outcome.repair) if outcome.repair else None,
    }


def _plain_figure(figure: Figure) -> dict[str, Any]:
    return {
        "key": figure.key,
        "of": figure.of,
        "where": figure.where,
        "part": figure.share.part,
        "whole": figure.share.whole,
        "rate": figure.share.rate,
        "bound": figure.bound,
        "way": "at least" if figure.least else "at most",
        "holds": figure.holds,
    }


def junit(check: Check) -> str:
    """Write a check as JUnit XML: a suite for each scenario, a test case for each bound."""
    counted = [len(outcome.figures) for outcome in check.outcomes]
    failed = [len(outcome.broken) for outcome in check.outcomes]
    root = ET.Element("testsuites", _counts(SUITE, sum(counted), sum(failed), check.seconds))
    for outcome, tests, failures in zip(check.outcomes, counted, failed, strict=True):
        case = outcome.case
        suite = ET.SubElement(
            root, "testsuite", _counts(case.name, tests, failures, outcome.seconds)
        )
        properties = ET.SubElement(suite, "properties")
        told = {"model": check.model, "digest": check.digest, "seed": str(case.scenario.seed)}
        for name, value in told.items():
            ET.SubElement(properties, "property", {"name": name, "value": value})
        for number, figure in enumerate(outcome.figures):
            # The scenario is simulated and replayed once: its first bound carries the time.
            seconds = 0.0 if number else outcome.seconds
            _add_case(suite, case.name, case.scenario.seed, figure, seconds)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, "unicode")}\n'


def _add_case(suite: ET.Element, scenario: str, seed: int, figure: Figure, seconds: float) -> None:
    names = {"classname": f"replay.check.{scenario}", "name": figure.key, "time": f"{seconds:.3f}"}
    case = ET.SubElement(suite, "testcase", names)
    if not figure.holds:
        message = f"{scenario} (seed {seed}): {sentence(figure)}"
        ET.SubElement(case, "failure", {"type": "bound", "message": message}).text = message


def _counts(name: str, tests: int, failures: int, seconds: float) -> dict[str, str]:
    counts = {"tests": tests, "failures": failures, "errors": 0, "skipped": 0}
    return {"name": name, **{k: str(v) for k, v in counts.items()}, "time": f"{seconds:.3f}"}
