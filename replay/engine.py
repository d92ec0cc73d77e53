"""The window state of one spec, moving forward over the log, slice by slice."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replay.keys import KeySpaces, Space
from replay.profiles import KEY_COLUMN, ProfileTable
from replay.reader import SliceRows
from replay.snapshot import Snapshot
from replay.span import Span
from replay.windows import Counts, Distincts, Gaps
from scorer.calendar import time_features
from scorer.spec import Spec


@dataclass(frozen=True)
class Features:
    """Raw features of some clicks: a row per feature of the spec, a column per click."""

    facts: NDArray[np.int32]
    reals: NDArray[np.float32]

    def take(self, clicks: NDArray[np.int64]) -> "Features":
        """Return the features of the clicks at these places."""
        return Features(self.facts[:, clicks], self.reals[:, clicks])


def key_columns(spec: Spec) -> list[str]:
    """Return the click columns that a spec encodes: of entities, of members and of profile keys."""
    columns = [column for entity in spec.entities for column in entity]
    columns += [group.member for group in spec.distincts]
    columns += [KEY_COLUMN[profile.table] for profile in spec.profiles]
    return list(dict.fromkeys(columns))


def encoded_columns(spec: Spec) -> list[str]:
    """Return the click columns that a spec reads dictionary-encoded."""
    return list(dict.fromkeys([*key_columns(spec), *(["device"] if spec.flags.devices else [])]))


def plain_columns(spec: Spec) -> list[str]:
    """Return the click columns that a spec reads as they are."""
    return ["logged_in"] if spec.flags.logged_in else []


class FeatureEngine:
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
        self._profiles: list[ProfileTable] | None = None

    def advance(self, span: Span, rows: SliceRows, *, wanted: bool) -> Features:
        """Take in a slice's clicks, in log order; return its features.

        Where they are not `wanted` (the look-back), only window features are filled.
        """
        start = len(self._times)
        times = rows.clicks["ts"].to_numpy()
        self._times = np.concatenate([self._times, times])
        self._spaces.extend(rows, self._each)
        facts = np.zeros((len(self._spec.facts), len(times)), np.int32)
        reals = np.zeros((len(self._spec.reals), len(times)), np.float32)
        # The longest tasks come first, so that no thread is left with one at the end.
        rest = self._rest_tasks(span, rows, start, Features(facts, reals)) if wanted else []
        tasks = [*rest, *self._window_tasks(start, facts)]
        self._each(tasks)
        if len(times):
            self._drop_before(int(times[-1]) - self._spec.look_back)
        return Features(facts, reals)

    def _each(self, tasks: Iterable[Callable[[], None]]) -> None:
        """Run independent tasks, on several threads where there are several."""
        if self._threads == 1:
            for task in tasks:
                task()
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                for done in [pool.submit(task) for task in tasks]:
                    done.result()

    def _window_tasks(self, start: int, facts: NDArray[np.int32]) -> list[Callable[[], None]]:
        def count(space: Space, state: Counts | Gaps) -> Callable[[], None]:
            return lambda: state.advance(self._times, space.codes, start, space.size, facts)

        def distinct(space: Space, pairs: Space, state: Distincts) -> Callable[[], None]:
            return lambda: state.advance(
                self._times, space.codes, pairs.codes, start, space.size, pairs.size, facts
            )

        tasks = [distinct(*entry) for entry in self._distincts]
        tasks += [count(*entry) for entry in self._counts]
        return tasks + [count(*entry) for entry in self._gaps]

    def _rest_tasks(
        self, span: Span, rows: SliceRows, start: int, out: Features
    ) -> list[Callable[[], None]]:
        """Fill the features that need no window: profiles, flags and time."""
        facts = dict(zip(self._spec.facts, out.facts, strict=True))
        tasks: list[Callable[[], None]] = []
        if self._spec.profiles:
            values = facts | dict(zip(self._spec.reals, out.reals, strict=True))
            times = self._times[start:]
            tasks += [
                partial(table.fill, span, times, start, values)
                for table in self._profile_tables(span.start)
            ]
        return [
            *tasks,
            partial(self._fill_flags, rows, facts),
            partial(self._fill_time, start, out),
        ]

    def _profile_tables(self, start: int) -> list[ProfileTable]:
        """Return the spec's profile tables; the first call says from when on they are wanted."""
        if self._profiles is None:
            self._profiles = [
                ProfileTable(self._snapshot, name, columns, self._spaces.column(column), start)
                for name, column in KEY_COLUMN.items()
                if (columns := [p for p in self._spec.profiles if p.table == name])
            ]
        return self._profiles

    def _fill_flags(self, rows: SliceRows, facts: Mapping[str, NDArray[np.int32]]) -> None:
        if self._spec.flags.logged_in:
            facts["logged_in"][:] = rows.clicks["logged_in"].to_numpy()
        for device in self._spec.flags.devices:
            facts[f"device_{device}"][:] = rows.of_keys("device", partial(_is, device), 0)

    def _fill_time(self, start: int, out: Features) -> None:
        if self._spec.time:
            time_features(self._times[start:], self._spec.time, out.reals)

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
        for profiles in self._profiles or ():
            profiles.keep(alive)


def _is(value: str, strings: pa.Array) -> NDArray[np.int32]:
    """Return 1 where a string is `value`, 0 elsewhere."""
    return np.asarray(pc.equal(strings, value).cast(pa.int32()), np.int32)
