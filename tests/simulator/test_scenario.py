"""Scenarios are data: what does not hold is named with its place and the nearest right word."""

import datetime as dt
from pathlib import Path

import pytest

from simulator.errors import BadScenario, UnknownScenario
from simulator.fault import IncidentSettings
from simulator.incidents import INCIDENTS
from simulator.robots import ROBOTS
from simulator.scenario import load_scenario, shipped
from simulator.team import RobotSettings
from simulator.versions import history

DOCS = Path(__file__).resolve().parents[2] / "docs"
PLAIN = 'title = "t"\nstart = 2026-03-01\n'
PRODUCTION = PLAIN + "[production]\n"
DOWN = '[[incidents]]\nkind = "service_down"\nbegins_hour = 30\nhours = 2\n'


def incident(kind: str, keys: str = "") -> str:
    """Write an incident of one kind with some keys."""
    return f'[[incidents]]\nkind = "{kind}"\nbegins_hour = 30\nhours = 2\n{keys}\n'


def load(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    load_scenario(str(file))


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_scenario_holds_and_has_a_line(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.title
    assert "\n" not in scenario.title


@pytest.mark.parametrize("file", sorted(DOCS.glob("scenarios/*.toml")), ids=lambda file: file.stem)
def test_every_scenario_of_the_docs_holds_and_is_linked(file: Path) -> None:
    assert load_scenario(str(file)).title
    assert f"(scenarios/{file.name})" in (DOCS / "simulator.md").read_text()


def test_the_index_of_robots_names_each_once_and_by_its_settings() -> None:
    names = [robot.name for robot in ROBOTS]
    assert len(set(names)) == len(names)
    for robot in ROBOTS:
        assert robot.settings.model_fields["kind"].default == robot.name
        assert issubclass(robot.settings, RobotSettings)


def test_the_index_of_incidents_names_each_once_and_by_its_settings() -> None:
    names = [incident.name for incident in INCIDENTS]
    assert len(set(names)) == len(names)
    assert set(names) <= set(shipped())
    for incident in INCIDENTS:
        assert incident.settings.model_fields["kind"].default == incident.name
        assert issubclass(incident.settings, IncidentSettings)


def test_an_unknown_name_comes_with_the_nearest() -> None:
    with pytest.raises(UnknownScenario, match="Did you mean burst"):
        load_scenario("burts")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "t"\nstart = 2026-03-01\ndyas = 2', "no key named 'dyas'. Did you mean days"),
        (PLAIN + "[humans]\npurchases_rate = 1", "humans: no key named 'purchases_rate'. Did you"),
        (
            PLAIN + '[[robots]]\nkind = "brust"',
            "robot 1: no kind named 'brust'. Did you mean burst",
        ),
        (PLAIN + '[[robots]]\nkind = "background"\nshaer = 1', "no key named 'shaer'. Did you"),
        (PLAIN + '[[robots]]\nkind = "background"\nshare = -1', "robot 1 .background.: share"),
        (PLAIN + "clicks_per_day = -5", "clicks_per_day"),
        (PLAIN + "days = 0", "days"),
        ('title = "t"\nstart = 2026-03-01T00:30:00Z', "whole hour"),
        (PLAIN + '[humans.zones]\n"30" = 1.0', "-12 to 14"),
        (PLAIN + '[[incidents]]\nkind = "bad_modle"', "incident 1: no kind named 'bad_modle'. Did"),
        (PLAIN + DOWN, r"need a \[production\]"),
        (PRODUCTION + DOWN.replace("hours", "huors"), "incident 1 .service_down.: no key named"),
        (PRODUCTION + DOWN.replace("= 2", "= -2"), "incident 1 .service_down.: hours"),
        (PRODUCTION + DOWN.replace("30", "48"), "begins_hour 48 is not before the end: 48 hours"),
        (PRODUCTION + 'spec = "defualt"', "no spec named 'defualt'"),
        (PRODUCTION + "fpr_budget = 0", "production.fpr_budget"),
        (
            PRODUCTION + incident("feature_zero", 'features = ["click_ip_1h"]'),
            "no feature named 'click_ip_1h'. Did you mean clicks_ip_1h",
        ),
        (
            PRODUCTION + incident("bad_model", 'leaves_out = ["ipp"]'),
            "the spec has no feature of 'ipp'. Did you mean ip",
        ),
        (
            PRODUCTION + incident("bad_model", "train_hours = 40"),
            r"incident 1 .bad_model.: trained on 40 h that begin 10 h before the start",
        ),
        (
            PRODUCTION + incident("bad_model") + incident("threshold_mistyped"),
            "incident 1 .bad_model. and incident 2 .threshold_mistyped. put a version",
        ),
        (PRODUCTION + incident("clock_step", "minutes = 0"), "0 minutes is none"),
        (PRODUCTION + incident("log_twice", "after_minutes = 5"), "after_minutes"),
        ("title = ", "not TOML"),
        ("start = 2026-03-01", "title"),
    ],
)
def test_what_does_not_hold_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadScenario, match=message):
        load(tmp_path, text)


def test_the_days_before_the_first_start_hold_too() -> None:
    first = load_scenario("service_down", {"start": dt.date(1971, 1, 1)})
    assert str(history(first).span) == "[1970-12-29T00:00:00Z, 1971-01-01T00:00:00Z)"


def test_a_start_without_a_zone_is_utc() -> None:
    scenario = load_scenario("quiet", {"start": dt.datetime(2026, 3, 5, 20)})
    assert str(scenario.span) == "[2026-03-05T20:00:00Z, 2026-03-07T20:00:00Z)"
