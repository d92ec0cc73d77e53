"""A worker of a service: HTTP in front, the live store behind, the spool beside; no lake.

`python -m replay.live.worker` reads its settings on standard input and serves the socket that it
inherits until SIGTERM, or until the supervisor is gone. Ten times a second it looks at what the
keeper says stands in production.
"""

import asyncio
import gc
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import torch
import uvloop
from prometheus_client import CollectorRegistry, Gauge
from redis.asyncio import Redis
from redis.exceptions import RedisError

from replay.live.profiles import LiveProfiles
from replay.live.segments import FLUSHED
from replay.live.service import Settings, Trouble, start_process
from replay.live.spool import Spool
from replay.live.standing import StandingFile
from replay.live.swapping import Models
from scorer.errors import BadInput, ReplayError
from scorer.serving.app import create_app
from scorer.serving.decider import Decider
from scorer.serving.metrics import Metrics
from scorer.serving.server import serve, stop_on_signals
from scorer.serving.state import Health
from scorer.store.connecting import PATIENCE, connect, embedded

SWITCH_SECONDS = 0.0001  # what a thread beside the loop may hold it up for
LOOK_SECONDS = 0.1
CHECK_SECONDS, SOON_SECONDS = 30.0, 1.0  # between two looks at the live store
FIRST_STANDING_SECONDS = 20.0  # how long to wait for a keeper's first word
MODELS = "models"

log = logging.getLogger("worker")


class Worker:
    """What a worker process is made of."""

    def __init__(self, settings: Settings, client: Redis) -> None:
        """Begin to serve nothing; raise LakeUnwritable where the spool can't be written."""
        self._settings = settings
        self._pointer = StandingFile(settings.spool)
        self._profiles = LiveProfiles(settings.spool)
        self._client = client
        folder = settings.home / MODELS
        self._models = Models(
            folder,
            client,
            self._profiles,
            settings.device,
            max(PATIENCE, 2 * settings.deadline),
        )
        self._spool = Spool(settings.spool)
        self.decider = Decider(self._models.nothing(), self._spool, deadline=settings.deadline)
        self.metrics = Metrics()
        self._refused = Gauge(
            "slidr_model_refused",
            "Workers that refused the version in production: it is damaged or does not load.",
            registry=CollectorRegistry(),
            multiprocess_mode="livesum",
        )
        self._store_problem: str | None = "the live store was not reached yet"
        self._flushed_until = 0
        self._told: tuple[str, ...] | None = None

    def has_room(self) -> bool:
        """Return whether the decision log takes more."""
        return self._spool.has_room()

    def health(self) -> Health:
        """Return how the worker stands now."""
        loaded, flushed, now = self._profiles.loaded_at, self._flushed_until, time.time()
        model = self.decider.engine.model
        return Health(
            missing=tuple(self._missing()),
            model_version=None if model is None else model.name,
            profile_age_seconds=now - loaded / 1e6 if loaded else None,
            log_lag_seconds=now - flushed / 1e6 if flushed else None,
            store_open=self.decider.breaker.is_open,
        )

    def _missing(self) -> Iterator[str]:
        production = self._pointer.standing().production
        if self.decider.engine.model is None:
            if production is None:
                yield "no model is in production: `replay models promote` puts one there"
            else:
                yield f"version {production} can't be loaded: see the log"
        if self._store_problem is not None:
            yield self._store_problem
        elif self.decider.breaker.is_open:
            yield "the live store does not answer"
        if not self._profiles.loaded_at:
            yield "the profiles are not loaded yet"
        if not self._spool.has_room():
            yield self._spool.problem or "the decision log is full"

    async def prepare(self) -> None:
        """Load what stands; raise BadInput where the live store is not one to count on."""
        await self._check_store()
        until = time.monotonic() + FIRST_STANDING_SECONDS
        while not self._pointer.standing().checked_at and time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS / 4)
        await self._look()

    async def follow(self) -> None:
        """Keep up with what the keeper tells until cancelled."""
        trouble = Trouble(log, "can't keep up with the keeper")
        while True:
            try:
                await self._look()
                trouble.over()
            except (ReplayError, OSError, ValueError, KeyError) as exc:
                trouble.met(exc)
            if (missing := self.health().missing) != self._told:
                self._told = missing
                tell({"missing": missing})
            await asyncio.sleep(LOOK_SECONDS)

    async def follow_store(self) -> None:
        """Look at the live store now and then until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS if self._store_problem is None else SOON_SECONDS)
            try:
                await self._check_store()
            except BadInput as exc:
                self._store_problem = str(exc)

    async def close(self) -> None:
        """Wait for what is under way, and write it down."""
        await self.decider.close()
        lost = self._spool.close()
        if lost:
            log.error("%d answers could not be spooled and are lost", lost)
        await self._client.aclose()

    async def _look(self) -> None:
        """See what the keeper has told."""
        if self._profiles.refresh():
            log.info("took over new profiles")
        swapped = await self._models.follow(self._pointer.standing(), self.decider)
        if swapped and (model := self.decider.engine.model) is not None:
            self.metrics.know(model.name, self._models.slices)
        self._refused.set(self._models.refused is not None)
        with suppress(OSError, ValueError):  # no committer has said anything yet
            self._flushed_until = int((self._settings.spool / FLUSHED).read_text())

    async def _check_store(self) -> None:
        """Raise BadInput where the live store is not one to count on; it may be away."""
        try:
            await self.decider.engine.store.check()
            self._store_problem = None
        except (RedisError, OSError) as exc:
            self._store_problem = f"the live store can't be reached: {type(exc).__name__}"


def tell(news: dict[str, object]) -> None:
    """Tell the supervisor, on the socket that the settings came by."""
    with suppress(OSError):
        os.write(sys.stdin.fileno(), json.dumps(news).encode() + b"\n")


def outlive(stop: asyncio.Event) -> None:
    """Stop once the supervisor is gone."""
    if not os.read(sys.stdin.fileno(), 1024):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


async def run(settings: Settings) -> None:
    """Serve until SIGTERM; then finish what is under way."""
    stop = stop_on_signals()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), outlive, stop)
    client = embedded() if settings.redis is None else connect(settings.redis)
    worker = Worker(settings, client)
    await worker.prepare()
    app = create_app(worker.decider, worker, worker.metrics, simulated_time=settings.simulated_time)
    gc.collect()
    gc.freeze()
    following = [asyncio.create_task(each()) for each in (worker.follow, worker.follow_store)]
    listening = socket.socket(fileno=settings.socket)
    await serve(app, [listening], state=worker, metrics=worker.metrics, stop=stop)
    for task in following:
        task.cancel()
    await worker.close()


def main() -> None:
    """Run a worker."""
    settings = start_process(f"worker {os.getpid()}")
    sys.setswitchinterval(SWITCH_SECONDS)
    torch.set_num_threads(1)
    try:
        uvloop.run(run(settings))
    except ReplayError as exc:
        tell({"refused": str(exc)})
        sys.exit(exc.exit_code)


if __name__ == "__main__":
    main()
