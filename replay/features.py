"""Point-in-time features of a span, exactly as the live store had them at each click.

The log is read once, in slices of time, from one look-back before the span; window state is
carried from slice to slice. The result depends neither on the slices' length nor on the number of
threads nor on how the rows lie in files.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replay.keys import KeySpaces, Space
from replay.profiles import KEY_COLUMN, Columns, ProfileTables
from replay.snapshot import Snapshot, connect
from replay.span import Span
from replay.windows import Counts, Distincts, Gaps
from scorer.calendar import time_features
from scorer.spec import Spec

Facts = NDArray[np.int32]
Reals = NDArray[np.float32]
HOUR = 3_600_000_000
SLICE_LENGTHS = tuple(HOUR * k for k in (24, 12, 6, 3, 1)) + tuple(
    HOUR // k for k in (2, 4, 12, 60)
)
SLICE_CLICKS = 750_000


@dataclass(frozen=True)
class FeatureSlice:
    """The clicks of one slice of time, in log order, and their features.

    `clicks` holds ts (int64 µs), seq, click_id and the columns asked for; `facts` is int32
    (facts of the spec, clicks), `reals` float32 (reals of the spec, clicks).
    """

    span: Span
    clicks: pa.Table
    facts: Facts
    reals: Reals


def stream(
    snapshot: Snapshot,
    spec: Spec,
    span: Span,
    *,
    columns: Sequence[str] = (),
    slice_length: int | None = None,
    threads: int = 2,
) -> Iterator[FeatureSlice]:
    """Yield the features of the clicks of `span`, slice by slice, in log order.

    Slices are cut at whole multiples of `slice_length` µs (chosen by the log's density where it is
    None) and at the span's own ends. Slices without clicks are yielded too.
    """
    length = slice_length or choose_slice_length(snapshot, span)
    pieces = span.cut(length)
    if spec.look_back:
        pieces = Span(span.start - spec.look_back, span.start).cut(length) + pieces
    reader = _Reader(snapshot, spec, columns, threads)
    engine = _Engine(snapshot, spec, threads)
    with ThreadPoolExecutor(max_workers=1) as ahead:
        reading = ahead.submit(reader.read, pieces[0])
        for number, piece in enumerate(pieces):
            table = reading.result()
            if number + 1 < len(pieces):
                reading = ahead.submit(reader.read, pieces[number + 1])
            wanted = piece.start >= span.start
            facts, reals = engine.advance(piece, table, wanted=wanted)
            if wanted:
                yield FeatureSlice(piece, reader.shown(table), facts, reals)


def choose_slice_length(snapshot: Snapshot, span: Span) -> int:
    """Return the longest usual slice that holds about SLICE_CLICKS clicks at most; µs."""
    clicks = snapshot.rows("clicks", span)
    log = snapshot.log_span()
    covered = min(span.length, log.length) if log else span.length
    for length in SLICE_LENGTHS:
        if clicks * length <= SLICE_CLICKS * max(covered, 1):
            return length
    return SLICE_LENGTHS[-1]


class _Reader:
    """Reads slices of the click log into log order."""

    def __init__(
        self, snapshot: Snapshot, spec: Spec, columns: Sequence[str], threads: int
    ) -> None:
        self._snapshot = snapshot
        self._connection = connect(threads)
        self._keys = key_columns(spec)
        needed = [*self._keys]
        needed += ["device"] if spec.flags.devices else []
        needed += ["logged_in"] if spec.flags.logged_in else []
        self._shown = [c for c in dict.fromkeys(columns) if c not in ("ts", "seq", "click_id")]
        self._read = list(dict.fromkeys([*needed, *self._shown]))

    def read(self, span: Span) -> pa.Table:
        names = [f'"{name}"' for name in self._read]
        hashes = [f'hash("{name}") AS "hash {name}"' for name in self._keys]
        wanted = ", ".join(["epoch_us(ts) AS ts", "seq", "click_id", *names, *hashes])
        source = self._snapshot.source("clicks", span)
        table = self._connection.sql(f"SELECT {wanted} FROM {source}").to_arrow_table()
        order = log_order(table)
        return table if order is None else table.take(order)

    def shown(self, table: pa.Table) -> pa.Table:
        return table.select(["ts", "seq", "click_id", *self._shown])


def key_columns(spec: Spec) -> list[str]:
    """Return the click columns that a spec encodes: of entities, of members and of profile keys."""
    columns = [column for entity in spec.entities for column in entity]
    columns += [group.member for group in spec.distincts]
    columns += [KEY_COLUMN[profile.table] for profile in spec.profiles]
    return list(dict.fromkeys(columns))


def log_order(table: pa.Table) -> NDArray[np.int64] | None:
    """Return the rows' order by (ts, seq, click_id), or None where they are in it already."""
    times, seqs = table["ts"].to_numpy(), table["seq"].to_numpy()
    if _ascending(times, seqs):
        return None
    order = np.lexsort((seqs, times))
    if _ascending(times[order], seqs[order]):
        return order
    keys = [("ts", "ascending"), ("seq", "ascending"), ("click_id", "ascending")]
    indices = pc.sort_indices(table.select(["ts", "seq", "click_id"]), sort_keys=keys)
    return np.asarray(indices, np.int64)


