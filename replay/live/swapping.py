"""Follows the pointer inside a worker: loads what is promoted and puts it in use between rounds.

A version is loaded and verified beside the service. One that does not load, or does not match its
digest, is refused: the version before it goes on, and the new one is tried again once its files or
the pointer change.
"""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scorer.errors import ReplayError
from scorer.registry import Registry
from scorer.serving.decider import Engine
from scorer.serving.models import ServedModel, serve_version
from scorer.serving.ports import Profiles, Standing
from scorer.spec import Spec
from scorer.store.connecting import PATIENCE
from scorer.store.layout import Layout
from scorer.store.live_store import LiveStore

log = logging.getLogger("models")

Wanted = tuple[str | None, tuple[str, ...]]


class Swappable(Protocol):
    """What decides with one engine at a time."""

    engine: Engine

    def use(self, engine: Engine) -> None:
        """Decide with this engine from the next round on."""
        ...


class Models:
    """The stored versions, as a worker loads them.

    `refused` is the version in production where it can't be served; `slices` are those that the
    calibration of the version loaded last knows.
    """

    def __init__(
        self,
        folder: Path,
        client: Redis,
        profiles: Profiles,
        device: str,
        patience: float = PATIENCE,
    ) -> None:
        self._patience = patience
        self._registry = Registry(folder)
        self._client = client
        self._profiles = profiles
        self._device = device
        self.refused: str | None = None
        self.slices: frozenset[str] = frozenset()
        self._loaded: Wanted | None = None
        self._failed: tuple[Wanted, tuple[int, ...]] | None = None

    def nothing(self) -> Engine:
        """Return an engine without a version, to begin with."""
        return Engine(LiveStore(self._client, Layout.of([])), None)

    async def follow(self, standing: Standing, service: Swappable) -> bool:
        """Put in use what stands in production; return whether anything was swapped."""
        wanted = (standing.production, standing.warm)
        if wanted == self._loaded:
            self.refused = None
            return False
        files = self._files(standing.production)
        if (wanted, files) == self._failed:
            return False
        try:
            model, layout = await asyncio.to_thread(self._load, wanted)
        except (ReplayError, OSError) as exc:
            self._failed, self.refused = (wanted, files), standing.production
            log.error("version %s is refused: %s", standing.production, exc)
            if service.engine.model is None:
                await self._use(service, None, Layout.of(self._specs(wanted)))
            return False
        await self._use(service, model, layout)
        self._loaded, self._failed, self.refused = wanted, None, None
        log.info("version %s decides", standing.production)
        return True

    async def _use(self, service: Swappable, model: ServedModel | None, layout: Layout) -> None:
        store = service.engine.store
        if layout.names != store.layout.names:
            store = LiveStore(self._client, layout, patience=self._patience)
            with suppress(RedisError, OSError):  # or else the first click brings the script
                await self._client.script_load(layout.script)
        service.use(Engine(store, model))

    def _load(self, wanted: Wanted) -> tuple[ServedModel | None, Layout]:
        production, warm = wanted
        specs = self._specs((None, warm))
        if production is None:
            return None, Layout.of(specs)
        found = serve_version(self._registry, production, specs, self._profiles, self._device)
        self.slices = frozenset(self._registry.calibration(production).slices)
        return found

    def _specs(self, wanted: Wanted) -> list[Spec]:
        """Return the specs whose counters are to be kept, of those versions that can be read."""
        found = []
        for name in (wanted[0], *wanted[1]):
            try:
                found += [] if name is None else [self._registry.manifest(name).spec]
            except ReplayError as exc:
                log.warning("counters of version %s are not kept up: %s", name, exc)
        return found

    def _files(self, version: str | None) -> tuple[int, ...]:
        """Return which files a version has and when they changed, ns."""
        found: list[int] = []
        if version is not None:
            with suppress(OSError):
                for path in sorted((self._registry.folder / version).iterdir()):
                    status = path.stat()
                    found += [status.st_ino, status.st_mtime_ns]
        return tuple(found)
