"""How far a lake has been simulated, and with what: `simulated.json`, so that days can follow."""

import hashlib
from datetime import timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from replay.durable import put_whole
from replay.errors import BadInput
from replay.lake import Lake, writing
from replay.span import to_datetime, to_micros
from simulator.scenario import Scenario

FILE = "simulated.json"


class Mark(BaseModel):
    """The SHA-256 of a scenario but for its length and bounds, and up to when it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: str
    until: AwareDatetime


def write_mark(lake: Lake, scenario: Scenario) -> None:
    """Say that a scenario is written to its end."""
    mark = Mark(scenario=_digest(scenario), until=to_datetime(scenario.span.end))
    with writing(lake.home):
        put_whole(lake.home / FILE, mark.model_dump_json() + "\n")


def passed(lake: Lake, begin: int) -> bool:
    """Whether a simulation was finished that goes on past `begin` (µs)."""
    return (lake.home / FILE).exists() and to_micros(_read(lake).until) > begin


def days_written(lake: Lake, scenario: Scenario) -> int:
    """Return how many of a scenario's days a lake has; raise BadInput where it has others or none.

    How many days `scenario` itself has does not matter.
    """
    mark = _read(lake)
    if mark.scenario != _digest(scenario):
        raise BadInput(
            f"{lake.home} was last simulated with another scenario or other settings; --append "
            "takes those that it was begun with, whatever its --days"
        )
    return (mark.until - scenario.start) // timedelta(days=1)


def _read(lake: Lake) -> Mark:
    path = lake.home / FILE
    try:
        return Mark.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BadInput(
            f"{lake.home} has no finished simulation to go on from; simulate without --append"
        ) from None
    except (OSError, ValidationError) as exc:
        raise BadInput(f"{path} can't be read: {str(exc).splitlines()[0]}") from exc


def _digest(scenario: Scenario) -> str:
    return hashlib.sha256(scenario.model_dump_json(exclude={"days", "bounds"}).encode()).hexdigest()
