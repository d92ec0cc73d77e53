"""Features as a store would have them that counts what it is given, chunk by chunk.

`Counters` is one window state of a spec. `LiveStore` is what the live service read: it counts what
reached it, as its clock said, and forgets what it forgot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from replay.engine import FeatureEngine, Features, encoded_columns, plain_columns
from replay.reader import SliceRows
from replay.snapshot import Snapshot
from replay.span import Span
from scorer.spec import Spec
from simulator.draw import Flags, Ints
from simulator.fault import Incident


class Counters:
    """One spec's window state; profiles are those of `snapshot`."""

    def __init__(self, snapshot: Snapshot, spec: Spec, threads: int) -> None:
        self._engine = FeatureEngine(snapshot, spec, threads)
        self._keys, self._plain = encoded_columns(spec), plain_columns(spec)
        self._reached: int | None = None

    def advance(self, clicks: pa.Table, ts: Ints, span: Span, *, wanted: bool) -> Features:
        """Count clicks, in order, at `ts` (µs); return their features where they are `wanted`.

        `clicks` has the columns of the table, `span` is the time that passes.
        """
        start = span.start if self._reached is None else self._reached
        last = int(ts[-1]) + 1 if len(ts) else start
        passed = Span(start, max(span.end, last, start + 1))  # a wrong clock may be past the span
        self._reached = passed.end
        plain = pa.table({"ts": ts, **{name: clicks[name] for name in self._plain}})
        keys = pa.table({name: clicks[name].dictionary_encode() for name in self._keys})
        return self._engine.advance(passed, SliceRows(plain, keys, None), wanted=wanted)


@dataclass
class _Era:
    """The store from one loss of counts to the next: it lacks what was `lost` until then."""

    counters: Counters
    span: Span
    lost: tuple[Span, ...]

    def counts(self, passing: Span, look_back: int) -> bool:
        """Whether clicks of a chunk's time matter to its windows and were not lost."""
        near = self.span.start - look_back < passing.end and passing.start < self.span.end
        return near and not any(span.start <= passing.start < span.end for span in self.lost)


class LiveStore:
    """What the live store counted, by the incidents of a timeline."""

    def __init__(
        self,
        snapshot: Snapshot,
        spec: Spec,
        timeline: Sequence[Incident],
        span: Span,
        threads: int,
    ) -> None:
        """`span` is the simulated time."""
        self._look_back = spec.look_back
        self._again = [each for each in timeline if each.fault.again]
        self._copies: list[tuple[pa.Table, Ints]] = []
        losses = [each for each in timeline if each.fault.forgets and each.span.start < span.end]
        starts = [span.start, *(each.span.start for each in losses), span.end]
        lost = [Span(each.span.start - each.fault.forgets, each.span.start) for each in losses]
        self._eras = [
            _Era(Counters(snapshot, spec, threads), Span(start, end), tuple(lost[:number]))
            for number, (start, end) in enumerate(pairwise(starts))
            if start < end
        ]

    def advance(
        self, clicks: pa.Table, ts: Ints, counted: Flags, span: Span, present: Sequence[Incident]
    ) -> Features | None:
        """Count a chunk's clicks that were `counted`; return their features, None where none was.

        `clicks` are all of the chunk's, stamped `ts` (µs); `present` the incidents that go on.
        """
        places = np.flatnonzero(counted)
        clicks, ts = clicks.take(places), ts[places]
        again = max((each.fault.again for each in present), default=0)
        if again:
            self._copies.append((clicks, ts + again))
        copies = self._due(span)
        if not len(places):
            return None
        fed = pa.concat_tables([clicks, *(rows for rows, _ in copies)])
        times = np.concatenate([ts, *(late for _, late in copies)])
        order = np.argsort(times, kind="stable")
        fed, times = fed.take(order), times[order]
        found = None
        for era in self._eras:
            if era.counts(span, self._look_back):
                present_era = era.span.start <= span.start
                features = era.counters.advance(fed, times, span, wanted=present_era)
                found = features if present_era else found
        if found is None or not copies:
            return found
        back = np.argsort(order, kind="stable")[: len(places)]
        return found.take(back)

    def _due(self, span: Span) -> list[tuple[pa.Table, Ints]]:
        """Return the copies that come in `span`, and keep the later ones."""
        due, later = [], []
        for rows, ts in self._copies:
            now = int(np.searchsorted(ts, span.end))
            due.append((rows.slice(0, now), ts[:now]))
            later.append((rows.slice(now), ts[now:]))
        self._copies = [copy for copy in later if len(copy[1])]
        return [copy for copy in due if len(copy[1])]
