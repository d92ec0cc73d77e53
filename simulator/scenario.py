"""Scenarios: who clicks, how much, and what goes wrong. They are data, written as TOML."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, field_validator

from replay.span import Span, to_micros
from scorer.errors import BadSpec
from scorer.spec import load_spec
from simulator.bounds import Bounds
from simulator.checks import check_promotions, check_robots, check_room, check_surges
from simulator.columns import HOUR
from simulator.errors import BadScenario, UnknownScenario
from simulator.fault import Incident, IncidentSettings
from simulator.incidents import INCIDENTS
from simulator.incidents.checks import check_incidents
from simulator.market import MarketSettings
from simulator.people import HumanSettings
from simulator.robots import ROBOTS
from simulator.settings import Settings, each_of_its_kind, problems
from simulator.team import RobotSettings

KINDS = {robot.name: robot for robot in ROBOTS}
_ROBOT_SETTINGS = {robot.name: robot.settings for robot in ROBOTS}
_INCIDENT_SETTINGS = {incident.name: incident.settings for incident in INCIDENTS}


def _robots(value: object) -> object:
    return each_of_its_kind(value, "robot", _ROBOT_SETTINGS)


def _incidents(value: object) -> object:
    return each_of_its_kind(value, "incident", _INCIDENT_SETTINGS)


FIRST_YEAR, LAST_YEAR = 1971, 2999  # of the start; the days before it are simulated too

Architecture = Literal["mlp", "logistic", "velocity", "dcn"]


class ProductionSettings(Settings):
    """How the version that decides rightly is made: trained on the days before the start.

    Of robots that come and go, those days have each one daily, at its hours. With `earlier`, a
    version of that architecture stands until `promoted_hour`.
    """

    history_days: int = Field(default=3, ge=1, le=60)
    architecture: Architecture = "mlp"
    earlier: Architecture | None = None
    promoted_hour: float = Field(default=0, ge=0, le=24 * 3660)
    spec: str = "default"
    fpr_budget: float = Field(default=0.01, gt=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**32)


class Scenario(Settings):
    """One simulated world and its timeline.

    `clicks_per_day` is what humans click on an average day; robots come on top. `start` is a
    whole hour, UTC. `billing_delay_hours` is how long after an hour its bill shows who clicked
    which of its clicks were invalidated. `logged` is the share of all clicks that the log holds,
    drawn at random. `bounds` change no row.
    """

    title: str
    seed: int = Field(default=1, ge=0, lt=2**63)
    start: datetime
    days: int = Field(default=2, ge=1, le=3660)
    clicks_per_day: int = Field(default=100_000, ge=100, le=1_000_000_000)
    billing_delay_hours: int = Field(default=6, ge=1, le=168)
    logged: float = Field(default=1, gt=0, le=1)
    humans: HumanSettings = HumanSettings()
    market: MarketSettings = MarketSettings()
    robots: Annotated[tuple[SerializeAsAny[RobotSettings], ...], BeforeValidator(_robots)] = ()
    production: ProductionSettings | None = None
    incidents: Annotated[
        tuple[SerializeAsAny[IncidentSettings], ...], BeforeValidator(_incidents)
    ] = ()
    bounds: Bounds | None = None

    @field_validator("start", mode="before")
    @classmethod
    def _whole_hour(cls, value: object) -> object:
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        if not isinstance(value, datetime):
            return value
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        if to_micros(moment) % HOUR:
            raise ValueError("the start must be a whole hour, UTC")
        return moment

    @property
    def span(self) -> Span:
        """The simulated time."""
        return Span(to_micros(self.start), to_micros(self.start + timedelta(days=self.days)))

    @property
    def expected_clicks(self) -> int:
        """About how many clicks there will be, robots' included."""
        robots = sum(robot.total(self.days) for robot in self.robots)
        return round(self.clicks_per_day * (self.days + robots) * self.logged)

    @property
    def timeline(self) -> tuple[Incident, ...]:
        """The incidents, in the order of their beginning; those that promote have a version."""
        found = [self._incident(n, each) for n, each in enumerate(self.incidents, start=1)]
        found.sort(key=lambda incident: incident.span)
        promoting = [incident for incident in found if incident.fault.promotes]
        versions = {each.incident_id: f"v{n}" for n, each in enumerate(promoting, start=2)}
        return tuple(replace(each, version=versions.get(each.incident_id)) for each in found)

    @property
    def promoted_at(self) -> int:
        """When the healthy version is promoted, µs."""
        hours = self.production.promoted_hour if self.production else 0.0
        return self.span.start + round(hours * HOUR)

    def _incident(self, number: int, settings: IncidentSettings) -> Incident:
        start = self.span.start + round(settings.begins_hour * HOUR)
        return Incident(
            incident_id=f"{settings.kind}-{number}",
            kind=settings.kind,
            span=Span(start, start + round(settings.hours * HOUR)),
            fault=settings.fault(),
            description=settings.describe(),
        )

    @property
    def hours(self) -> range:
        """The simulated hours, counted since the epoch."""
        return range(self.span.start // HOUR, self.span.end // HOUR)


def parse_scenario(data: Mapping[str, object], where: str) -> Scenario:
    """Validate TOML data; raise BadScenario naming `where`, the key, and the nearest right one."""
    try:
        scenario = Scenario.model_validate(dict(data))
    except ValidationError as exc:
        raise BadScenario(f"scenario {where}: {problems(exc)}") from exc
    try:
        _check(scenario)
    except (BadSpec, ValueError) as exc:
        raise BadScenario(f"scenario {where}: {exc}") from exc
    return scenario


def _check(scenario: Scenario) -> None:
    """Raise ValueError, or BadSpec, where parts that hold by themselves don't hold together."""
    if not FIRST_YEAR <= scenario.start.year <= LAST_YEAR:
        raise ValueError(f"start: must be from {FIRST_YEAR} to {LAST_YEAR}")
    hours, production = len(scenario.hours), scenario.production
    daily = production.history_days if production else 1  # of a robot that comes and goes
    check_robots(scenario.robots, scenario.market, hours)
    check_surges(scenario.humans.surges, hours)
    check_room(
        scenario.humans,
        scenario.market,
        scenario.robots,
        scenario.clicks_per_day,
        sum(daily if robot.active() else 1 for robot in scenario.robots),
    )
    if production is None:
        if scenario.incidents:
            raise ValueError("incidents need a [production] that decides; add one")
        return
    if (scenario.promoted_at > scenario.span.start) != (production.earlier is not None):
        raise ValueError("production: earlier and promoted_hour go together: give both or neither")
    check_incidents(scenario.timeline, scenario.span, load_spec(production.spec))
    check_promotions(scenario.timeline, scenario.promoted_at, scenario.span.end)


def scaled(scenario: Scenario, factor: float) -> Scenario:
    """Return a scenario with so many times the clicks of humans, and of robots with them.

    Robots' shares are of humans' clicks, so one figure scales both. Raises BadScenario where the
    volume leaves its bounds.
    """
    volume = scenario.clicks_per_day * factor
    if not isfinite(volume):
        raise BadScenario(f"--scale {factor}: must be a number above 0")
    data = {**scenario.model_dump(), "clicks_per_day": round(volume)}
    return parse_scenario(data, f"with --scale {factor:g}")


def shipped() -> dict[str, Path]:
    """Return the shipped scenarios' files by name, in order."""
    folder = Path(str(resources.files("simulator") / "scenarios"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def load_scenario(name: str, changes: Mapping[str, object] | None = None) -> Scenario:
    """Load a shipped scenario by name, or a TOML file by path, with some keys changed.

    Raises UnknownScenario, or BadScenario where it does not hold.
    """
    known = shipped()
    path = known.get(name, Path(name))
    if not _is_file(path):
        raise UnknownScenario(name, known)
    try:
        data = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise BadScenario(f"scenario {name}: not TOML: {exc}") from exc
    except OSError as exc:
        raise BadScenario(f"scenario {name} can't be read: {exc.strerror}") from exc
    return parse_scenario({**data, **(changes or {})}, name)
