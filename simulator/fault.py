"""What an incident does, as data that the simulation acts on; it knows no incident by name."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from replay.span import Span
from simulator.columns import HOUR
from simulator.settings import Settings


@dataclass(frozen=True)
class Retrained:
    """A version trained on `hours` of the log that end `ready_hours` before it is promoted.

    It has no feature of the columns `leaves_out`. The purchases that follow clicks on `devices`
    have not landed when it is trained; they land right after.
    """

    hours: float
    ready_hours: float = 0.0
    leaves_out: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Retyped:
    """The healthy version with another threshold for one slice, named by its key."""

    slice_key: str
    threshold: float


@dataclass(frozen=True)
class Fault:
    """What goes wrong in an incident's time; the defaults do nothing. Times are in µs.

    `clock` is how far the store's clock is ahead. While the store is `away`, clicks are undecided
    and not counted. A share `detoured` of the sessions reaches the log alone, `late` after the
    clicks. At the beginning the store `forgets` what it counted in the last so many µs, and begins
    a new epoch. Clicks are counted a second time `again` µs after the first. Features `zeroed` are
    logged, and decided on, as 0.
    """

    clock: int = 0
    away: bool = False
    detoured: float = 0.0
    late: int = 0
    forgets: int = 0
    again: int = 0
    zeroed: tuple[str, ...] = ()
    promotes: Retrained | Retyped | None = None

    @property
    def miscounts(self) -> bool:
        """Whether the store's counters differ from the log's, until the windows have moved on."""
        return bool(self.clock or self.away or self.detoured or self.forgets or self.again)


class IncidentSettings(Settings):
    """What every kind of incident is told: its time, in hours from the start, [begin, + hours)."""

    kind: str
    begins_hour: float = Field(ge=0, le=24 * 3660)
    hours: float = Field(ge=0.01, le=24 * 366)

    def fault(self) -> Fault:
        """Return what it does."""
        raise NotImplementedError

    def describe(self) -> str:
        """Say in a line what happened, for `incident_truth`."""
        raise NotImplementedError


@dataclass(frozen=True)
class IncidentKind:
    """A row of the index of incidents: its name and settings, and one line about it."""

    name: str
    settings: type[IncidentSettings]
    about: str


@dataclass(frozen=True)
class Incident:
    """An incident of a scenario on its timeline; `version` names what it promotes, if anything."""

    incident_id: str
    kind: str
    span: Span
    fault: Fault
    description: str
    version: str | None = None

    def goes_on(self, ts: int) -> bool:
        """Whether it goes on at `ts` (µs)."""
        return self.span.start <= ts < self.span.end

    def reach(self, look_back: int) -> Span:
        """When decisions may be wrong of it: while windows of `look_back` µs may hold it."""
        after = look_back + self.fault.again if self.fault.miscounts else 0
        return Span(self.span.start, self.span.end + after)

    @property
    def turns(self) -> tuple[int, ...]:
        """The moments (µs) at which something about it changes."""
        lost_from = self.span.start - self.fault.forgets
        return (self.span.start, self.span.end, self.trained_at, lost_from)

    @property
    def trained_at(self) -> int:
        """When the version that it promotes is made, µs."""
        promotes = self.fault.promotes
        ready = promotes.ready_hours if isinstance(promotes, Retrained) else 0.0
        return self.span.start - round(ready * HOUR)


Device = Literal["desktop", "mobile_web", "mobile_app", "tablet"]