def _ascending(times: NDArray[np.int64], seqs: NDArray[np.int64]) -> bool:
    """Tell whether (ts, seq) rises strictly."""
    later = times[1:] > times[:-1]
    tie = (times[1:] == times[:-1]) & (seqs[1:] > seqs[:-1])
    return bool(np.all(later | tie))


class _Engine:
    """The window state of a spec, moving forward over the log."""

    def __init__(self, snapshot: Snapshot, spec: Spec, threads: int) -> None:
        self._snapshot, self._spec, self._threads = snapshot, spec, threads
        pairs = [(*group.entity, group.member) for group in spec.distincts]
        self._spaces = KeySpaces([*spec.entities, *pairs, *((c,) for c in key_columns(spec))])
        self._times = np.empty(0, np.int64)
        at = {name: row for row, name in enumerate(spec.facts)}
        self._counts = [
            (self._spaces[g.entity], Counts(g.parsed, [at[n] for n in g.names]))
            for g in spec.counts
        ]
        self._distincts = [
            (
                self._spaces[g.entity],
                self._spaces[(*g.entity, g.member)],
                Distincts(g.parsed, [at[n] for n in g.names]),
            )
            for g in spec.distincts
        ]
        self._gaps = [(self._spaces[g.entity], Gaps(g.cap_us, at[g.name])) for g in spec.gaps]
        self._profiles: ProfileTables | None = None

    def advance(self, span: Span, table: pa.Table, *, wanted: bool) -> tuple[Facts, Reals]:
        """Take in a slice's clicks, in log order; return its features.

        Where they are not `wanted` (the look-back), only window features are filled.
        """
        start = len(self._times)
        times = table["ts"].to_numpy()
        self._times = np.concatenate([self._times, times])
        self._spaces.extend(table, self._each)
        facts = np.zeros((len(self._spec.facts), len(times)), np.int32)
        reals = np.zeros((len(self._spec.reals), len(times)), np.float32)
        tasks = self._window_tasks(start, facts)
        if wanted:
            tasks.append(lambda: self._fill_rest(span, table, start, facts, reals))
        self._each(tasks)
        if len(times):
            self._drop_before(int(times[-1]) - self._spec.look_back)
        return facts, reals

    def _each(self, tasks: Iterable[Callable[[], None]]) -> None:
        """Run independent tasks, on several threads where there are several."""
        if self._threads == 1:
            for task in tasks:
                task()
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                for done in [pool.submit(task) for task in tasks]:
                    done.result()

    def _window_tasks(self, start: int, facts: Facts) -> list[Callable[[], None]]:
        def count(space: Space, state: Counts | Gaps) -> Callable[[], None]:
            return lambda: state.advance(self._times, space.codes, start, space.size, facts)

        def distinct(space: Space, pairs: Space, state: Distincts) -> Callable[[], None]:
            return lambda: state.advance(
                self._times, space.codes, pairs.codes, start, space.size, pairs.size, facts
            )

        tasks = [distinct(*entry) for entry in self._distincts]
        tasks += [count(*entry) for entry in self._counts]
        return tasks + [count(*entry) for entry in self._gaps]

    def _fill_rest(
        self, span: Span, table: pa.Table, start: int, facts: Facts, reals: Reals
    ) -> None:
        """Fill the features that need no window: flags, time and profiles."""
        fact_rows = dict(zip(self._spec.facts, facts, strict=True))
        real_rows = dict(zip(self._spec.reals, reals, strict=True))
        if self._spec.flags.logged_in:
            fact_rows["logged_in"][:] = table["logged_in"].to_numpy()
        for device in self._spec.flags.devices:
            fact_rows[f"device_{device}"][:] = pc.equal(table["device"], device).to_numpy()
        if self._spec.time:
            time_features(self._times[start:], self._spec.time, reals)
        if self._spec.profiles:
            if self._profiles is None:
                self._profiles = ProfileTables(self._snapshot, self._spec.profiles, span.start)
            codes = {
                name: self._spaces[(name,)].codes[start:]
                for name in KEY_COLUMN.values()
                if name in key_columns(self._spec)
            }
            self._profiles.fill(span, table, codes, Columns(fact_rows, real_rows))

    def _drop_before(self, oldest: int) -> None:
        """Forget clicks with ts <= oldest: no window or gap of a later click sees them."""
        clicks = int(np.searchsorted(self._times, oldest, side="right"))
        self._times = self._times[clicks:]
        self._spaces.drop(clicks)
        for _, counts in self._counts:
            counts.drop(clicks)
        for _, _, distincts in self._distincts:
            distincts.drop(clicks)
        alive = self._spaces.forget()
        if not alive:
            return
        for space, counts in self._counts:
            counts.keep(alive[space])
        for space, gaps in self._gaps:
            gaps.keep(alive[space])
        for space, pairs, distincts in self._distincts:
            distincts.keep(alive[space], alive[pairs])
