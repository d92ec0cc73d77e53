"""What a delivery did: frozen data, which texts, JSON and exit codes are made of."""

from dataclasses import dataclass
from typing import Any

from replay.cursors import DeadLetter


@dataclass(frozen=True)
class Served:
    """What one sink got: `sent` verdicts, those of dead letters among them, from `first` on.

    It is now at `ledger_seq` of the ledger's `head`. `dead_letters` are all that it has, those of
    earlier deliveries among them. `error` says what stopped the delivery.
    """

    sink: str
    kind: str
    where: str
    sent: int
    first: int | None
    ledger_seq: int
    head: int
    dead_letters: tuple[DeadLetter, ...]
    error: str | None
    seconds: float

    @property
    def exit_code(self) -> int:
        """2 where the sink could not be served, 1 where it has dead letters, else 0."""
        if self.error is not None:
            return 2
        return 1 if self.dead_letters else 0

    @property
    def withheld(self) -> int:
        """How many verdicts its dead letters are."""
        return sum(letter.verdicts for letter in self.dead_letters)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        letters = [letter.model_dump(mode="json") for letter in self.dead_letters]
        return {**vars(self), "dead_letters": letters}


@dataclass(frozen=True)
class Delivery:
    """What every sink got, in the order of `replay.toml`."""

    sinks: tuple[Served, ...]

    @property
    def exit_code(self) -> int:
        """The worst of the sinks'."""
        return max((served.exit_code for served in self.sinks), default=0)

    @property
    def problems(self) -> list[str]:
        """One line for each sink that was not served to the end."""
        return [served.error for served in self.sinks if served.error is not None]

    @property
    def warnings(self) -> list[str]:
        """One line for each sink that lacks verdicts because it refused them."""
        return [
            f"sink {served.sink!r} lacks {served.withheld:,} verdict"
            f"{'s' if served.withheld > 1 else ''} that it refused (dead letters); to send them "
            "again: replay verdicts deliver --dead-letters"
            for served in self.sinks
            if served.dead_letters
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"sinks": [served.to_json() for served in self.sinks]}
