"""What the HTTP layer asks of the process around it: is it ready, and how does it do."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Health:
    """How a worker stands now.

    `missing` says in words for people what keeps it from deciding as it should; empty when it is
    ready. Ages and lags are seconds; null where there is nothing to measure yet.
    """

    missing: tuple[str, ...]
    model_version: str | None
    profile_age_seconds: float | None
    log_lag_seconds: float | None  # age of the oldest answer that may not be in the lake yet
    store_open: bool  # the breaker is open: the store is away, clicks are undecided


class ServiceState(Protocol):
    """What a worker tells of itself; both are cheap."""

    def health(self) -> Health:
        """Return how the worker stands now."""
        ...

    def has_room(self) -> bool:
        """Return whether the decision log takes more; asked before every decision."""
        ...
