"""Scenarios: who clicks, how much, and what goes wrong. They are data, written as TOML."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, field_validator

from replay.span import Span, to_micros
from scorer.errors import BadSpec, nearest
from scorer.spec import load_spec
from simulator.bounds import Bounds
from simulator.columns import HOUR
from simulator.errors import BadScenario, UnknownScenario
from simulator.fault import Incident, IncidentSettings
from simulator.incidents import INCIDENTS
from simulator.incidents.checks import check_incidents
from simulator.market import MarketSettings, campaign_ids
from simulator.people import HumanSettings
from simulator.robots import ROBOTS
from simulator.settings import Settings
from simulator.team import RobotSettings

KINDS = {robot.name: robot for robot in ROBOTS}
_ROBOT_SETTINGS = {robot.name: robot.settings for robot in ROBOTS}
_INCIDENT_SETTINGS = {incident.name: incident.settings for incident in INCIDENTS}


def _robots(value: object) -> object:
    return _each(value, "robot", _ROBOT_SETTINGS)


def _incidents(value: object) -> object:
    return _each(value, "incident", _INCIDENT_SETTINGS)


def _each(value: object, word: str, kinds: Mapping[str, type[Settings]]) -> object:
    """Validate each part of a list by the settings of its kind."""
    if not isinstance(value, (list, tuple)):
        return value
    return tuple(_one(f"{word} {n}", item, kinds) for n, item in enumerate(value, start=1))


def _one(place: str, data: object, kinds: Mapping[str, type[Settings]]) -> Settings:
    if isinstance(data, Settings):
        return data
    kind = data.get("kind") if isinstance(data, Mapping) else None
    if kind not in kinds:
        hint = nearest(str(kind), kinds, f"Known: {', '.join(kinds)}.")
        raise ValueError(f"{place}: no kind named {kind!r}. {hint}")
    try:
        return kinds[str(kind)].model_validate(data)
    except ValidationError as exc:
        raise ValueError(f"{place} ({kind}): {problems(exc)}") from exc


Architecture = Literal["mlp", "logistic", "velocity", "dcn"]


class ProductionSettings(Settings):
    """How the version that decides rightly is made: trained on the days before the start.

    Of robots that come and go, those days have each one daily, at its hours. With `earlier`, a
    version of that architecture stands until `promoted_hour`.
    """

    history_days: int = Field(default=3, ge=1, le=60)
    architecture: Architecture = "mlp"
    earlier: Architecture | None = None
    promoted_hour: float = Field(default=0, ge=0)
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
        if to_micros(moment) % HOUR or to_micros(moment) < 0:
            raise ValueError("the start must be a whole hour, UTC, since 1970")
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


def problems(exc: ValidationError) -> str:
    """Say on one line what does not hold, each with its key."""
    return "; ".join(_problem(dict(error)) for error in exc.errors())


def _problem(error: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def parse_scenario(data: Mapping[str, object], where: str) -> Scenario:
    """Validate TOML data; raise BadScenario naming `where`, the key, and the nearest right one."""
    try:
        scenario = Scenario.model_validate(dict(data))
    except ValidationError as exc:
        raise BadScenario(f"scenario {where}: {problems(exc)}") from exc
    _check_robots(scenario, where)
    _check_surges(scenario, where)
    if scenario.incidents and scenario.production is None:
        raise BadScenario(f"scenario {where}: incidents need a [production] that decides; add one")
    if scenario.production is not None:
        if (scenario.promoted_at > scenario.span.start) != (
            scenario.production.earlier is not None
        ):
            raise BadScenario(
                f"scenario {where}: production: earlier and promoted_hour go together: give both "
                "or neither"
            )
        try:
            check_incidents(scenario.timeline, scenario.span, load_spec(scenario.production.spec))
        except (BadSpec, ValueError) as exc:
            raise BadScenario(f"scenario {where}: {exc}") from exc
    return scenario


def _check_robots(scenario: Scenario, where: str) -> None:
    for number, robot in enumerate(scenario.robots, start=1):
        place = f"scenario {where}: robot {number} ({robot.kind})"
        if robot.aims:
            _check_aims(robot.aims, campaign_ids(scenario.market), place)
        active = robot.active()
        if active and active[0] >= len(scenario.hours):
            raise BadScenario(
                f"{place}: begins_hour {active[0]:g} is not "
                f"before the end: {len(scenario.hours)} hours are simulated; give more --days"
            )


def _check_surges(scenario: Scenario, where: str) -> None:
    for number, surge in enumerate(scenario.humans.surges, start=1):
        if surge.begins_hour >= len(scenario.hours):
            raise BadScenario(
                f"scenario {where}: surge {number} ({surge.kind}): begins_hour "
                f"{surge.begins_hour:g} is not before the end: {len(scenario.hours)} hours are "
                "simulated; give more --days"
            )


def _check_aims(aims: Sequence[str], known: list[str], place: str) -> None:
    for aim in aims:
        if aim not in known:
            hint = nearest(aim, known, f"They go from {known[0]} to {known[-1]}.")
            raise BadScenario(f"{place}: aims: no campaign with the id {aim!r}. {hint}")


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


def load_scenario(name: str, changes: Mapping[str, object] | None = None) -> Scenario:
    """Load a shipped scenario by name, or a TOML file by path, with some keys changed.

    Raises UnknownScenario, or BadScenario where it does not hold.
    """
    known = shipped()
    path = known.get(name, Path(name))
    if not path.is_file():
        raise UnknownScenario(name, known)
    try:
        data = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise BadScenario(f"scenario {name}: not TOML: {exc}") from exc
    return parse_scenario({**data, **(changes or {})}, name)
