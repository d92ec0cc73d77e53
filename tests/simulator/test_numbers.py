"""Every number of a scenario has its bounds: what it can't be is named with its key."""

import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from simulator.errors import BadScenario
from simulator.incidents import INCIDENTS
from simulator.market import MarketSettings
from simulator.people import HumanSettings
from simulator.robots import ROBOTS
from simulator.scenario import ProductionSettings, Scenario, parse_scenario
from simulator.settings import Settings
from simulator.surges import SURGES

PLAIN: dict[str, object] = {"title": "t", "start": dt.date(2026, 3, 1), "days": 2}
WINDOW = {"begins_hour": 30, "hours": 2}

Write = Callable[[object], dict[str, object]]


def keys(part: type[Settings]) -> Iterator[str]:
    """Yield the keys of a part that are numbers."""
    numbers = (int, float, float | None)
    return (k for k, field in part.model_fields.items() if field.annotation in numbers)


def numbers() -> Iterator[tuple[str, Write]]:
    """Yield every number of a scenario, and what writes a scenario with a value for it."""
    yield from ((key, partial(_top, key)) for key in keys(Scenario))
    tables: dict[str, type[Settings]] = {
        "humans": HumanSettings,
        "market": MarketSettings,
        "production": ProductionSettings,
    }
    for table, part in tables.items():
        yield from ((f"{table}.{key}", partial(_in_table, table, key)) for key in keys(part))
    for kind, surge in SURGES.items():
        yield from ((f"{kind}.{key}", partial(_in_surge, kind, key)) for key in keys(surge))
    for robot in ROBOTS:
        name = robot.name
        yield from ((f"{name}.{k}", partial(_in_robot, name, k)) for k in keys(robot.settings))
    for incident in INCIDENTS:
        name = incident.name
        yield from (
            (f"{name}.{k}", partial(_in_incident, name, k)) for k in keys(incident.settings)
        )


def _top(key: str, value: object) -> dict[str, object]:
    return {**PLAIN, key: value}


def _in_table(table: str, key: str, value: object) -> dict[str, object]:
    return {**PLAIN, table: {key: value}}


def _in_surge(kind: str, key: str, value: object) -> dict[str, object]:
    return {**PLAIN, "humans": {"surges": [{"kind": kind, **WINDOW, key: value}]}}


def _in_robot(kind: str, key: str, value: object) -> dict[str, object]:
    return {**PLAIN, "robots": [{"kind": kind, "share": 0.1, **WINDOW, key: value}]}


def _in_incident(kind: str, key: str, value: object) -> dict[str, object]:
    return {**PLAIN, "production": {}, "incidents": [{"kind": kind, **WINDOW, key: value}]}


MAY_BE_NEGATIVE = {"rival.zone", "click_farm.zone", "session_mimic.zone", "clock_step.minutes"}


@pytest.mark.parametrize(
    ("name", "write"), [pytest.param(*number, id=number[0]) for number in numbers()]
)
def test_no_number_is_negative_endless_or_of_another_type(name: str, write: Write) -> None:
    key = name.rpartition(".")[2]
    wrong: list[object] = [-1, -0.5, float("nan"), float("inf"), float("-inf"), "5", True, [], {}]
    for value in wrong[2:] if name in MAY_BE_NEGATIVE else wrong:
        with pytest.raises(BadScenario, match=rf"\b{key}: Input should be") as raised:
            parse_scenario(write(value), "mine")
        assert "\n" not in str(raised.value)
