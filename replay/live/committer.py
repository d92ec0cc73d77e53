"""The keeper's end of the log: segments of all workers to the lake, in few and whole commits.

A batch is written down with its segments' digests, then committed to `quarantine`, `decisions` and
`clicks`, in that order and under its number, and only then are its segments removed. A crash
anywhere leaves a batch that is tried again, and each table knows whether it has it: nothing is
lost and nothing twice. While the lake is away, segments stay where they are.

A commit costs more the longer the tables' logs are (20 µs for each earlier one, measured), and logs
are never cut. So while little waits, commits lie apart by a second for each 1,000 that there were,
up to a minute: a service that never stops spends 2% of its time on it, and has 13,000 commits after
its first day. After a pause a commit comes at once.

Rows that the lake has already are dropped and counted; `replay.live.seen` says how far that looks.
"""

import fcntl
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake.exceptions import DeltaError

from replay.config import read_config
from replay.durable import put_whole
from replay.lake import Lake
from replay.live import batches
from replay.live import rows as live_rows
from replay.live.batches import Batch
from replay.live.rows import Bad
from replay.live.seen import HOUR, SeenClicks
from replay.live.segments import FLUSHED, Segment, Writer, find_writers, remove_empty
from replay.live.service import Trouble
from replay.live.spool import SLACK
from replay.live.writers import Flushed, path_of, read_flushed, write_flushed
from replay.production import open_versions
from replay.snapshot import connect
from replay.span import now_micros
from replay.tables import CLICKS, DECISIONS, QUARANTINE
from scorer.errors import BadInput, ReplayError

LOCK = ".committer.lock"
EVERY = 2.0  # s between two looks at the spool
APART_PER_COMMIT = 0.001  # s between two commits, for each earlier one, while little waits
MOST_APART = 60.0
HORIZON = 24 * HOUR
_LONGEST_PAUSE = 30.0
_LOOK_AGAIN = 0.5

_LOG = logging.getLogger(__name__)
_AWAY = (ReplayError, OSError, DeltaError, pa.ArrowException, duckdb.Error)


@dataclass
class Counts:
    """What a committer did since it began; `clicks` are those that landed."""

    batches: int = 0
    clicks: int = 0
    duplicates: int = 0
    quarantined: int = 0


