"""Part of the log is late: some sessions never reached the service, and are imported hours later.

The live counters lack their clicks, and production never decided them.
"""

from typing import Literal

from pydantic import Field

from simulator.columns import HOUR
from simulator.fault import Fault, IncidentKind, IncidentSettings


class LogLate(IncidentSettings):
    """Which share of the sessions was late, and by how many hours."""

    kind: Literal["log_late"] = "log_late"
    share: float = Field(default=0.3, gt=0, le=1)
    late_hours: float = Field(default=3, ge=0.01, le=48)

    def fault(self) -> Fault:
        """Send some sessions to the log alone."""
        return Fault(detoured=self.share, late=round(self.late_hours * HOUR))

    def describe(self) -> str:
        """Say how much, and how late."""
        return (
            f"{self.share:.0%} of the sessions never reached the service; their log was "
            f"imported {self.late_hours:g} h late"
        )


LOG_LATE = IncidentKind(
    "log_late", LogLate, "sessions bypass the service; their log is imported hours later"
)
