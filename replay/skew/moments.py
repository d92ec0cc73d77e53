"""The moments behind differences: changes of store epoch, and onsets that nothing explains."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from replay.compiled import Flags, Int64s
from replay.skew.judge import SHORT, SURPLUS, Judged, Seen
from replay.skew.lookups import Epoch
from replay.skew.reasons import CODES
from replay.skew.report import Flush, Onset
from replay.windows import NEVER

ONSETS_KEPT = 100
Parts = Sequence[tuple[Seen, Judged]]


@dataclass
class _Onset:
    """An onset that later clicks may still belong to."""

    kind: str
    after: int
    at: int
    click_id: str
    clicks: int = 0
    last: int = 0
    features: Counter[str] = field(default_factory=Counter)

    def frozen(self) -> Onset:
        return Onset(
            self.kind,
            self.after,
            self.at,
            self.click_id,
            self.clicks,
            self.last,
            _by_size(self.features),
        )


class Onsets:
    """Finds the fewest moments that account for the values without a reason, of each kind.

    Each such click says that the store lost (or gained) a click between its `since` and its own
    time. Intervals come by their end, so the end of the first one is a moment, and accounts for
    all that hold it; the next that does not hold it gives the next moment.
    """

    def __init__(self) -> None:
        self.left_out = 0
        self._kept: list[_Onset] = []
        self._open: dict[str, _Onset] = {}

    def add(self, times: Int64s, click_ids: pa.ChunkedArray, parts: Parts) -> None:
        """Take in a slice's clicks, in log order, and what was judged of those compared."""
        for kind in (SHORT, SURPLUS):
            given = [(seen, judged) for seen, judged in parts if kind in judged.since]
            if not given:
                continue
            since = np.full(len(times), NEVER, np.int64)
            for seen, judged in given:
                since[seen.places] = judged.since[kind]
            places = np.flatnonzero(since != NEVER)
            while len(places):
                places = self._take(kind, places, times, since, click_ids, given)

    def found(self) -> tuple[Onset, ...]:
        """Return the moments in order of time."""
        return tuple(o.frozen() for o in sorted(self._kept, key=lambda o: (o.at, o.kind)))

    def _take(
        self,
        kind: str,
        places: Int64s,
        times: Int64s,
        since: Int64s,
        click_ids: pa.ChunkedArray,
        parts: Parts,
    ) -> Int64s:
        """Account for the first places; return those that take another moment."""
        onset = self._open.get(kind)
        if onset is None or since[places[0]] >= onset.at:
            first = int(places[0])
            onset = _Onset(kind, int(since[first]), int(times[first]), str(click_ids[first]))
            self._open[kind] = onset
            if len(self._kept) < ONSETS_KEPT:
                self._kept.append(onset)
            else:
                self.left_out += 1
        later = since[places] >= onset.at
        count = int(np.argmax(later)) if later.any() else len(places)
        if times[places[0]] == onset.at:  # its own interval may be a point
            count = max(count, 1)
        mine = places[:count]
        onset.clicks += len(mine)
        onset.last = int(times[mine[-1]])
        onset.after = max(onset.after, int(since[mine].max()))
        for seen, judged in parts:
            chosen = np.isin(seen.places, mine)
            onset.features.update(_clicks_by_feature(seen, judged, chosen, "unexplained"))
        return places[count:]


@dataclass
class _Flush:
    epoch: Epoch
    reached: int = 0
    different: int = 0
    last: int | None = None
    features: Counter[str] = field(default_factory=Counter)


class Flushes:
    """Counts what each change of store epoch touched. The first epoch is no change."""

    def __init__(self, epochs: Sequence[Epoch]) -> None:
        self._rows = {epoch.name: _Flush(epoch) for epoch in epochs[1:]}

    def add(self, epochs: pa.ChunkedArray, parts: Parts) -> None:
        """Take in a slice; `epochs` has the store epoch of each of its clicks."""
        codes = epochs.combine_chunks().dictionary_encode(null_encoding="encode")
        numbers = np.asarray(codes.indices)
        for seen, judged in parts:
            for number, name in enumerate(codes.dictionary.to_pylist()):
                row = self._rows.get(name)
                mine = judged.flushed & (numbers[seen.places] == number)
                if row is None or not mine.any():
                    continue
                row.reached += int(mine.sum())
                row.last = int(seen.times[np.flatnonzero(mine)[-1]])
                differs = mine & (judged.codes == CODES["flush"]).any(axis=0)
                row.different += int(differs.sum())
                row.features.update(_clicks_by_feature(seen, judged, differs, "flush"))

    def found(self) -> tuple[Flush, ...]:
        """Return the changes in order of time."""
        return tuple(
            Flush(
                row.epoch.first,
                row.epoch.first_click,
                row.epoch.name,
                row.reached,
                row.different,
                row.last,
                _by_size(row.features),
            )
            for row in self._rows.values()
        )


def _clicks_by_feature(seen: Seen, judged: Judged, chosen: Flags, reason: str) -> dict[str, int]:
    counts = (judged.codes[:, chosen] == CODES[reason]).sum(axis=1).tolist()
    return {name: n for name, n in zip(seen.spec.names, counts, strict=True) if n}


def _by_size(counts: Counter[str]) -> dict[str, int]:
    return dict(counts.most_common())
