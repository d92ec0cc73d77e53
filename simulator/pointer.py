"""What writes the production pointer: `recovery` owns it and hands it to those who simulate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from replay.lake import Lake

Metrics = Mapping[str, object]


class Promote(Protocol):
    """Puts a stored version into production from `at` (µs) on."""

    def __call__(
        self, lake: Lake, version: str, by: str, reason: str, metrics: Metrics, at: int
    ) -> object:
        """Write the row of `promotions`."""
        ...


class Rollback(Protocol):
    """Puts the version before back into production from `at` (µs) on."""

    def __call__(self, lake: Lake, by: str, at: int) -> object:
        """Write the row of `promotions`."""
        ...


@dataclass(frozen=True)
class Pointer:
    """Both ways to move it."""

    promote: Promote
    rollback: Rollback
