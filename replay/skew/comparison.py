"""Logged features against recomputed ones, over a span of production.

Slices of the log come in order, with the features of every spec that production logged; beside them
come the decisions of the slice. Memory does not grow with the span.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replay.compiled import Flags, Int64s
from replay.coverage import Coverage, cover
from replay.features import ClickSlice, stream_specs
from replay.lake import Lake
from replay.live.writers import LogLag, log_lags, unsettled_notes
from replay.logged import has_features, logged_features
from replay.production import open_versions
from replay.reader import choose_slice_length
from replay.skew.judge import FROM_ELSEWHERE, FROM_LIVE, Judge, Seen
from replay.skew.lookups import Census, Lookups, take_census
from replay.skew.moments import Flushes, Onsets, Parts
from replay.skew.reasons import EPOCH, LIVE, SOURCE, UNSTAMPED, apart, windowed
from replay.skew.report import Skew
from replay.skew.tally import Tally, differing_values
from replay.snapshot import Snapshot, connect, reading
from replay.span import Span, now_micros
from scorer.errors import BadModelFile
from scorer.spec import Spec

MISSING: Mapping[str, str] = {
    "no_decision": "production logged no decision",
    "no_features": "the decision was logged without features",
    "unknown_spec": "no stored version has the spec of the features",
    "wrong_width": "there are not as many features as the spec has",
}
SLICES = 4  # in the time of one slice of a run: decisions with features are wide
Advance = Callable[[int], None]
Emit = Callable[[pa.Table], None]


@dataclass(frozen=True)
class Prepared:
    """What was looked at before anything is computed; `specs` by digest, `to_read` in clicks.

    `inside` is the part of the span that the log reaches over.
    """

    snapshot: Snapshot
    span: Span
    inside: Span
    specs: Mapping[str, Spec]
    not_stored: tuple[str, ...]
    coverage: Coverage
    census: Census
    lags: tuple[LogLag, ...]
    to_read: int

    @property
    def settled(self) -> int | None:
        """Until when (µs) the log is whole; None where no service writes to it."""
        return min((lag.flushed_until for lag in self.lags if not lag.closed), default=None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before trusting the figures."""
        stored = (f"spec {digest[:12]} is of no stored version" for digest in self.not_stored)
        gaps = (
            f"gap: no click in {gap}, which the hours around it do not explain"
            for gap in self.coverage.gaps
        )
        return (*stored, *gaps, *unsettled_notes(self.lags, self.span.end))


def prepare(lake: Lake, span: Span) -> Prepared:
    """Pin the lake and find the specs; raise OutsideLog where the log has no click of the span."""
    lags = log_lags(lake, now_micros())
    snapshot = Snapshot.take(lake)
    with reading(snapshot), connect() as connection:
        digests = _digests(connection, snapshot, span)
        stored = _stored_specs(lake, digests)
        specs = {digest: stored[digest] for digest in digests if digest in stored}
        look_back = max((spec.look_back for spec in specs.values()), default=0)
        coverage = cover(connection, snapshot, span, look_back)
        inside = snapshot.clip(span) or span
        seen = Span(inside.start - look_back, inside.end)
        census = take_census(connection, snapshot, seen)
    not_stored = tuple(digest for digest in digests if digest not in stored)
    to_read = snapshot.rows("clicks", seen)
    return Prepared(snapshot, span, inside, specs, not_stored, coverage, census, lags, to_read)


def _digests(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, span: Span) -> list[str]:
    """Return the digests of the specs that the span's decisions were logged with."""
    source = snapshot.source("decisions", span)
    query = f"SELECT DISTINCT spec_digest FROM {source} WHERE spec_digest IS NOT NULL ORDER BY 1"
    return [digest for (digest,) in connection.sql(query).fetchall()]


def _stored_specs(lake: Lake, digests: Sequence[str]) -> dict[str, Spec]:
    """Return the specs of the stored versions, by digest, until all of these are found."""
    versions = open_versions(lake)
    found: dict[str, Spec] = {}
    for name in reversed(versions.names()):
        if all(digest in found for digest in digests):
            break
        try:
            spec = versions.manifest(name).spec
        except BadModelFile:
            continue
        found[spec.digest] = spec
    return found


def measure(
    prepared: Prepared,
    examples: int,
    advance: Advance,
    emit: Emit | None = None,
    slice_length: int | None = None,
) -> Skew:
    """Compare every click of the span; keep `examples` of each reason.

    `emit` hears of the differing values, table by table; `advance` of the clicks read. Slices of
    `slice_length` µs change nothing but time and memory.
    """
    length = slice_length or choose_slice_length(prepared.snapshot, prepared.inside) // SLICES
    with reading(prepared.snapshot):
        return _Skewer(prepared, examples).measure(length, advance, emit)


