"""What decides a simulated production's clicks, as those who land them need it.

Apart from what does decide them (`simulator.production`): that loads PyTorch, and a scenario
without a production needs none.
"""

from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from simulator.delivery import Delivery
from simulator.draw import Flags
from simulator.generate import Chunk


@dataclass(frozen=True)
class Decided:
    """What production logged of a chunk, and what should have been decided; both in log order.

    `invalid` says of each of the chunk's clicks whether production called it robotic.
    """

    decisions: pa.RecordBatch
    truth: pa.RecordBatch
    invalid: Flags


class Decider(Protocol):
    """Decides a scenario's clicks, chunk by chunk."""

    def turn(self, at: int) -> None:
        """Do what is done at the beginning of a chunk (µs): train, promote, roll back."""
        ...

    def decide(self, chunk: Chunk, rows: pa.Table, came: Delivery) -> Decided:
        """Decide a chunk; `rows` are its clicks as the table holds them, in log order."""
        ...