class Committer:
    """Brings one spool's answers into one lake; of several on a spool, one works at a time."""

    def __init__(
        self,
        lake: Lake,
        spool: Path,
        *,
        every: float = EVERY,
        apart_per_commit: float = APART_PER_COMMIT,
        horizon: int = HORIZON,
        clock: Callable[[], int] = now_micros,
    ) -> None:
        """`every` and `apart_per_commit` are in s, see EVERY and APART_PER_COMMIT.

        `horizon` (µs) is how far before a click its id is looked for.
        """
        self.counts = Counts()
        self.flushed_until = 0
        self._lake, self._spool, self._clock = lake, spool, clock
        self._every, self._apart_per_commit = every, apart_per_commit
        self._landed_at, self._commits = float("-inf"), 0
        self._seen = SeenClicks(lake, horizon)
        self._connection = connect(1, "512MB")
        self._floors: dict[str, int] = {}  # of the last segment committed, by writer
        self._name, self._number = "", -1
        self._trouble = Trouble(_LOG, "decisions wait in the spool")
        self._widths = lru_cache(1024)(self._spec_widths)

    def run(self, stop: threading.Event) -> None:
        """Commit every few seconds until `stop`, then once more, and leave.

        What the lake does not take is tried again, ever less often (at least every 30 s).
        """
        with self._turn(stop) as mine:
            pause = 0.0
            while mine:
                ending = stop.wait(pause)
                if self._attempt(partial(self.tick, at_once=ending)):
                    pause = self._every
                    if ending:
                        self._attempt(self.leave)
                else:
                    pause = min(2 * max(pause, self._every), _LONGEST_PAUSE)
                if ending:
                    return

    def tick(self, *, at_once: bool = True) -> None:
        """Commit what workers have closed so far, and say up to when the lake is whole.

        Without `at_once` little may wait. Raises LakeUnwritable, LakeBusy and other errors of a
        lake or spool that is away; it is then for the next tick to go on.
        """
        read_config(self._lake.home)  # raises: a lake that is away must not be begun anew
        if self._number < 0:
            self._begin()
        batches.remove_done(self._spool)
        if (pending := batches.pending(self._spool)) is not None:
            self._land(pending)
        behind = True
        while behind:
            present = self._clock()
            writers = find_writers(self._spool)
            left = [segment for writer in writers for segment in writer.segments]
            chosen = batches.choose(left) if at_once or self._due(left) else []
            if chosen:
                self._number += 1
                self._land(batches.begin(self._spool, self._number, chosen))
            self._publish(self._whole_until(present, writers, chosen))
            behind = 0 < len(chosen) < len(left)
        remove_empty(self._spool)

    def leave(self) -> None:
        """Say that nothing is left to come, where that is so; else the next committer goes on."""
        if not any(writer.open for writer in find_writers(self._spool)):
            self._publish(self.flushed_until, closed=True)

    def _due(self, left: Sequence[Segment]) -> bool:
        apart = min(self._commits * self._apart_per_commit, MOST_APART)
        rested = time.monotonic() >= self._landed_at + apart
        return rested or batches.size(left) >= batches.MOST_BYTES

    def _attempt(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except _AWAY as exc:
            self._trouble.met(exc)
            return False
        self._trouble.over()
        return True

    @contextmanager
    def _turn(self, stop: threading.Event) -> Iterator[bool]:
        """Wait for the spool's lock; give False where `stop` came first."""
        self._spool.mkdir(parents=True, exist_ok=True)
        with (self._spool / LOCK).open("a") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if not stop.wait(_LOOK_AGAIN):
                        continue
                    yield False
                else:
                    yield True
                return

    def _begin(self) -> None:
        """Find out which batch comes next, and say that this machine logs."""
        self._spool.mkdir(parents=True, exist_ok=True)
        name = batches.spool_id(self._spool)
        tables = (QUARANTINE, DECISIONS, CLICKS)
        known = [self._lake.transaction(table.name, f"live/{name}") or 0 for table in tables]
        present = self._clock()
        idle = not any(writer.open for writer in find_writers(self._spool))
        self._name = name
        self._publish(present - SLACK if idle else self._said_before())
        self._number = max(batches.last_number(self._spool), *known)

    def _said_before(self) -> int:
        try:
            return read_flushed(path_of(self._lake.home, self._name)).flushed_until
        except BadInput:
            return 0

    def _whole_until(
        self, present: int, writers: Sequence[Writer], landed: Sequence[Segment]
    ) -> int:
        """Return what every click that these writers stamped before is in the lake, µs."""
        for segment in landed:
            self._floors[segment.writer] = segment.floor or 0
        bounds = [present - SLACK]
        for writer in writers:
            if len(writer.segments) > sum(segment in landed for segment in writer.segments):
                bounds.append(self._floors.get(writer.folder.name, self.flushed_until))
            elif writer.alive:
                bounds.append(self.flushed_until if writer.floor is None else writer.floor)
        return max(min(bounds), 0)

    def _publish(self, flushed_until: int, *, closed: bool = False) -> None:
        said = Flushed(
            spool=self._name,
            host=socket.gethostname(),
            flushed_until=flushed_until,
            at=self._clock(),
            closed=closed,
        )
        write_flushed(self._lake.home, said)
        put_whole(self._spool / FLUSHED, str(flushed_until), lasting=False)
        self.flushed_until = flushed_until

    def _land(self, batch: Batch) -> None:
        """Commit a batch, or as much of it as did not land before a crash; remove its segments."""
        found = [(entry, batches.contents(self._spool, entry)) for entry in batch.segments]
        for entry in [entry for entry, content in found if content is None]:
            _LOG.error("segment %s is gone or damaged and not in the lake", entry.name)
        parsed = live_rows.parse([(entry.name, c) for entry, c in found if c is not None])
        rows = live_rows.in_log_order(self._connection, parsed.rows)
        rows, narrow = live_rows.check_widths(rows, self._widths)
        bad = (*parsed.bad, *narrow)
        stamps = rows["ts"].to_numpy()
        self._seen.refresh(stamps)  # the long first one without the lock
        with self._lake.lock():
            self._seen.refresh(stamps)
            in_clicks, anywhere = self._seen.known(rows["click_id"])
            new = rows.filter(pa.array(~in_clicks))
            at = self._clock()
            self._append(QUARANTINE.name, live_rows.quarantine(bad, at), batch)
            undecided = rows.filter(pa.array(~anywhere))
            self._append(DECISIONS.name, live_rows.decisions(undecided), batch)
            landed = self._append(CLICKS.name, live_rows.clicks(new, at), batch)
        batches.finish(self._spool, batch)
        self._landed_at = time.monotonic()
        self._count(landed, parsed.rows.num_rows - new.num_rows, bad)

    def _append(self, table: str, rows: list[pa.RecordBatch], batch: Batch) -> int:
        if not rows:
            return 0
        transaction = (f"live/{self._name}", batch.number)
        delta = self._lake.ready(table)
        self._commits = delta.version() + 1
        return self._lake.append(table, rows, transaction, exclusive=delta)

    def _count(self, landed: int, duplicates: int, bad: Sequence[Bad]) -> None:
        self.counts.batches += 1
        self.counts.clicks += landed
        self.counts.duplicates += duplicates
        self.counts.quarantined += len(bad)
        if bad:
            _LOG.warning(
                "%d lines went to quarantine, as %s: %s", len(bad), bad[0].file, bad[0].reason
            )

    def _spec_widths(self, version: str, digest: str) -> tuple[int, int] | None:
        try:
            spec = open_versions(self._lake).manifest(version).spec
        except BadInput:
            return None
        return (len(spec.facts), len(spec.reals)) if spec.digest == digest else None
