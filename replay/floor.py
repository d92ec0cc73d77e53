"""The noise floor: what production's own versions decide of the same clicks, replayed.

Each click is decided again, on recomputed features, by the version that decided it in production
or, where that logged none, by the one that stood there. Where this differs from what production
logged, production saw other features than the log gives, or was away: that is no doing of the
version that is replayed. Only what differs beyond it is.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.engine import Features
from replay.production import Production
from replay.span import Span
from scorer.decisions import WORDS, Decisions, decide
from scorer.registry import ModelVersion

FLOOR_COLUMNS = ("floor_model", "floor_decision", "floor_probability", "floor_borderline")


class NoiseFloor:
    """Decides clicks again with production's own versions."""

    def __init__(
        self, history: Production, versions: Sequence[ModelVersion], device: str, threads: int
    ) -> None:
        self._history = history
        self._versions = {version.name: version for version in versions}
        self._device = device
        self._threads = threads

    def beside(
        self,
        rows: pa.Table,
        clicks: pa.Table,
        features: Mapping[str, Features],
        known: Mapping[str, Decisions],
    ) -> pa.Table:
        """Return `rows` with FLOOR_COLUMNS.

        `rows` are those of `clicks`, in order, with ts (µs) and production_model; `known` are
        decisions on all of them that are at hand, by version. `floor_model` is null where no
        version is known; the others are null there, and where it is not stored.
        """
        names = self._names(rows)
        codes = np.full(len(rows), -1, np.int8)
        probability = np.full(len(rows), np.nan, np.float32)
        borderline = np.zeros(len(rows), np.bool_)
        for name in pc.unique(names).drop_null().to_pylist():
            if (version := self._versions.get(name)) is None:
                continue
            places = np.flatnonzero(pc.equal(names, name).fill_null(False).to_numpy(False))
            if name in known:
                found = known[name].take(places)
            else:
                found = self._decide(version, places, clicks, features)
            codes[places] = found.codes
            probability[places] = found.probability
            borderline[places] = found.borderline
        decided = pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), WORDS)
        columns = (
            names,
            decided,
            pa.array(probability, from_pandas=True),
            pc.if_else(decided.is_valid(), pa.array(borderline), None),
        )
        for name, column in zip(FLOOR_COLUMNS, columns, strict=True):
            rows = rows.append_column(name, column)
        return rows

    def _names(self, rows: pa.Table) -> pa.Array:
        """Return the version of each click: that which decided it, or else that which stood."""
        logged = rows["production_model"].cast(pa.string()).combine_chunks()
        if not logged.null_count:
            return logged
        history = self._history.history
        stood = np.searchsorted([row.at for row in history], rows["ts"].to_numpy(), side="right")
        standing = pa.array([None, *(row.model_version for row in history)], pa.string())
        return pc.coalesce(logged, standing.take(pa.array(stood)))

    def _decide(
        self,
        version: ModelVersion,
        places: np.ndarray[tuple[int], np.dtype[np.int64]],
        clicks: pa.Table,
        features: Mapping[str, Features],
    ) -> Decisions:
        found = features[version.spec.digest]
        if len(places) < len(clicks):
            found, clicks = found.take(places), clicks.take(places)
        return decide(version, clicks, found.facts, found.reals, self._device, self._threads)


def standing_versions(history: Production, span: Span) -> list[str]:
    """Return the names of what stood in production at some time of a span."""
    first = history.at(span.start)
    later = [row.model_version for row in history.history if span.start < row.at < span.end]
    return list(dict.fromkeys([*([first] if first else []), *later]))
