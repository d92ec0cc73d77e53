"""Production decisions, as the live service would have logged them, by the batch engine."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from replay.decision_log import decision_rows
from replay.engine import Features
from replay.features import FeatureSlice
from replay.lake import Lake
from replay.logged import overlay
from replay.production import read_production
from replay.snapshot import Snapshot
from replay.tables import DECISION_TRUTH, DECISIONS, TIMESTAMP
from scorer.decisions import INVALID, UNDECIDED, Decisions, decide
from scorer.registry import ModelVersion
from scorer.serving.answers import UNAVAILABLE
from scorer.serving.ports import SCORED
from scorer.spec import Spec
from simulator.counters import Counters, LiveStore
from simulator.decider import Decided
from simulator.delivery import Delivery
from simulator.draw import Ints, mix
from simulator.fault import Incident
from simulator.generate import Chunk
from simulator.pointer import Pointer
from simulator.rows import times
from simulator.scenario import Scenario
from simulator.versions import first_version, wrong_version

LATENCY = (900, 3_800)  # µs from click to decision: least, most
BY = "release"
_NAMED = ["seq", "click_id", "device", "logged_in"]


class Production:
    """Decides a scenario's clicks, chunk by chunk, as the service would have with its incidents."""

    def __init__(
        self,
        lake: Lake,
        scenario: Scenario,
        healthy: ModelVersion,
        pointer: Pointer,
        threads: int = 2,
    ) -> None:
        """The lake has the scenario's profiles already, and the healthy version."""
        self._lake, self._scenario, self._pointer = lake, scenario, pointer
        self._timeline = scenario.timeline
        self._healthy, self._threads = healthy, threads
        self._first = first_version(lake, scenario, healthy)
        self._version: ModelVersion | None = None  # what stands in production
        snapshot = Snapshot.take(lake)
        self._right = Counters(snapshot, healthy.spec, threads)
        self._live = None
        if any(incident.fault.miscounts for incident in self._timeline):
            self._live = LiveStore(snapshot, healthy.spec, self._timeline, scenario.span, threads)

    def turn(self, at: int) -> None:
        """Do what is done at the beginning of a chunk: train, promote, roll back."""
        if self._version is None:
            self._version = self._standing(at)
        if at == self._scenario.span.start:
            self._promote(self._first, at, "first version")
        elif at == self._scenario.promoted_at:
            self._promote(
                self._healthy, at, f"catches more than {self._first.name} at the same FPR"
            )
        for incident in self._timeline:
            if incident.version is None:
                continue
            if incident.span.end == at:
                self._roll_back(at)
            if incident.trained_at == at:
                self._make(incident)
            if incident.span.start == at:
                version = self._make(incident)
                self._promote(version, at, f"same FPR budget as {self._healthy.name}")

    def decide(self, chunk: Chunk, rows: pa.Table, came: Delivery) -> Decided:
        """Decide a chunk; `rows` are its clicks as the table holds them, in log order."""
        right = self._right.advance(rows, chunk.clicks.ts, chunk.span, wanted=True)
        clicks = rows.select(_NAMED).append_column("ts", pa.array(chunk.ts))
        should = decide(self._healthy, clicks, right.facts, right.reals, threads=self._threads)
        read = right.take(np.flatnonzero(came.counted))
        if self._live is not None:
            found = self._live.advance(rows, chunk.ts, came.counted, chunk.span, chunk.incidents)
            read = found or read
        heard = clicks.filter(pa.array(~came.detoured))
        logged = _undecided(heard) if came.away else self._logged(heard, read, chunk.incidents)
        invalid = np.zeros(len(chunk.clicks), np.bool_)
        invalid[~came.detoured] = np.asarray(logged["decision"]) == INVALID
        return Decided(logged, _truth(clicks, should, self._touched(chunk.clicks.ts)), invalid)

    def _logged(
        self, clicks: pa.Table, read: Features, present: Sequence[Incident]
    ) -> pa.RecordBatch:
        """Return what the service logs of clicks by the features that it read."""
        version = self._version or self._healthy
        facts = np.zeros((len(version.spec.facts), len(clicks)), np.int32)
        reals = np.zeros((len(version.spec.reals), len(clicks)), np.float32)
        features = overlay(version.spec, Features(facts, reals), self._healthy.spec, read)
        _zero(features, version.spec, present)
        decisions = decide(version, clicks, features.facts, features.reals, threads=self._threads)
        return decision_rows(version, clicks, features, decisions, _decided_at(clicks), SCORED)

    def _touched(self, ts: Ints) -> pa.Array:
        """Return the id of the incident that each click is laid to: the last that reaches it."""
        ids = [incident.incident_id for incident in self._timeline]
        found = np.full(len(ts), len(ids), np.int32)
        for number, incident in enumerate(self._timeline):
            reach = incident.reach(self._healthy.spec.look_back)
            found[(ts >= reach.start) & (ts < reach.end)] = number
        return pa.array([*ids, None], pa.string()).take(pa.array(found))

    def _standing(self, at: int) -> ModelVersion:
        """Return what stood in production before `at`."""
        wrong = [each for each in self._timeline if each.version and each.goes_on(at - 1)]
        usual = self._healthy if at > self._scenario.promoted_at else self._first
        return self._make(wrong[-1]) if wrong else usual

    def _make(self, incident: Incident) -> ModelVersion:
        return wrong_version(self._lake, incident, self._healthy, self._scenario)

    def _promote(self, version: ModelVersion, at: int, reason: str) -> None:
        self._version = version
        if not self._moved(at):
            metrics = version.manifest.metrics
            self._pointer.promote(self._lake, version.name, BY, reason, metrics, at)

    def _roll_back(self, at: int) -> None:
        self._version = self._healthy
        if not self._moved(at):
            self._pointer.rollback(self._lake, BY, at)

    def _moved(self, at: int) -> bool:
        """Whether the pointer was moved at that time before, by a simulation that stopped."""
        return any(row.at == at for row in read_production(self._lake).history)


