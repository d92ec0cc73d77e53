"""What is looked up for the few differing values that the ladder does not name.

Whether an unstamped click of the same entity lies in a stretch of time, which snapshot of a profile
the live cache may have had, and where the log's store epochs begin.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replay.compiled import Flags, Int64s
from replay.coverage import log_bounds
from replay.importing.landing import LEAD_MICROS
from replay.profiles import KEY_COLUMN
from replay.skew.reasons import LIVE, SLACK, UNSTAMPED
from replay.snapshot import MILLISECOND, Snapshot, connect, quoted
from replay.span import Span
from scorer.errors import Inconsistent
from scorer.spec import Profile

_STRAYS = """
WITH placed AS (
  SELECT number, first, last, {entity} FROM asked JOIN {clicks} USING (click_id)
),
strays AS (SELECT epoch_us(ts) AS at, {entity} FROM {around} WHERE source = '{unstamped}')
SELECT number FROM placed ASOF JOIN strays
  ON {same} AND placed.last >= strays.at
WHERE strays.at >= placed.first
"""

_PROFILES = """
WITH placed AS (
  SELECT number, a.ts, logged, {key} AS key FROM asked a JOIN {clicks} USING (click_id)
),
known AS (
  SELECT key, epoch_us(valid_from) AS since, landed,
    coalesce({column}::{kind}, {default}::{kind})::DOUBLE AS value
  FROM read_parquet([{files}], hive_partitioning = false, union_by_name = true, filename = true)
  JOIN landings USING (filename)
  WHERE key IN (SELECT key FROM placed)
),
punctual AS (
  SELECT number, max(since) AS since FROM placed JOIN known USING (key)
  WHERE since <= ts AND landed + {lead} <= since GROUP BY number
),
latest AS (SELECT placed.*, punctual.since FROM placed LEFT JOIN punctual USING (number))
SELECT number FROM latest WHERE since IS NULL AND logged = {default}::{kind}::DOUBLE
UNION
SELECT number FROM latest l JOIN known k USING (key)
WHERE k.since <= l.ts AND (l.since IS NULL OR k.since >= l.since) AND k.value = l.logged
"""


@dataclass(frozen=True)
class Epoch:
    """A store epoch: its first click in log order (of those read), and how many it has."""

    name: str | None
    first: int
    first_click: str
    clicks: int


@dataclass(frozen=True)
class Census:
    """What the clicks of a span and its look-back are; `begins` is the log's first ts (µs).

    `epochs` are those of live clicks, in order of their first click.
    """

    begins: int
    epochs: tuple[Epoch, ...]
    unstamped: int
    others: int

    @property
    def flushed(self) -> bool:
        """Whether a window may reach over a change of store epoch."""
        return len(self.epochs) > 1

    @property
    def mixed(self) -> bool:
        """Whether a window may hold clicks that are not live."""
        return self.unstamped + self.others > 0


def take_census(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, seen: Span) -> Census:
    """Count the clicks of a span by source and epoch; raise OutsideLog where the log is empty.

    Sources are counted up to SLACK outside of the span.
    """
    around = snapshot.source("clicks", Span(seen.start - SLACK, seen.end + SLACK))
    counts = dict(
        connection.sql(f"SELECT source, count(*) FROM {around} GROUP BY 1").fetchall(),
    )
    source = snapshot.source("clicks", seen)
    epochs = connection.sql(
        f"""
        SELECT store_epoch, epoch_us(min(ts)) AS first, count(*) FROM {source}
        WHERE source = '{LIVE}' GROUP BY 1 ORDER BY first, 1
        """
    ).fetchall()
    others = sum(clicks for name, clicks in counts.items() if name not in (LIVE, UNSTAMPED))
    return Census(
        log_bounds(connection, snapshot).first,
        tuple(
            Epoch(name, first, _first_click(connection, snapshot, name, first), clicks)
            for name, first, clicks in epochs
        ),
        counts.get(UNSTAMPED, 0),
        others,
    )


def _first_click(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, epoch: str | None, first: int
) -> str:
    found = connection.execute(
        f"SELECT click_id FROM {snapshot.source('clicks', Span(first, first + 1))} "
        f"WHERE source = '{LIVE}' AND store_epoch IS NOT DISTINCT FROM $1 "
        "ORDER BY seq, click_id LIMIT 1",
        [epoch],
    ).fetchone()
    return str(found[0]) if found else ""


class Lookups:
    """Looks things up for some clicks of a span, slice by slice."""

    def __init__(self, snapshot: Snapshot, threads: int = 2) -> None:
        self._snapshot = snapshot
        self._connection = connect(threads)
        self._landings: dict[str, pa.Table] = {}

    def unstamped_near(
        self, span: Span, click_ids: pa.Array, entity: tuple[str, ...], first: Int64s, last: Int64s
    ) -> Flags:
        """Tell for each click of `span` whether its entity has an unstamped one in [first, last].

        Times in µs.
        """
        if not len(click_ids):
            return np.zeros(0, np.bool_)
        around = Span(int(first.min()), int(last.max()) + 1)
        query = _STRAYS.format(
            entity=", ".join(entity),
            same=" AND ".join(f"placed.{column} = strays.{column}" for column in entity),
            clicks=self._snapshot.source("clicks", span),
            around=self._snapshot.source("clicks", around),
            unstamped=UNSTAMPED,
        )
        return self._found(query, {"click_id": click_ids, "first": first, "last": last})

    def stale_profiles(
        self,
        span: Span,
        click_ids: pa.Array,
        times: Int64s,
        profile: Profile,
        logged: NDArray[np.float64],
    ) -> Flags:
        """Tell which logged values the live cache may have had in good order.

        A snapshot that landed LEAD_MICROS before its valid_from supersedes the ones before it; one
        that landed later may have come too late, or not: then an older value is no surprise.
        """
        if not len(click_ids):
            return np.zeros(0, np.bool_)
        table = f"profiles_{profile.table}"
        pin = self._snapshot.pinned[table]
        default = float(profile.default)
        if not pin.files:
            return np.asarray(logged == default, np.bool_)
        if table not in self._landings:
            self._landings[table] = landings(self._snapshot, table)
        self._connection.register("landings", self._landings[table])
        query = _PROFILES.format(
            key=KEY_COLUMN[profile.table],
            clicks=self._snapshot.source("clicks", span),
            column=profile.column if profile.column in pin.schema.names else "NULL",
            kind="BOOLEAN::INTEGER" if profile.is_flag else "FLOAT",
            default=f"'{default!r}'::DOUBLE",
            files=", ".join(quoted(file.path) for file in pin.files),
            lead=LEAD_MICROS,
        )
        return self._found(query, {"click_id": click_ids, "ts": times, "logged": logged})

    def _found(self, query: str, asked: Mapping[str, object]) -> Flags:
        """Run a query over numbered rows; tell which of them it returns."""
        rows = len(next(iter(asked.values())))  # type: ignore[arg-type]
        self._connection.register("asked", pa.table({"number": np.arange(rows), **asked}))
        numbers = self._connection.sql(query).to_arrow_table()["number"].to_numpy()
        self._connection.unregister("asked")
        found = np.zeros(rows, np.bool_)
        found[numbers] = True
        return found


def landings(snapshot: Snapshot, name: str) -> pa.Table:
    """Return when each file of a table came into the lake: filename, landed (µs).

    The commits say so, whose log is never cleaned up. A compaction lands nothing new.
    """
    folder = snapshot.lake.home / name
    landed: dict[str, int] = {}
    for version in range(snapshot.pinned[name].version + 1):
        commit = folder / "_delta_log" / f"{version:020d}.json"
        try:
            _land([json.loads(line) for line in commit.read_text().splitlines()], landed)
        except (OSError, ValueError, KeyError) as exc:
            raise Inconsistent(
                f"{commit}, a commit of table {name}, cannot be read: {exc}; "
                "restore it from a copy of the lake"
            ) from exc
    return pa.table(
        {
            "filename": [str(folder / path) for path in landed],
            "landed": np.array(list(landed.values()), np.int64),
        }
    )


def _land(actions: Sequence[Mapping[str, Any]], landed: dict[str, int]) -> None:
    """Take in one commit."""
    at = max(a["commitInfo"]["timestamp"] * MILLISECOND for a in actions if "commitInfo" in a)
    gone = [landed[unquote(a["remove"]["path"])] for a in actions if "remove" in a]
    for action in actions:
        if "add" in action:
            landed[unquote(action["add"]["path"])] = max(gone, default=at)
