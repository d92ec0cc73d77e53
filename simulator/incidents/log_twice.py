"""A log is shipped to the service twice: the store counts its clicks again, the lake drops them.

The store remembers a click for ten minutes, and the lake's committer for hours. So a copy that
comes between the two is counted a second time and not logged.
"""

from typing import Literal

from pydantic import Field

from simulator.fault import Fault, IncidentKind, IncidentSettings

MINUTE = 60_000_000


class LogTwice(IncidentSettings):
    """How long after the first time each click of these hours came again."""

    kind: Literal["log_twice"] = "log_twice"
    after_minutes: float = Field(default=60, gt=10, le=12 * 60)

    def fault(self) -> Fault:
        """Count clicks again."""
        return Fault(again=round(self.after_minutes * MINUTE))

    def describe(self) -> str:
        """Say how much later."""
        return f"{self.hours:g} h of clicks were sent again {self.after_minutes:g} min later"


LOG_TWICE = IncidentKind("log_twice", LogTwice, "clicks are sent again, and counted again")
