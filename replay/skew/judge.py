"""Compares the logged features of some clicks with the recomputed ones, and names the reasons."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replay.compiled import Flags, Int32s, Int64s
from replay.engine import Features
from replay.skew.lookups import Census, Lookups
from replay.skew.reasons import CODES, EQUAL, SLACK, Windowed, windowed
from replay.span import Span
from replay.windows import NEVER
from scorer.spec import Spec

Codes = NDArray[np.uint8]
Values = NDArray[np.int32] | NDArray[np.float32]
SHORT, SURPLUS = "short", "surplus"
FROM_LIVE, FROM_UNSTAMPED, FROM_ELSEWHERE = 0, 1, 2


@dataclass(frozen=True)
class Seen:
    """Clicks of one slice whose decisions carry features of one spec; a column per click.

    `log` has the recomputed features, `own_epoch` and `live` the windowed ones among the live
    clicks of the click's store epoch and among all live clicks. `origins` says where each click
    comes from (FROM_LIVE, …).
    """

    spec: Spec
    span: Span
    places: Int64s
    click_ids: pa.Array
    times: Int64s
    origins: NDArray[np.uint8]
    logged: Features
    log: Features
    own_epoch: Int32s
    live: Int32s

    def values(self, row: int) -> tuple[Values, Values]:
        """Return a feature's logged and recomputed values."""
        facts = len(self.spec.facts)
        if row < facts:
            return self.logged.facts[row], self.log.facts[row]
        return self.logged.reals[row - facts], self.log.reals[row - facts]


@dataclass(frozen=True)
class Judged:
    """A reason for each differing value (EQUAL elsewhere), a row per feature of the spec.

    `outside` marks the clicks whose windows hold other than live clicks of one store epoch, and
    `flushed` those whose windows hold live clicks of another. `since` tells of a click with values
    that are unexplained, and SHORT or SURPLUS, the first moment (µs) at which the store may have
    lost or gained a click; NEVER elsewhere.
    """

    codes: Codes
    outside: Flags
    flushed: Flags
    since: dict[str, Int64s] = field(default_factory=dict)


class Judge:
    """Judges slices of a span; `settled` (µs) is until when the log is complete."""

    def __init__(self, census: Census, lookups: Lookups, settled: int | None = None) -> None:
        self._census = census
        self._lookups = lookups
        self._settled = settled

    def judge(self, seen: Seen) -> Judged:
        """Compare the clicks' logged features with the log's."""
        features = windowed(seen.spec)
        codes = np.full((len(seen.spec.names), len(seen.places)), EQUAL, np.uint8)
        flushed = (seen.own_epoch != seen.live).any(axis=0) & (seen.origins == FROM_LIVE)
        foreign = (seen.live != seen.log.facts[: len(features)]).any(axis=0)
        outside = flushed | foreign | (seen.origins != FROM_LIVE)
        judged = Judged(codes, outside, flushed)
        for row, feature in enumerate(features):
            differs = np.flatnonzero(seen.logged.facts[row] != seen.log.facts[row])
            if len(differs):
                self._judge_windowed(seen, row, feature, differs, judged)
        profiles = {profile.name: profile for profile in seen.spec.profiles}
        for row, name in enumerate(seen.spec.names[len(features) :], len(features)):
            logged, log = seen.values(row)
            differs = np.flatnonzero(_unequal(logged, log))
            if not len(differs):
                continue
            codes[row, differs] = CODES["unexplained"]
            if name in profiles:
                stale = self._lookups.stale_profiles(
                    seen.span,
                    seen.click_ids.take(pa.array(differs)),
                    seen.times[differs],
                    profiles[name],
                    logged[differs].astype(np.float64),
                )
                codes[row, differs[stale]] = CODES["profile"]
        return judged

    def _judge_windowed(
        self, seen: Seen, row: int, feature: Windowed, at: Int64s, judged: Judged
    ) -> None:
        value, log, live, own_epoch = (
            feature.sign * rung[row, at]
            for rung in (seen.logged.facts, seen.log.facts, seen.live, seen.own_epoch)
        )
        found = np.full(len(at), CODES["unexplained"], np.uint8)
        between = (own_epoch <= value) & (value < log)
        found[between & (value < live)] = CODES["flush"]
        self._name(seen, feature, at, found, between & (value >= live))
        surplus = value > log
        self._excuse(seen, feature, at, found, value, surplus)
        found[seen.origins[at] == FROM_UNSTAMPED] = CODES["unstamped"]
        found[seen.origins[at] == FROM_ELSEWHERE] = CODES["late"]
        judged.codes[row, at] = found
        first, _ = _where(feature, seen.times[at], np.where(surplus, value, own_epoch))
        unexplained = found == CODES["unexplained"]
        for kind, mask in ((SHORT, value < own_epoch), (SURPLUS, surplus)):
            chosen = mask & unexplained
            if chosen.any():
                empty = np.full(len(seen.places), NEVER, np.int64)
                since = judged.since.setdefault(kind, empty)
                since[at[chosen]] = np.maximum(since[at[chosen]], first[chosen])

    def _name(
        self, seen: Seen, feature: Windowed, at: Int64s, found: Codes, lacking: Flags
    ) -> None:
        """Name what kind of clicks, not live, the store lacked."""
        found[lacking] = CODES["late" if self._census.others else "unstamped"]
        if self._census.others and self._census.unstamped:
            chosen = np.flatnonzero(lacking)
            times = seen.times[at[chosen]]
            near = self._near(seen, feature, at[chosen], feature.first_seen(times), times)
            found[chosen[near]] = CODES["unstamped"]

    def _excuse(
        self, seen: Seen, feature: Windowed, at: Int64s, found: Codes, value: Int32s, more: Flags
    ) -> None:
        """Name why the store may have counted clicks that the log lacks, if there is a reason."""
        times = seen.times[at]
        first, last = _where(feature, times, value)
        if self._settled is not None:
            found[more & (times >= self._settled)] = CODES["unsettled"]
        if self._census.unstamped:
            chosen = np.flatnonzero(more)
            bounds = first[chosen] - SLACK, last[chosen] + SLACK
            near = self._near(seen, feature, at[chosen], *bounds)
            found[chosen[near]] = CODES["retry"]
        found[more & (first < self._census.begins)] = CODES["cold"]

    def _near(
        self, seen: Seen, feature: Windowed, at: Int64s, first: Int64s, last: Int64s
    ) -> Flags:
        click_ids = seen.click_ids.take(pa.array(at))
        return self._lookups.unstamped_near(seen.span, click_ids, feature.entity, first, last)


def _where(feature: Windowed, times: Int64s, signed: Int32s) -> tuple[Int64s, Int64s]:
    """Return the first and last moment at which a click may be that the store lost or gained; µs.

    `signed` is the value with that click: a gap tells its very millisecond.
    """
    if feature.sign > 0:
        return feature.first_seen(times), times
    last: Int64s = times + 1000 * signed.astype(np.int64)
    return last - 999, last


def _unequal(one: Values, other: Values) -> Flags:
    """Tell which values have other bits; all that are no number are one."""
    same = (one.view(np.int32) == other.view(np.int32)) | ((one != one) & (other != other))
    return np.asarray(~same, np.bool_)
