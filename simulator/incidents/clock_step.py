"""The store's clock steps, and later steps back.

The store never stamps a time before the last one. So after a clock that was ahead is set right,
all clicks get the same time until the right clock has caught up.
"""

from typing import Literal

from pydantic import Field, field_validator

from simulator.fault import Fault, IncidentKind, IncidentSettings

MINUTE = 60_000_000


class ClockStep(IncidentSettings):
    """How far the clock was ahead (negative: behind), in minutes."""

    kind: Literal["clock_step"] = "clock_step"
    minutes: float = Field(default=20, ge=-360, le=360)

    @field_validator("minutes")
    @classmethod
    def _is_a_step(cls, minutes: float) -> float:
        if not round(minutes * MINUTE):
            raise ValueError("a step of 0 minutes is none")
        return minutes

    def fault(self) -> Fault:
        """Set the clock wrong."""
        return Fault(clock=round(self.minutes * MINUTE))

    def describe(self) -> str:
        """Say how far."""
        way = "ahead" if self.minutes > 0 else "behind"
        return f"the store's clock was {abs(self.minutes):g} min {way}"


CLOCK_STEP = IncidentKind("clock_step", ClockStep, "the store's clock steps, and later back")
