"""A list of verdicts in this process: the sink of tests and of whoever tries the toolkit out."""

from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from recovery.sinks.sink import Batch, Held, Pause


class MemoryOptions(BaseModel):
    """`rows` is the most verdicts of one batch; `tells` whether it knows how far it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = 1_000
    tells: bool = True


class Memory:
    """Keeps each document with its ledger_seq, in the order that they came in."""

    Options: ClassVar[type[BaseModel]] = MemoryOptions

    def __init__(self, name: str, options: MemoryOptions, home: Path) -> None:
        self.name = name
        self.rows = options.rows
        self.taken: list[tuple[int, str]] = []
        self._tells = options.tells

    @property
    def where(self) -> str:
        """This process."""
        return f"memory:{self.name}"

    def check(self) -> None:
        """It is always there."""

    def position(self) -> Held | None:
        """Say what came last."""
        if not self._tells:
            return None
        if not self.taken:
            return Held(0)
        last, document = self.taken[-1]
        return Held(last, document.encode())

    def send(self, batch: Batch, pause: Pause) -> None:
        """Keep the batch."""
        self.taken += zip(batch.column("ledger_seq"), batch.texts(), strict=True)

    def interrupt(self) -> None:
        """It never waits."""

    def close(self) -> None:
        """Keep what was taken."""
