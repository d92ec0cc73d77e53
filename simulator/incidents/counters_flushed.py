"""The counter store is flushed: everybody looks like a newcomer until windows fill again."""

from typing import Literal

from pydantic import Field

from simulator.fault import Fault, IncidentKind, IncidentSettings

EVERYTHING = 2**60  # µs


class CountersFlushed(IncidentSettings):
    """When; `hours` is by itself as long as the longest window takes to fill again."""

    kind: Literal["counters_flushed"] = "counters_flushed"
    hours: float = Field(default=24, ge=0.01, le=24 * 366)

    def fault(self) -> Fault:
        """Forget all counts, in a new epoch."""
        return Fault(forgets=EVERYTHING)

    def describe(self) -> str:
        """Say what was lost."""
        return "the counter store was flushed: all counts began anew"


COUNTERS_FLUSHED = IncidentKind(
    "counters_flushed", CountersFlushed, "the store loses every count and begins anew"
)
