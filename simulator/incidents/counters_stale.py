"""The counters are stale: the store came back from an old snapshot and lacks what came after it."""

from typing import Literal

from pydantic import Field

from simulator.columns import HOUR
from simulator.fault import Fault, IncidentKind, IncidentSettings


class CountersStale(IncidentSettings):
    """How old the snapshot was; `hours` is by itself what the longest window takes to move on."""

    kind: Literal["counters_stale"] = "counters_stale"
    hours: float = Field(default=24, ge=0.01, le=24 * 366)
    age_hours: float = Field(default=3, ge=0.01, le=24)

    def fault(self) -> Fault:
        """Forget the last hours."""
        return Fault(forgets=round(self.age_hours * HOUR))

    def describe(self) -> str:
        """Say how old."""
        return f"the counter store came back from a snapshot {self.age_hours:g} h old"


COUNTERS_STALE = IncidentKind(
    "counters_stale", CountersStale, "the store comes back from an old snapshot"
)
