"""A bad model is promoted: it was made lean, and does not see what it has no features of."""

from typing import Literal

from pydantic import Field

from simulator.fault import Device, Fault, IncidentKind, IncidentSettings, Retrained


class BadModel(IncidentSettings):
    """How the bad version was made.

    Trained on the `train_hours` of the log that ended `ready_hours` before it was promoted,
    without features of the columns `leaves_out`, and before purchases from `devices` had landed.
    """

    kind: Literal["bad_model"] = "bad_model"
    train_hours: float = Field(default=24, ge=0.01, le=24 * 366)
    ready_hours: float = Field(default=0, ge=0, le=24 * 366)
    leaves_out: tuple[str, ...] = Field(default=("ip",), min_length=1)
    devices: tuple[Device, ...] = ()

    def fault(self) -> Fault:
        """Promote a version without some features."""
        made = Retrained(self.train_hours, self.ready_hours, self.leaves_out, self.devices)
        return Fault(promotes=made)

    def describe(self) -> str:
        """Say what it was trained without."""
        lacking = f" and before purchases from {', '.join(self.devices)} had landed"
        return f"a version trained without features of {', '.join(self.leaves_out)}" + (
            f"{lacking if self.devices else ''} decided"
        )


BAD_MODEL = IncidentKind("bad_model", BadModel, "a version that lacks features decides")
