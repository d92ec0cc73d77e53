"""Purchases had not landed when a version was trained: it takes those who bought for robots."""

from typing import Literal

from pydantic import Field

from simulator.fault import Device, Fault, IncidentKind, IncidentSettings, Retrained


class LabelsMissing(IncidentSettings):
    """Which purchases did not land: those from `devices`, for the `train_hours` before."""

    kind: Literal["labels_missing"] = "labels_missing"
    train_hours: float = Field(default=24, ge=0.01, le=24 * 366)
    ready_hours: float = Field(default=0, ge=0, le=24 * 366)
    devices: tuple[Device, ...] = Field(default=("mobile_app",), min_length=1)

    def fault(self) -> Fault:
        """Promote a version that was trained too early."""
        made = Retrained(self.train_hours, self.ready_hours, devices=self.devices)
        return Fault(promotes=made)

    def describe(self) -> str:
        """Say what had not landed."""
        return (
            f"a version trained before {self.train_hours:g} h of purchases from "
            f"{', '.join(self.devices)} had landed decided"
        )


LABELS_MISSING = IncidentKind(
    "labels_missing", LabelsMissing, "a version trained while purchases were missing decides"
)
