"""The time features: sine and cosine of the local minute of day and weekday.

The values come from tables computed in float64 and cast to float32, so that the live service and a
replay read the same bits.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from scorer.spec import TimeParts

MINUTE = 60_000_000
DAY_MINUTES = 1440
WEEK_HOURS = 168
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0.


@cache
def _table(part: str) -> NDArray[np.float32]:
    """Return sin or cos of k / period turns, for each k; float64, cast once."""
    period = DAY_MINUTES if part.startswith("hour") else 7
    angles = 2.0 * np.pi * np.arange(period, dtype=np.float64) / period
    values = np.sin(angles) if part.endswith("sin") else np.cos(angles)
    return values.astype(np.float32)


def local_minutes(times: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """Return the local minute since the local epoch of each time (µs, UTC).

    >>> local_minutes(np.array([0, MINUTE - 1, MINUTE]), "Europe/Berlin").tolist()
    [60, 60, 61]
    """
    minutes = times // MINUTE
    if zone == "UTC":
        return minutes
    distinct, where = np.unique(minutes, return_inverse=True)
    return (distinct + _offsets(distinct, ZoneInfo(zone)))[where]


def _offsets(minutes: NDArray[np.int64], zone: ZoneInfo) -> NDArray[np.int64]:
    """Return each UTC minute's offset from UTC, in whole minutes, rounded down."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    moments = ((epoch + timedelta(minutes=int(m))).astimezone(zone) for m in minutes)
    return np.array([_offset(moment) for moment in moments], np.int64)


def _offset(moment: datetime) -> int:
    offset = moment.utcoffset()
    return 0 if offset is None else offset // timedelta(minutes=1)


def hours_of_week(times: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """Return the local hour of the week of each time (µs, UTC): 0 is Monday's first, to 167.

    >>> hours_of_week(np.array([0, 60 * MINUTE - 1, 60 * MINUTE]), "UTC").tolist()
    [72, 72, 73]
    """
    return (local_minutes(times, zone) // 60 + 24 * _EPOCH_WEEKDAY) % WEEK_HOURS


def time_features(times: NDArray[np.int64], spec: TimeParts, out: NDArray[np.float32]) -> None:
    """Write a row of `out` (parts, clicks) per part of the spec; `times` are µs, UTC.

    >>> out = np.zeros((2, 1), np.float32)
    >>> parts = TimeParts(parts=("hour_sin", "weekday_cos"))
    >>> time_features(np.array([6 * 60 * MINUTE]), parts, out)
    >>> out.ravel().tolist()
    [1.0, -0.9009688496589661]
    """
    minutes = local_minutes(times, spec.zone)
    weekdays = (minutes // DAY_MINUTES + _EPOCH_WEEKDAY) % 7
    for row, part in enumerate(spec.parts):
        index = minutes % DAY_MINUTES if part.startswith("hour") else weekdays
        np.take(_table(part), index, out=out[row])
