"""Sinks that a test tells what to refuse, and what they got."""

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest

import recovery.sinks
from recovery.sinks.memory import Memory, MemoryOptions
from recovery.sinks.sink import Batch, Pause, SinkRefused, SinkUnreachable
from replay.cursors import Cursor, read_cursor
from replay.lake import Lake


class Tried(Memory):
    """A sink that a test tells what to do with each batch; each name keeps one list of verdicts."""

    made: ClassVar[dict[str, "Tried"]] = {}
    meets: ClassVar[dict[str, Callable[[Batch, Pause], None]]] = {}

    def __init__(self, name: str, options: MemoryOptions, home: Path) -> None:
        super().__init__(name, options, home)
        if name in self.made:
            self.taken = self.made[name].taken
        self.made[name] = self

    def send(self, batch: Batch, pause: Pause) -> None:
        if self.name in self.meets:
            self.meets[self.name](batch, pause)
        super().send(batch, pause)


def use_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the kind `tried` for one test, and the secret of `hooked`."""
    Tried.made, Tried.meets = {}, {}
    tried = EntryPoint("tried", f"{__name__}:Tried", recovery.sinks.GROUP)
    kinds = {**recovery.sinks.SINKS, "tried": tried}
    monkeypatch.setattr(recovery.sinks, "SINKS", kinds)
    monkeypatch.setenv("HOOK_SECRET", "a secret of some length")


def telling(**sinks: dict[str, object]) -> dict[str, dict[str, object]]:
    return {name: {"kind": "tried", **options} for name, options in sinks.items()}


def got(name: str) -> list[int]:
    """Return the numbers that a sink got, in the order that they came in."""
    return [number for number, _ in Tried.made[name].taken]


def refuse(*bad: int) -> Callable[[Batch, Pause], None]:
    """Refuse every batch with one of these verdicts; with none given, every batch."""

    def meet(batch: Batch, _pause: Pause) -> None:
        if not bad or set(bad) & set(batch.column("ledger_seq")):
            raise SinkRefused(f"no {batch.first}", 5)

    return meet


def unreachable(_batch: Batch, _pause: Pause) -> None:
    raise SinkUnreachable("it is away")


def cursor(lake: Lake, name: str, kind: str = "tried") -> Cursor:
    return read_cursor(lake, name, kind)


def hooked(url: str, **options: object) -> dict[str, dict[str, object]]:
    table = {"kind": "webhook", "url": url, "secret_env": "HOOK_SECRET", "batch": 2}
    return {"hook": {**table, "backoff_seconds": 0.001, "attempts": 4, **options}}
