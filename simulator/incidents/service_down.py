"""The live store is away: the service decides nothing, and what passes is never counted."""

from typing import Literal

from simulator.fault import Fault, IncidentKind, IncidentSettings


class ServiceDown(IncidentSettings):
    """When the store was away."""

    kind: Literal["service_down"] = "service_down"

    def fault(self) -> Fault:
        """Leave clicks undecided and uncounted."""
        return Fault(away=True)

    def describe(self) -> str:
        """Say how long."""
        return f"the live store was away for {self.hours:g} h: undecided clicks, not counted"


SERVICE_DOWN = IncidentKind(
    "service_down", ServiceDown, "the store is away: clicks are undecided and not counted"
)