class _Skewer:
    def __init__(self, prepared: Prepared, examples: int) -> None:
        self._prepared = prepared
        self._census = prepared.census
        self._connection = connect()
        self._judge = Judge(prepared.census, Lookups(prepared.snapshot), prepared.settled)
        self._tally = Tally(prepared.inside, examples)
        self._onsets = Onsets()
        self._flushes = Flushes(prepared.census.epochs)
        self._missing: Counter[str] = Counter()
        self._specs: Counter[str] = Counter()

    def measure(self, slice_length: int, advance: Advance, emit: Emit | None) -> Skew:
        given = self._prepared
        # A spec without windows stands in where there is none, so that clicks are still counted.
        specs = list(given.specs.values()) or [Spec()]
        columns = [EPOCH] * self._census.flushed + [SOURCE] * self._census.mixed
        slices = stream_specs(
            given.snapshot,
            [
                *specs,
                *(apart(spec, column) for spec in specs if windowed(spec) for column in columns),
            ],
            given.inside,
            columns=columns,
            slice_length=slice_length,
            advance=advance,
        )
        for piece in slices:
            if piece.clicks.num_rows:
                self._add(piece, emit)
        return self._report()

    def _add(self, piece: ClickSlice, emit: Emit | None) -> None:
        decisions = self._decisions(piece)
        parts: Parts = [(seen, self._judge.judge(seen)) for seen in self._seen(piece, decisions)]
        times = piece.clicks["ts"].to_numpy()
        self._tally.add(times, parts)
        self._onsets.add(times, piece.clicks["click_id"], parts)
        if self._census.flushed:
            self._flushes.add(piece.clicks[EPOCH], parts)
        if emit:
            for table in differing_values(parts):
                emit(table)

    def _decisions(self, piece: ClickSlice) -> pa.Table:
        """Return what was logged of each click of a slice: nulls where nothing was."""
        source = self._prepared.snapshot.source("decisions", piece.span)
        logged = self._connection.sql(
            f"SELECT click_id, spec_digest, facts, reals FROM {source}"
        ).to_arrow_table()
        click_ids = piece.clicks["click_id"]
        if logged["click_id"].equals(click_ids):
            return logged
        return logged.take(pc.index_in(click_ids, value_set=logged["click_id"]))

    def _seen(self, piece: ClickSlice, decisions: pa.Table) -> list[Seen]:
        """Return the clicks that can be compared, by spec; count the others."""
        found = []
        left = np.ones(len(decisions), np.bool_)
        origins = self._origins(piece)
        for digest, spec in self._prepared.specs.items():
            fits = has_features(decisions, spec)
            places = np.flatnonzero(fits)
            if not len(places):
                continue
            left &= ~fits
            self._specs[digest] += len(places)
            found.append(_seen(piece, decisions, spec, places, origins))
        self._count_missing(decisions, left)
        return found

    def _origins(self, piece: ClickSlice) -> NDArray[np.uint8]:
        """Say where each click comes from."""
        if not self._census.mixed:
            return np.full(piece.clicks.num_rows, FROM_LIVE, np.uint8)
        source = piece.clicks[SOURCE]
        known = pa.array([LIVE, UNSTAMPED])
        places = pc.index_in(source, value_set=known).fill_null(FROM_ELSEWHERE)
        return np.asarray(places, np.uint8)

    def _count_missing(self, decisions: pa.Table, left: Flags) -> None:
        if not left.any():
            return
        decisions = decisions.filter(pa.array(left))
        undecided = decisions["click_id"].is_null().to_numpy()
        digests = decisions["spec_digest"]
        bare = pc.or_(digests.is_null(), decisions["facts"].is_null())
        no_features = pc.or_(bare, decisions["reals"].is_null()).to_numpy()
        known = pc.is_in(digests, value_set=pa.array(list(self._prepared.specs), pa.string()))
        reasons = np.select(
            [undecided, no_features, ~known.to_numpy()], list(MISSING)[:3], list(MISSING)[3]
        )
        self._missing.update(reasons.tolist())

    def _report(self) -> Skew:
        given, tally = self._prepared, self._tally
        different = tally.compared - tally.equal
        return Skew(
            start=given.span.start,
            end=given.span.end,
            clicks=tally.clicks.total(),
            compared=tally.compared,
            equal=tally.equal,
            different=different,
            unexplained=tally.unexplained,
            outside=tally.outside,
            missing={name: self._missing[name] for name in MISSING if self._missing[name]},
            specs=dict(self._specs),
            reasons=tally.reasons(),
            features=tally.features(),
            bucket=tally.bucket,
            times=tally.times(),
            flushes=self._flushes.found(),
            onsets=self._onsets.found(),
            onsets_left_out=self._onsets.left_out,
            examples=tally.examples(),
            notes=given.notes,
        )


def _seen(
    piece: ClickSlice,
    decisions: pa.Table,
    spec: Spec,
    places: Int64s,
    origins: NDArray[np.uint8],
) -> Seen:
    """Take the clicks at some places; all of a slice are not copied."""
    clicks, log = piece.clicks, piece.features[spec.digest]
    rungs = {
        column: piece.features[apart(spec, column).digest].facts
        for column in (EPOCH, SOURCE)
        if column in clicks.column_names and windowed(spec)
    }
    if len(places) < clicks.num_rows:
        clicks, decisions, log = clicks.take(places), decisions.take(places), log.take(places)
        rungs = {column: values[:, places] for column, values in rungs.items()}
        origins = origins[places]
    live = rungs.get(SOURCE, log.facts[: len(windowed(spec))])
    return Seen(
        spec=spec,
        span=piece.span,
        places=places,
        click_ids=clicks["click_id"].combine_chunks(),
        times=clicks["ts"].to_numpy(),
        origins=origins,
        logged=logged_features(decisions, spec),
        log=log,
        own_epoch=rungs.get(EPOCH, live),
        live=live,
    )
