"""What lands in a lake, chunk by chunk, each table's rows when they would have come.

What a click needs comes before the click. Imports land as late as they came, and purchases that an
incident kept back land after the training that missed them; what would land after the simulation's
end does not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from replay.ahead import ahead
from replay.lake import Lake
from simulator.bills import Bills
from simulator.columns import DEVICES, HOUR, Clicks, concatenate
from simulator.decider import Decider
from simulator.delivery import IMPORT, Delivery, delivery
from simulator.draw import Flags
from simulator.fault import Incident, Retrained
from simulator.generate import Chunk
from simulator.rows import click_rows, purchase_rows, truth_rows
from simulator.world import World


@dataclass
class Landing:
    """Writes chunks under one writer's name, each whole or not at all; a second time adds nothing.

    Without a production nothing is decided. What landed before `since` (µs) is there already.
    `bills` say what was decided, for robots that read them.
    """

    lake: Lake
    world: World
    writer: str
    production: Decider | None = None
    since: int = 0
    bills: Bills = field(default_factory=Bills)
    _late: list[tuple[int, Chunk, Delivery]] = field(default_factory=list)  # lands at, …
    _kept: list[tuple[int, Clicks]] = field(default_factory=list)  # lands at, who bought
    _landed: int = 0
    _opened: dict[str, DeltaTable] = field(default_factory=dict)

    def land(self, chunk: Chunk) -> int:
        """Write one chunk; return how many purchases landed."""
        came = delivery(chunk, self.world.scenario.timeline)
        if self.production:
            self.production.turn(chunk.span.start)
        self._land_late(chunk.span.start)
        purchases = purchase_rows(self.world, self._bought(chunk))
        self._append("purchases", chunk, [purchases])
        self._append("truth", chunk, ahead(truth_rows(self.world, chunk)))
        rows = click_rows(self.world, chunk, came)
        if self.production:
            rows = iter(self._decide(chunk, came, list(rows)))
        if came.detoured.any():
            places = np.flatnonzero(came.detoured)
            lands_at = chunk.span.end + came.late
            self._late.append((lands_at, chunk.take(places), came.take(places)))
            rows = (batch.filter(pc.not_equal(batch["source"], IMPORT)) for batch in rows)
        self._append("clicks", chunk, ahead(rows))
        return int(purchases.num_rows)

    def close(self) -> None:
        """Land what came late before the simulation's end."""
        self._land_late(self.world.scenario.span.end)

    def _decide(
        self, chunk: Chunk, came: Delivery, batches: list[pa.RecordBatch]
    ) -> list[pa.RecordBatch]:
        """Write the decisions on a chunk, whose rows are given, and return the rows."""
        if self.production and batches:
            decided = self.production.decide(chunk, pa.Table.from_batches(batches), came)
            self._append("decision_truth", chunk, [decided.truth])
            self._append("decisions", chunk, [decided.decisions])
            self.bills.add(chunk.clicks, decided.invalid)
        return batches

    def _bought(self, chunk: Chunk) -> Clicks:
        """Return the clicks whose purchases land now: the chunk's, and those kept back till now."""
        bought = chunk.clicks.take(chunk.clicks.buys_after >= 0)
        for incident in self.world.scenario.timeline:
            if incident.trained_at > chunk.span.start:
                missing = _missing(bought, incident)
                self._kept.append((incident.trained_at, bought.take(missing)))
                bought = bought.take(~missing)
        if chunk.span.end <= self.since:
            later = bought.take(bought.ts + bought.buys_after >= self.since)
            self._kept.append((self.since, later))
            return bought.take(slice(0))
        now = [clicks for at, clicks in self._kept if at <= chunk.span.start]
        self._kept = [(at, clicks) for at, clicks in self._kept if at > chunk.span.start]
        return concatenate([bought, *now])

    def _land_late(self, until: int) -> None:
        for lands_at, chunk, came in self._late:
            if self.since < lands_at <= until:
                self._landed += 1
                rows = click_rows(self.world, chunk, came)
                self.lake.append("clicks", rows, (f"{self.writer}/late", self._landed))
        self._late = [late for late in self._late if late[0] > until]

    def _append(self, name: str, chunk: Chunk, batches: Iterable[pa.RecordBatch]) -> None:
        if chunk.span.end > self.since:
            if name not in self._opened:
                self._opened[name] = self.lake.ready(name)
            transaction = (self.writer, chunk.number)
            self.lake.append(name, batches, transaction, opened=self._opened[name])


def _missing(bought: Clicks, incident: Incident) -> Flags:
    """Tell which purchases have not landed when the incident's version is trained."""
    made = incident.fault.promotes
    if not isinstance(made, Retrained):
        return np.zeros(len(bought), np.bool_)
    at, end = bought.ts + bought.buys_after, incident.trained_at
    device = np.isin(bought.device, [DEVICES.index(name) for name in made.devices])
    return device & (at >= end - round(made.hours * HOUR)) & (at < end)
