"""Sums what the judge says of each slice; memory follows features and stretches of time."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from replay.compiled import Int64s
from replay.skew.judge import Judged, Seen
from replay.skew.moments import Parts
from replay.skew.reasons import CODES, EQUAL, REASONS
from replay.skew.report import Example, FeatureSkew, ReasonSkew, TimeSkew
from replay.span import Span

SECOND = 1_000_000
BUCKETS = tuple(
    SECOND * k
    for k in (1, 10, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000)
)
BUCKETS_SHOWN = 60
NOT_COMPARED = EQUAL + 1


def choose_bucket(span: Span) -> int:
    """Return the shortest usual length that cuts a span into 60 pieces or fewer; µs.

    >>> [choose_bucket(Span(0, seconds * SECOND)) // SECOND for seconds in (60, 61, 86_400)]
    [1, 10, 1800]
    """
    fitting = (length for length in BUCKETS if span.length <= length * BUCKETS_SHOWN)
    return next(fitting, BUCKETS[-1])


@dataclass
class _Feature:
    name: str
    digest: str
    compared: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    largest: Example | None = None
    size: float = -1.0


class Tally:
    """Takes slices in log order."""

    def __init__(self, span: Span, examples: int) -> None:
        """`examples` is how many to keep of each reason."""
        self.clicks: Counter[int] = Counter()
        self.outside = 0
        self.bucket = choose_bucket(span)
        self._most = examples
        self._features: dict[tuple[str, str], _Feature] = {}
        self._examples: dict[str, list[Example]] = {name: [] for name in REASONS}
        self._start = span.start // self.bucket * self.bucket
        pieces = (span.end - 1 - self._start) // self.bucket + 1
        self._times = np.zeros((4, pieces), np.int64)

    def add(self, times: Int64s, parts: Parts) -> None:
        """Take in a slice: its clicks' times (µs), and what was judged of those compared."""
        worst = np.full(len(times), NOT_COMPARED, np.uint8)
        for seen, judged in parts:
            self._add_features(seen, judged)
            self.outside += int(judged.outside.sum())
            worst[seen.places] = judged.codes.min(axis=0)
        self.clicks.update(dict(enumerate(np.bincount(worst, minlength=NOT_COMPARED).tolist())))
        numbers = (times - self._start) // self.bucket
        masks = (worst <= NOT_COMPARED, worst <= EQUAL, worst < EQUAL, worst == 0)
        for row, mask in enumerate(masks):
            self._times[row] += np.bincount(numbers[mask], minlength=self._times.shape[1])
        for name, code in CODES.items():
            found = self._examples[name]
            for place in np.flatnonzero(worst == code)[: self._most - len(found)].tolist():
                found.append(_example_at(place, code, parts))

    def _add_features(self, seen: Seen, judged: Judged) -> None:
        for row, name in enumerate(seen.spec.names):
            key = name, seen.spec.definitions[name]
            feature = self._features.setdefault(key, _Feature(name, seen.spec.digest))
            feature.compared += len(seen.places)
            differs = np.flatnonzero(judged.codes[row] != EQUAL)
            if not len(differs):
                continue
            counts = np.bincount(judged.codes[row, differs], minlength=EQUAL).tolist()
            feature.reasons.update(dict(zip(REASONS, counts, strict=True)))
            logged, log = seen.values(row)
            sizes = np.abs(logged[differs].astype(np.float64) - log[differs])
            sizes[np.isnan(sizes)] = np.inf
            largest = int(np.argmax(sizes))
            if sizes[largest] > feature.size:
                feature.size = float(sizes[largest])
                feature.largest = _example(seen, judged, row, int(differs[largest]))

    @property
    def compared(self) -> int:
        """How many clicks were compared."""
        return self.clicks.total() - self.clicks[NOT_COMPARED]

    @property
    def equal(self) -> int:
        """How many clicks have equal features."""
        return self.clicks[EQUAL]

    @property
    def unexplained(self) -> int:
        """How many clicks differ without a reason."""
        return self.clicks[CODES["unexplained"]]

    def reasons(self) -> tuple[ReasonSkew, ...]:
        """Return the differences by reason, those without one first."""
        values: Counter[str] = Counter()
        for feature in self._features.values():
            values.update(feature.reasons)
        return tuple(
            ReasonSkew(name, self.clicks[code], values[name])
            for name, code in CODES.items()
            if values[name]
        )

    def features(self) -> tuple[FeatureSkew, ...]:
        """Return the differences by feature, in the order of the specs."""
        names = Counter(name for name, _ in self._features)
        return tuple(
            FeatureSkew(
                feature.name,
                feature.digest if names[feature.name] > 1 else None,
                feature.compared,
                feature.reasons.total(),
                {name: n for name, n in feature.reasons.items() if n},
                feature.largest,
            )
            for feature in self._features.values()
        )

    def times(self) -> tuple[TimeSkew, ...]:
        """Return the differences over time, in order; stretches without a click too."""
        return tuple(
            TimeSkew(self._start + number * self.bucket, *counts)
            for number, counts in enumerate(self._times.T.tolist())
        )

    def examples(self) -> tuple[Example, ...]:
        """Return the first clicks of each reason, in log order."""
        return tuple(example for found in self._examples.values() for example in found)


def _example_at(place: int, code: int, parts: Parts) -> Example:
    """Return the first value of a click that differs for this reason."""
    for seen, judged in parts:
        at = int(np.searchsorted(seen.places, place))
        if at < len(seen.places) and seen.places[at] == place:
            return _example(seen, judged, int(np.argmax(judged.codes[:, at] == code)), at)
    raise LookupError(place)


def _example(seen: Seen, judged: Judged, row: int, at: int) -> Example:
    logged, log = seen.values(row)
    return Example(
        list(REASONS)[judged.codes[row, at]],
        int(seen.times[at]),
        str(seen.click_ids[at]),
        seen.spec.names[row],
        logged[at].item(),
        log[at].item(),
        int((judged.codes[:, at] != EQUAL).sum()) - 1,
    )


def differing_values(parts: Parts) -> list[pa.Table]:
    """Return the differing values of a slice, each feature's in log order."""
    return [
        pa.table(
            {
                "ts": seen.times[at],
                "click_id": seen.click_ids.take(pa.array(at)),
                "spec_digest": pa.repeat(seen.spec.digest, len(at)),
                "feature": pa.repeat(name, len(at)),
                "logged": seen.values(row)[0][at].astype(np.float64),
                "recomputed": seen.values(row)[1][at].astype(np.float64),
                "reason": np.array(list(REASONS))[judged.codes[row, at]],
            }
        )
        for seen, judged in parts
        for row, name in enumerate(seen.spec.names)
        for at in [np.flatnonzero(judged.codes[row] != EQUAL)]
        if len(at)
    ]
