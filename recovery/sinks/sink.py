"""What a sink is: a place that takes verdicts in the ledger's order, at least once each.

A sink is a class with an inner `Options` model (what its `[sinks.NAME]` table may hold, `kind`
left out) that is made with (name, options, the lake's folder). Making one opens no connection.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pyarrow as pa
from pydantic import BaseModel

from scorer.errors import BadInput, ReplayError

Pause = Callable[[float], None]
"""Sleeps for so many seconds, or raises where the delivery is to stop."""


class BadSink(BadInput):
    """A sink in `replay.toml` that cannot be used as it is written there."""


class SinkError(ReplayError):
    """A sink that did not take what it was sent."""


class SinkUnreachable(SinkError):
    """A sink that cannot be reached: nothing was sent."""


class SinkRefused(SinkError):
    """A sink that was reached and did not take a batch, after so many attempts."""

    def __init__(self, message: str, attempts: int = 1) -> None:
        super().__init__(message)
        self.attempts = attempts


class ForeignSink(SinkError):
    """A place that holds something else than this ledger's verdicts."""


@dataclass(frozen=True)
class Batch:
    """Consecutive verdicts of the ledger, at least one: their rows and their JSON documents."""

    rows: pa.RecordBatch
    documents: pa.Array

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @property
    def first(self) -> int:
        """The first verdict's ledger_seq."""
        return int(self.rows.column("ledger_seq")[0].as_py())

    @property
    def last(self) -> int:
        """The last verdict's ledger_seq."""
        return int(self.rows.column("ledger_seq")[-1].as_py())

    def column(self, name: str) -> list[Any]:
        """Return one column's values."""
        values: list[Any] = self.rows.column(name).to_pylist()
        return values

    def texts(self) -> list[str]:
        """Return the documents."""
        found: list[str] = self.documents.to_pylist()
        return found

    def slice(self, start: int, rows: int | None = None) -> "Batch":
        """Return `rows` verdicts from the start-th (from 0) on; None is all that follow."""
        return Batch(self.rows.slice(start, rows), self.documents.slice(start, rows))

    def cut(self, rows: int) -> Iterator["Batch"]:
        """Cut into batches of at most `rows` verdicts."""
        for start in range(0, len(self), rows):
            yield self.slice(start, rows)


@dataclass(frozen=True)
class Held:
    """What a sink itself says that it has: the last verdict's number, and its document.

    Number 0 where it is empty; no document where it keeps the number alone.
    """

    ledger_seq: int
    document: bytes | None = None


class Sink(Protocol):
    """A place that takes verdicts."""

    Options: ClassVar[type[BaseModel]]

    @property
    def name(self) -> str:
        """The NAME of its table [sinks.NAME]."""
        ...

    @property
    def where(self) -> str:
        """Where it is, for people, without any secret; no two sinks may share one place."""
        ...

    @property
    def rows(self) -> int:
        """The most verdicts that it takes in one batch."""
        ...

    def check(self) -> None:
        """Raise SinkUnreachable where it can't take anything now; change nothing."""
        ...

    def position(self) -> Held | None:
        """Say what it has, where it can tell; None where only the sender can know."""
        ...

    def send(self, batch: Batch, pause: Pause) -> None:
        """Take a batch whole before returning, where it lasts.

        Raises SinkUnreachable where it can't be reached, SinkRefused where it took nothing of the
        batch or a part. `pause` is how it waits between attempts.
        """
        ...

    def interrupt(self) -> None:
        """Make a send that waits in another thread fail soon; a sink that never waits does nothing.

        The one method that another thread may call.
        """
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...


class SinkKind(Protocol):
    """A class of sinks, as `SINKS` and the entry points name them."""

    @property
    def Options(self) -> type[BaseModel]:  # noqa: N802  an inner class
        """What its table in `replay.toml` may hold."""
        ...

    def __call__(self, name: str, options: Any, home: Path, /) -> Sink:  # noqa: ANN401
        """Make a sink; `options` is an instance of its own `Options`."""
        ...
