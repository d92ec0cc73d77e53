"""What `replay skew` found: frozen data, and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from replay.span import iso

TIMES = frozenset({"at", "after", "ts", "start", "end", "last"})


@dataclass(frozen=True)
class Example:
    """A differing value; `others` is how many more of the click's values differ."""

    reason: str
    ts: int
    click_id: str
    feature: str
    logged: float
    recomputed: float
    others: int


@dataclass(frozen=True)
class ReasonSkew:
    """Differences for one reason: clicks (each under its gravest reason alone), and values."""

    name: str
    clicks: int
    values: int


@dataclass(frozen=True)
class FeatureSkew:
    """One feature: values compared, and how many differ for which reason; the largest difference.

    `spec_digest` is given where the specs of the span define the name otherwise.
    """

    name: str
    spec_digest: str | None
    compared: int
    different: int
    reasons: Mapping[str, int]
    largest: Example | None


@dataclass(frozen=True)
class TimeSkew:
    """A stretch of time: clicks, and those of them compared, different and unexplained."""

    start: int
    clicks: int
    compared: int
    different: int
    unexplained: int


@dataclass(frozen=True)
class Flush:
    """A change of store epoch: its first click, and the clicks whose windows reach over it.

    `reached` clicks saw live clicks of another epoch, the last at `last` (null where none);
    `different` of them have values that differ for it, of `features` (name → clicks).
    """

    at: int
    click_id: str
    store_epoch: str | None
    reached: int
    different: int
    last: int | None
    features: Mapping[str, int]


@dataclass(frozen=True)
class Onset:
    """A moment from which on unexplained values fall short of the log, or exceed it.

    By `at`, that of `click_id`, the store had lost (or gained) clicks, not before `after`; that
    accounts for `clicks` differing clicks, the last at `last`, of `features` (name → clicks).
    """

    kind: str
    after: int
    at: int
    click_id: str
    clicks: int
    last: int
    features: Mapping[str, int]


@dataclass(frozen=True)
class Skew:
    """Logged features against recomputed ones, over a span.

    `clicks` = `compared` + the sum of `missing`; `compared` = `equal` + `different`. `outside` of
    the compared clicks have windows with other than live clicks of one store epoch.
    """

    start: int
    end: int
    clicks: int
    compared: int
    equal: int
    different: int
    unexplained: int
    outside: int
    missing: Mapping[str, int]
    specs: Mapping[str, int]
    reasons: tuple[ReasonSkew, ...]
    features: tuple[FeatureSkew, ...]
    times: tuple[TimeSkew, ...]
    bucket: int
    flushes: tuple[Flush, ...]
    onsets: tuple[Onset, ...]
    onsets_left_out: int
    examples: tuple[Example, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as one JSON document; times in UTC, `bucket` in s."""
        document: dict[str, Any] = _told(asdict(self))
        return {**document, "bucket": self.bucket / 1_000_000}


def _told(value: object, key: str = "") -> Any:  # noqa: ANN401
    """Write times as ISO 8601, and what is no number as null."""
    if isinstance(value, dict):
        return {name: _told(inner, name) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_told(inner) for inner in value]
    if key in TIMES and isinstance(value, int):
        return iso(value)
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
