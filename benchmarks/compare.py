"""Compares an engine's answers with ours before it is timed.

An exact engine's must be equal, on every click and feature. One that is wrong on ties may differ
only in windows, and there only where a later click of the same entity has the same time (or
bucket), and only by counting too many.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from benchmarks.clicks import FIRST_ROBOT
from benchmarks.source import PLACE, Engine, Source
from replay.snapshot import connect
from scorer.spec import Counts, Distincts, Spec, Window

Answer = dict[str, NDArray[Any]]
Flags = NDArray[np.bool_]


class WrongAnswerError(Exception):
    """An engine's answers differ from ours where they must not."""


@dataclass(frozen=True)
class Wrong:
    """Shares of clicks with a wrong feature: any, and the clicks of an ip in an hour."""

    any_feature: float
    clicks_ip_1h: float
    any_feature_robots: float
    clicks_ip_1h_robots: float


def gather(pieces: Iterable[pa.Table]) -> Answer:
    """Return an engine's features in log order, an array each."""
    table = pa.concat_tables(pieces)
    names = [name for name in table.column_names if name != PLACE]
    if len(names) == len(table.column_names):
        return {name: table[name].to_numpy() for name in names}
    order = np.argsort(table[PLACE].to_numpy())
    return {name: table[name].to_numpy()[order] for name in names}


class Log:
    """What tells ties from mistakes: each click's time, entities, and whether a robot made it."""

    def __init__(self, source: Source) -> None:
        """Read them in log order."""
        entities = list(dict.fromkeys(entity[0] for entity in source.spec.entities))
        with connect(memory_limit="90%") as connection:
            rows = _read(connection, source, entities)
        self.times = rows["t"].to_numpy()
        self.robots: Flags = pc.greater_equal(rows["user_id"], FIRST_ROBOT).to_numpy()
        self._codes = {
            entity: rows[entity].combine_chunks().dictionary_encode().indices.to_numpy()
            for entity in entities
        }
        self._orders = {e: np.argsort(c, kind="stable") for e, c in self._codes.items()}

    def tied_share(self, entity: str) -> float:
        """Return the share of clicks that a later click of the same entity shares its µs with."""
        return float(self.later_in_same(entity, 1).mean())

    def later_in_same(self, entity: str, length: int) -> Flags:
        """Say for each click whether a later one of its entity lies in its bucket (µs)."""
        order = self._orders[entity]
        codes, buckets = self._codes[entity][order], self.times[order] // length
        found = np.zeros(len(order), np.bool_)
        found[order[:-1]] = (codes[1:] == codes[:-1]) & (buckets[1:] == buckets[:-1])
        return found


def _read(
    connection: duckdb.DuckDBPyConnection, source: Source, entities: Sequence[str]
) -> pa.Table:
    columns = ", ".join(entities)
    return connection.sql(
        f"SELECT epoch_us(ts) AS t, {columns} FROM {source.snapshot.source('clicks')}"
        " ORDER BY ts, seq, click_id"
    ).to_arrow_table()


def check(engine: Engine, ours: Answer, theirs: Answer, log: Log, spec: Spec) -> Wrong | None:
    """Raise WrongAnswerError where theirs may not differ; else say where it does, if it may."""
    if set(theirs) != set(engine.features):
        raise WrongAnswerError(f"{engine.form}: features {sorted(theirs)}")
    windows = {name: (entity, window) for name, entity, window in _windowed(spec)}
    wrong = np.zeros(len(log.times), np.bool_)
    hour = wrong.copy()
    for name in engine.features:
        differs = ours[name] != theirs[name]
        allowed = np.zeros(1, np.bool_)
        if name in windows and engine.ties != "none":
            entity, window = windows[name]
            shared = 1 if engine.ties == "time" else window.resolution
            allowed = log.later_in_same(entity, shared) & (theirs[name] > ours[name])
        _refuse(engine.form, name, differs & ~allowed, ours, theirs)
        wrong |= differs
        hour = differs if name == "clicks_ip_1h" else hour
    if engine.ties == "none":
        return None
    shares = (wrong, hour, wrong[log.robots], hour[log.robots])
    return Wrong(*(float(flags.mean()) if len(flags) else 0.0 for flags in shares))


def _windowed(spec: Spec) -> Iterator[tuple[str, str, Window]]:
    groups: Sequence[Counts | Distincts] = (*spec.counts, *spec.distincts)
    for group in groups:
        for name, window in zip(group.names, group.parsed, strict=True):
            yield name, group.entity[0], window


def _refuse(form: str, name: str, bad: Flags, ours: Answer, theirs: Answer) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise WrongAnswerError(
            f"{form}: {name} differs on {int(bad.sum()):,} clicks; the first, at place {row} in"
            f" log order, is {theirs[name][row]}, ours {ours[name][row]}"
        )
