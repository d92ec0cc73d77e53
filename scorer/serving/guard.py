"""What the connections of a worker share: their bounds, and the look at who takes too long."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

import uvicorn

from scorer.serving.limits import Limits
from scorer.serving.metrics import Metrics


class Connection(Protocol):
    """A connection that can be looked at."""

    transport: asyncio.Transport

    def check(self, now: float) -> None:
        """Act where something has been waited for, for too long; `now` is the loop's clock."""
        ...


@dataclass(eq=False)
class Guard:
    """Bounds and figures of a worker; `leaving` are the connections that were refused."""

    limits: Limits
    metrics: Metrics
    leaving: set[Connection] = field(default_factory=set)

    def sweep(self, connections: Collection[Any], now: float) -> None:
        """Look at every connection."""
        for connection in (*connections, *self.leaving):
            connection.check(now)


class GuardedConfig(uvicorn.Config):
    """uvicorn's settings, and the guard that its protocol objects find here."""

    def __init__(self, app: Any, guard: Guard, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(app, **settings)
        self.guard = guard
