"""Which scenarios a version is held against, and whether their bounds can be held at all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from replay.span import Span
from scorer.errors import nearest
from simulator.bounds import Bounds
from simulator.columns import HOUR
from simulator.errors import BadScenario
from simulator.scenario import Scenario, load_scenario, shipped

WARM_UP_HOURS = 25  # a day's window, and the hour in which it fills its last bucket


@dataclass(frozen=True)
class Case:
    """A scenario to hold a version against; its clicks of `span` are judged."""

    name: str
    scenario: Scenario
    bounds: Bounds
    span: Span


def choose(names: Sequence[str], *, fast: bool = False) -> tuple[Case, ...]:
    """Return the cases of these scenarios, or of every shipped one that has bounds.

    With `fast`, of those whose bounds say so. Raises UnknownScenario or BadScenario.
    """
    if names:
        return tuple(_case(name, load_scenario(name)) for name in dict.fromkeys(names))
    known = ((name, load_scenario(name)) for name in shipped())
    return tuple(_case(*each) for each in known if _chosen(each[1].bounds, fast=fast))


def _chosen(bounds: Bounds | None, *, fast: bool) -> bool:
    return bounds is not None and (bounds.fast or not fast)


def _case(name: str, scenario: Scenario) -> Case:
    if scenario.bounds is None:
        raise BadScenario(
            f"scenario {name} has no [bounds], so nothing can be held against it; give it some, or "
            "choose another --scenario"
        )
    start = scenario.span.start + WARM_UP_HOURS * HOUR
    if start >= scenario.span.end:
        raise BadScenario(
            f"scenario {name}: bounds: the first {WARM_UP_HOURS} hours fill windows and are not "
            "judged; give it at least 2 days"
        )
    _check_bounds(scenario, scenario.bounds, f"scenario {name}: bounds")
    return Case(Path(name).stem, scenario, scenario.bounds, Span(start, scenario.span.end))


def _check_bounds(scenario: Scenario, bounds: Bounds, place: str) -> None:
    kinds = [robot.kind for robot in scenario.robots]
    for kind in bounds.detection:
        if kind not in kinds:
            hint = nearest(kind, kinds, f"It has {_listed(kinds)}.")
            raise BadScenario(f"{place}.detection: no robots of kind {kind!r} here. {hint}")
    if bounds.on_repair and not scenario.incidents:
        key = "repair_precision" if bounds.repair_recall is None else "repair_recall"
        raise BadScenario(f"{place}.{key}: the scenario has no incident to repair; leave it out")


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words)) or "none"
