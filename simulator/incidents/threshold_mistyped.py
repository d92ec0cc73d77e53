"""A threshold is mistyped: one slice is held to a figure that nobody meant."""

from typing import Literal

from pydantic import Field

from scorer.slices import slice_key
from simulator.fault import Device, Fault, IncidentKind, IncidentSettings, Retyped


class ThresholdMistyped(IncidentSettings):
    """Which slice got which threshold."""

    kind: Literal["threshold_mistyped"] = "threshold_mistyped"
    device: Device = "mobile_web"
    logged_in: bool = False
    threshold: float = Field(default=0.05, ge=0, le=1)

    @property
    def slice_key(self) -> str:
        """The slice as the calibration names it."""
        return slice_key({"device": self.device, "logged_in": self.logged_in})

    def fault(self) -> Fault:
        """Promote the healthy version with one threshold changed."""
        return Fault(promotes=Retyped(self.slice_key, self.threshold))

    def describe(self) -> str:
        """Name the slice."""
        return f"{self.slice_key} was held to a threshold of {self.threshold:g}"


THRESHOLD_MISTYPED = IncidentKind(
    "threshold_mistyped", ThresholdMistyped, "one slice is held to a wrong threshold"
)
