"""Which click ids the lake has: an index of 64-bit hashes, exact because each hit is looked up.

The index holds the clicks of some hours of the log, 8 bytes for each. Before a batch it takes in
what anybody committed since, and reads from the lake the hours that it lacks: those in which a
batch's clicks lie, and `horizon` before each. So a repeated id is found where its first row is
stamped in the same hour or at most `horizon` earlier, whoever wrote it; a repeat from further away
lands a second time. (The live store answers a repeat within 10 minutes with the first stamp.)

Decisions are committed before their clicks. Those whose clicks are not there are kept beside, for
another machine's committer may have died between the two.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replay.lake import Lake
from replay.live.delta_log import TableVersion
from replay.snapshot import Snapshot, connect, quoted, reading
from replay.span import Span
from replay.tables import CLICKS, DECISIONS, Table

HOUR = 3_600_000_000
KEPT_REFRESHES = 100

Hashes = NDArray[np.uint64]
Hours = NDArray[np.int64]


class HashSet:
    """64-bit hashes by hour, in sorted runs of which each is at least twice as long as the next."""

    def __init__(self) -> None:
        self._runs: dict[int, list[Hashes]] = {}

    def __len__(self) -> int:
        return sum(len(run) for runs in self._runs.values() for run in runs)

    @property
    def hours(self) -> set[int]:
        """The hours that are held, in hours since the epoch."""
        return set(self._runs)

    def hold(self, hours: Iterable[int]) -> None:
        """Begin hours that are not held yet."""
        for hour in hours:
            self._runs.setdefault(hour, [])

    def forget(self, hours: Iterable[int]) -> None:
        """Drop hours."""
        for hour in hours:
            self._runs.pop(hour, None)

    def add(self, hours: Hours, hashes: Hashes) -> None:
        """Add what lies in the hours that are held."""
        for hour in np.unique(hours).tolist():
            if hour in self._runs:
                runs = self._runs[hour]
                runs.append(np.sort(hashes[hours == hour]))
                while len(runs) > 1 and len(runs[-2]) < 2 * len(runs[-1]):
                    runs[-2:] = [np.sort(np.concatenate(runs[-2:]))]

    def places(self, hashes: Hashes) -> dict[int, NDArray[np.bool_]]:
        """Return, for each hour that has any of the hashes, which of them."""
        found: dict[int, NDArray[np.bool_]] = {}
        order = np.argsort(hashes)  # neighbours are looked up near each other
        wanted = hashes[order]
        for hour, runs in self._runs.items():
            for run in runs:
                at = np.searchsorted(run, wanted)
                hit = run[np.minimum(at, len(run) - 1)] == wanted
                if hit.any():
                    here = found.setdefault(hour, np.zeros(len(hashes), np.bool_))
                    here[order[hit]] = True
        return found


class SeenClicks:
    """The ids of the lake's clicks, and of decisions without a click, as of the last `refresh`."""

    def __init__(self, lake: Lake, horizon: int) -> None:
        """`horizon` in µs."""
        self._lake = lake
        self._reach = -(-horizon // HOUR)
        self._clicks, self._lone = HashSet(), HashSet()
        self._new = {table.name: _Follower(lake, table.name) for table in (CLICKS, DECISIONS)}
        self._used: dict[int, int] = {}
        self._refreshed = 0
        self._connection = connect(1, "512MB")

    def __len__(self) -> int:
        return len(self._clicks)

    def refresh(self, ts: NDArray[np.int64]) -> None:
        """Come up to date for clicks that are stamped so (µs); hold the lake's lock."""
        needed = {
            hour - back
            for hour in np.unique(ts // HOUR).tolist()
            for back in range(self._reach + 1)
        }
        new = {name: follower.files() for name, follower in self._new.items()}
        if any(files is None for files in new.values()):
            self._clicks, self._lone = HashSet(), HashSet()
        for name, files in new.items():
            self._add(name, f"read_parquet([{', '.join(files)}])" if files else None)
        self._load(needed - self._clicks.hours)
        self._forget(needed)

    def known(self, ids: pa.ChunkedArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Tell which ids have a click in the lake, and which a click or a decision."""
        wanted = pa.table({"click_id": ids})
        query = "SELECT hash(click_id) AS hash FROM wanted"
        hashes = self._connection.sql(query).fetchnumpy()["hash"]
        clicks = self._confirmed(CLICKS, wanted, self._clicks.places(hashes))
        return clicks, clicks | self._confirmed(DECISIONS, wanted, self._lone.places(hashes))

    def _add(self, name: str, source: str | None) -> None:
        held = self._clicks.hours
        if source is None or not held:
            return
        found = self._connection.sql(f"""
            SELECT epoch_us(ts) // {HOUR} AS hour, hash(click_id) AS hash FROM {source}
            WHERE hour BETWEEN {min(held)} AND {max(held)}
        """).fetchnumpy()
        hours, hashes = found["hour"], found["hash"]
        if name == CLICKS.name:
            self._clicks.add(hours, hashes)
        elif len(hashes):
            lone = ~np.logical_or.reduce(
                [np.zeros(len(hashes), np.bool_), *self._clicks.places(hashes).values()]
            )
            self._lone.add(hours[lone], hashes[lone])

    def _load(self, hours: set[int]) -> None:
        """Read hours from the lake, one after another, so that memory holds little else."""
        if not hours:
            return
        snapshot = Snapshot.take(self._lake, tables=(CLICKS, DECISIONS))
        for held in (self._clicks, self._lone):
            held.hold(hours)
        with reading(snapshot):
            for hour in sorted(hours):
                for table in (CLICKS, DECISIONS):
                    span = Span(hour * HOUR, (hour + 1) * HOUR)
                    if snapshot.pinned[table.name].within(span):
                        self._add(table.name, snapshot.source(table.name, span))

    def _forget(self, needed: set[int]) -> None:
        """Drop hours that were not needed for a while; a stray click must not drop the others."""
        self._refreshed += 1
        self._used |= dict.fromkeys(needed, self._refreshed)
        old = {hour for hour, at in self._used.items() if at < self._refreshed - KEPT_REFRESHES}
        for hour in old:
            del self._used[hour]
        for held in (self._clicks, self._lone):
            held.forget(old)

    def _confirmed(
        self, table: Table, wanted: pa.Table, places: Mapping[int, NDArray[np.bool_]]
    ) -> NDArray[np.bool_]:
        """Look the hits up in the table's own strings."""
        known = np.zeros(wanted.num_rows, np.bool_)
        if not places:
            return known
        snapshot = Snapshot.take(self._lake, tables=(table,))
        for hour, hit in places.items():
            hits = wanted.filter(pa.array(hit))  # DuckDB finds it by this name
            source = snapshot.source(table.name, Span(hour * HOUR, (hour + 1) * HOUR))
            with reading(snapshot):
                query = f"SELECT click_id FROM hits SEMI JOIN {source} USING (click_id)"
                there = self._connection.sql(query).to_arrow_table()["click_id"]
            known |= pc.is_in(wanted["click_id"], there).to_numpy()
            del hits
        return known


class _Follower:
    """Tells what was added to a table since the last look, by its Delta log."""

    def __init__(self, lake: Lake, name: str) -> None:
        self._folder = lake.home / name
        self._newest = TableVersion(lake.home, name)
        self._seen: int | None = None

    def files(self) -> list[str] | None:
        """Return the new files, quoted for SQL; None where the whole table must be read anew."""
        seen, self._seen = self._seen, self._newest.newest()
        if seen is None or self._seen < seen:
            return None
        try:
            return [
                quoted(str(self._folder / path))
                for version in range(seen + 1, self._seen + 1)
                for path in self._added(version)
            ]
        except FileNotFoundError:
            return None

    def _added(self, version: int) -> Iterator[str]:
        """Return the files that a commit added, less those that hold older rows anew."""
        with (self._folder / "_delta_log" / f"{version:020d}.json").open() as lines:
            for line in lines:
                add = json.loads(line).get("add")
                if add and add["dataChange"]:
                    yield unquote(add["path"])
