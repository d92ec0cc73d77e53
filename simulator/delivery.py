"""How the clicks of a chunk came into the log, and which of them the live store counted.

A click comes from the live service, stamped by the store; or from the service alone while the store
is away (`unstamped`); or with an import of a log that the service never saw.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from replay.span import Span
from simulator.draw import Flags, Ints, mix
from simulator.fault import Incident
from simulator.generate import Chunk

IMPORT = "import"
SOURCES = pa.array(["live", "unstamped", IMPORT])
_PARTS = 1_000_000


@dataclass(frozen=True)
class Delivery:
    """How a chunk's clicks came: those `detoured` were imported `late` µs after, the rest came now.

    `epoch` is the store's, by number from 1.
    """

    away: bool
    detoured: Flags
    late: int
    epoch: int

    @property
    def counted(self) -> Flags:
        """Which clicks the store counted."""
        return ~self.detoured & (not self.away)

    @property
    def source(self) -> Ints:
        """Where the log says that each click came from; indexes SOURCES."""
        return np.where(self.detoured, 2, int(self.away))

    def take(self, rows: Ints) -> "Delivery":
        """Return how the clicks at these places came."""
        return replace(self, detoured=self.detoured[rows])


def delivery(chunk: Chunk, timeline: Sequence[Incident]) -> Delivery:
    """Tell how a chunk's clicks came, by the incidents that went on and those before."""
    detours = [each.fault for each in chunk.incidents if each.fault.detoured]
    share = max((fault.detoured for fault in detours), default=0.0)
    # By session, so that a person's clicks of one visit go one way.
    mark = mix(chunk.clicks.session) % np.uint64(_PARTS)
    return Delivery(
        away=any(each.fault.away for each in chunk.incidents),
        detoured=mark < np.uint64(round(share * _PARTS)),
        late=max((fault.late for fault in detours), default=0),
        epoch=1 + sum(_forgot(each, chunk.span) for each in timeline),
    )


def _forgot(incident: Incident, span: Span) -> bool:
    return bool(incident.fault.forgets) and incident.span.start <= span.start
