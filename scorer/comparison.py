"""Two stored versions side by side: what they were made of, and what was measured of each.

Each version was measured on the clicks that its own training held out, so two figures beside each
other are no paired difference: that takes the same clicks.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scorer.calibration import Calibration
from scorer.manifest import Manifest
from scorer.pooling import OVERALL
from scorer.spec import UNITS, Spec


@dataclass(frozen=True)
class Side:
    """A version as it is stored."""

    manifest: Manifest
    calibration: Calibration
    digest: str


@dataclass(frozen=True)
class Feature:
    """A feature and what it means to each version, in words; None where one has it not."""

    name: str
    first: str | None
    second: str | None


@dataclass(frozen=True)
class Measured:
    """A metric's value and the ends of its 95% interval; None where they are unknown."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Metric:
    """A metric of each version; None where one was never measured so."""

    name: str
    first: Measured | None
    second: Measured | None


@dataclass(frozen=True)
class SliceThreshold:
    """A slice's threshold in each version; `own` says whether it has one for just this slice."""

    name: str
    first: float
    second: float
    first_own: bool
    second_own: bool


@dataclass(frozen=True)
class Comparison:
    """Two versions: `features` are those that differ, `shared` counts the others."""

    first: Side
    second: Side
    same_weights: bool
    shared: int
    features: tuple[Feature, ...]
    metrics: tuple[Metric, ...]
    thresholds: tuple[SliceThreshold, ...]


def compare(first: Side, second: Side) -> Comparison:
    """Set two versions side by side."""
    mine, yours = first.manifest.spec.definitions, second.manifest.spec.definitions
    return Comparison(
        first,
        second,
        _weights_digest(first) == _weights_digest(second),
        sum(yours.get(name) == definition for name, definition in mine.items()),
        features(first.manifest.spec, second.manifest.spec),
        tuple(_metrics(first.manifest.metrics, second.manifest.metrics)),
        tuple(_thresholds(first.calibration, second.calibration)),
    )


def _weights_digest(side: Side) -> str:
    return side.manifest.files[side.manifest.weights].sha256


def features(first: Spec, second: Spec) -> tuple[Feature, ...]:
    """Return the features that one spec lacks or that mean another thing in it.

    >>> from scorer.spec import parse_spec
    >>> specs = [parse_spec({"counts": [{"entity": "ip", "windows": [w]}]}, w)
    ...     for w in ("1h@1m", "1h@15m")]
    >>> for each in features(*specs):
    ...     print(each.name, "|", each.first, "|", each.second)
    clicks_ip_1h | clicks of ip, 1h in steps of 1m | clicks of ip, 1h in steps of 15m
    """
    mine, yours = first.definitions, second.definitions
    return tuple(
        Feature(name, in_words(mine.get(name)), in_words(yours.get(name)))
        for name in dict.fromkeys((*mine, *yours))
        if mine.get(name) != yours.get(name)
    )


def in_words(definition: str | None) -> str | None:
    """Write a definition of `Spec.definitions` for people.

    >>> in_words('["gap", ["user_id"], 14400000000]')
    'gap of user_id, at most 4h'
    """
    match None if definition is None else json.loads(definition):
        case None:
            return None
        case ["counts", entity, _, length, resolution]:
            return f"clicks of {_columns(entity)}, {_window(length, resolution)}"
        case ["distincts", entity, member, length, resolution]:
            return f"distinct {member} of {_columns(entity)}, {_window(length, resolution)}"
        case ["gap", entity, cap]:
            return f"gap of {_columns(entity)}, at most {_length(cap)}"
        case ["time", zone]:
            return f"time in {zone}"
        case ["profile", _, default]:
            return f"profile, {json.dumps(default)} where unknown"
        case _:
            return "flag"


def _columns(entity: list[str]) -> str:
    return " and ".join(entity)


def _window(length: int, resolution: int) -> str:
    return f"{_length(length)} in steps of {_length(resolution)}"


def _length(micros: int) -> str:
    """Write µs in the largest of h, m, s that it is a whole number of."""
    unit = next(name for name in "hms" if micros % UNITS[name] == 0)
    return f"{micros // UNITS[unit]}{unit}"


def _metrics(
    first: Mapping[str, float | None], second: Mapping[str, float | None]
) -> Iterator[Metric]:
    """Yield each metric of both; `NAME_low` and `NAME_high` are the interval of NAME."""
    names = dict.fromkeys((*first, *second))
    ends = {f"{name}_{end}" for name in names for end in ("low", "high")}
    for name in names:
        if name not in ends:
            yield Metric(name, _measured(first, name), _measured(second, name))


def _measured(metrics: Mapping[str, float | None], name: str) -> Measured | None:
    if name not in metrics:
        return None
    return Measured(metrics[name], metrics.get(f"{name}_low"), metrics.get(f"{name}_high"))


def _thresholds(first: Calibration, second: Calibration) -> Iterator[SliceThreshold]:
    """Yield the overall threshold, then each slice's; a slice without one takes the overall."""
    yield SliceThreshold(OVERALL, first.overall, second.overall, first_own=True, second_own=True)
    for key in sorted({*first.slices, *second.slices}):
        yield SliceThreshold(
            key,
            first.threshold(key),
            second.threshold(key),
            first_own=key in first.slices,
            second_own=key in second.slices,
        )
