"""A click's features in the live service: the store's counters, and what needs no store."""

from collections.abc import Sequence
from operator import itemgetter

import numpy as np

from scorer.calendar import MINUTE, time_features
from scorer.serving.clicks import Click
from scorer.serving.ports import Profiles
from scorer.spec import Profile, Spec, TimeParts
from scorer.store.layout import Layout

PROFILE_KEYS = {"user": "user_id", "ip": "ip"}


class LiveFeatures:
    """Puts one spec's features together, in its order, as a replay does from the log."""

    def __init__(self, spec: Spec, layout: Layout, profiles: Profiles) -> None:
        places = layout.places(spec)
        # An itemgetter of one place gives no tuple, and of none does not exist.
        self._windowed = itemgetter(*places) if len(places) > 1 else None
        self._places = places
        self._logged_in = spec.flags.logged_in
        self._devices = spec.flags.devices
        self._time = spec.time
        self._minute = -1
        self._minute_values: tuple[float, ...] = ()
        self._profiles = profiles
        self._flags = tuple(p for p in spec.profiles if p.is_flag)
        self._numbers = tuple(p for p in spec.profiles if not p.is_flag)

    def facts(self, click: Click, values: Sequence[int], ts: int) -> list[int]:
        """Return the int32 features of a click with these values of the store's layout."""
        found = [*self._windowed(values)] if self._windowed else [values[p] for p in self._places]
        if self._logged_in:
            found.append(int(click.logged_in))
        found += [int(click.device == device) for device in self._devices]
        found += [int(self._profile(profile, click, ts)) for profile in self._flags]
        return found

    def reals(self, click: Click, ts: int) -> list[float]:
        """Return the float32 features of a click, as numbers that float32 holds exactly."""
        minute = ts // MINUTE
        if self._time and minute != self._minute:
            self._minute_values = minute_features(minute, self._time)
            self._minute = minute
        found = [*self._minute_values]
        found += [self._profile(profile, click, ts) for profile in self._numbers]
        return found

    def _profile(self, profile: Profile, click: Click, ts: int) -> float:
        key: str | None = getattr(click, PROFILE_KEYS[profile.table])
        return self._profiles.value(profile, key, ts)


def minute_features(minute: int, parts: TimeParts) -> tuple[float, ...]:
    """Return the time features of a minute since the epoch, UTC.

    >>> minute_features(6 * 60, TimeParts(parts=("hour_sin", "weekday_cos")))
    (1.0, -0.9009688496589661)
    """
    out = np.zeros((len(parts.parts), 1), np.float32)
    time_features(np.array([minute * MINUTE], np.int64), parts, out)
    return tuple(out.ravel().tolist())