def _zero(features: Features, spec: Spec, present: Sequence[Incident]) -> None:
    for name in (name for incident in present for name in incident.fault.zeroed):
        for names, values in ((spec.facts, features.facts), (spec.reals, features.reals)):
            if name in names:
                values[names.index(name)] = 0


def _undecided(clicks: pa.Table) -> pa.RecordBatch:
    """Return what the service logs of clicks while its store is away."""
    columns = {
        "seq": clicks["seq"].combine_chunks(),
        "click_id": clicks["click_id"].combine_chunks(),
        "ts": clicks["ts"].combine_chunks().cast(TIMESTAMP),
        "decided_at": times(_decided_at(clicks)),
        "decision": pa.repeat(pa.scalar(UNDECIDED), len(clicks)),
        "reason": pa.repeat(pa.scalar(UNAVAILABLE), len(clicks)),
    }
    rest = {
        field.name: pa.nulls(len(clicks), field.type)
        for field in DECISIONS.schema
        if field.name not in columns
    }
    return pa.RecordBatch.from_pydict({**columns, **rest}, schema=DECISIONS.schema)


def _truth(clicks: pa.Table, should: Decisions, incident_ids: pa.Array) -> pa.RecordBatch:
    columns = {
        "click_id": clicks["click_id"].combine_chunks(),
        "ts": clicks["ts"].combine_chunks().cast(TIMESTAMP),
        "decision": should.words.cast(pa.string()),
        "incident_id": incident_ids,
    }
    return pa.RecordBatch.from_pydict(columns, schema=DECISION_TRUTH.schema)


def logged_rows(version: ModelVersion, piece: FeatureSlice) -> pa.RecordBatch:
    """Return what the live service would have logged of one slice's clicks."""
    decisions = decide(version, piece.clicks, piece.facts, piece.reals)
    features = Features(piece.facts, piece.reals)
    at = _decided_at(piece.clicks)
    return decision_rows(version, piece.clicks, features, decisions, at, SCORED)


def _decided_at(clicks: pa.Table) -> Ints:
    """Return when each click was decided, µs."""
    least, most = LATENCY
    spread = mix(clicks["seq"].to_numpy().astype(np.uint64)) % np.uint64(most - least)
    at: Ints = clicks["ts"].to_numpy() + spread.astype(np.int64) + least
    return at
