"""Features by brute force: every click looks at every click before it. O(n²), and no tricks.

Written from the definition alone, one short function to a sentence of it, so that a reader can
check it by eye. Each function is also where a test seeds a mistake (`test_features_mistakes`).
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from replay.span import Span
from scorer.spec import Profile, Spec, Window

Row = Mapping[str, Any]
Profiles = Mapping[str, Sequence[Row]]  # "user" and "ip" -> rows of key, valid_from and columns
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def order(click: Row) -> tuple[int, int, str]:
    """Click i comes before click j when (ts, seq, click_id) does."""
    return click["ts"], click["seq"], click["click_id"]


def bucket(ts: int, resolution: int) -> int:
    """b(t) = floor(t / r).

    >>> bucket(59_999_999, 60_000_000), bucket(60_000_000, 60_000_000)
    (0, 1)
    """
    return ts // resolution


def buckets(window: Window) -> int:
    """n = L / r."""
    return window.length // window.resolution


def key(click: Row, entity: Sequence[str]) -> tuple[Any, ...] | None:
    """Return the click's value of an entity; None where a column of it is null."""
    values = tuple(click[column] for column in entity)
    return None if None in values else values


def past(log: Sequence[Row], i: int) -> Sequence[Row]:
    """Every j ≤ i: the click itself, and not those of the same ts that come later in log order."""
    return log[: i + 1]


def seen(log: Sequence[Row], i: int, entity: Sequence[str], window: Window) -> list[Row]:
    """{ j ≤ i : E_j = E_i, b(ts_j) > b(ts_i) − n }; none where E_i is null."""
    mine = key(log[i], entity)
    edge = bucket(log[i]["ts"], window.resolution) - buckets(window)
    return [
        click
        for click in past(log, i)
        if mine is not None
        and key(click, entity) == mine
        and bucket(click["ts"], window.resolution) > edge
    ]


def distinct(clicks: Sequence[Row], member: str) -> int:
    """Return the number of distinct non-null values of `member`."""
    return len({click[member] for click in clicks if click[member] is not None})


def whole_milliseconds(micros: int) -> int:
    """Whole milliseconds, rounded down."""
    return micros // 1000


def gap(log: Sequence[Row], i: int, entity: Sequence[str], cap_us: int) -> int:
    """Whole ms from E's previous click to this one, at most the cap; the cap where none is."""
    mine = key(log[i], entity)
    before = [c for c in past(log, i)[:i] if mine is not None and key(c, entity) == mine]
    cap = whole_milliseconds(cap_us)
    return min(cap, whole_milliseconds(log[i]["ts"] - before[-1]["ts"])) if before else cap


def local(ts: int, zone: str) -> datetime:
    """Return the time in the spec's zone."""
    return (EPOCH + timedelta(microseconds=ts)).astimezone(ZoneInfo(zone))


def time_part(part: str, ts: int, zone: str) -> float:
    """Sin or cos of the local minute of day over 1,440, or of the weekday, Monday 0, over 7."""
    here = local(ts, zone)
    turn = (here.hour * 60 + here.minute, 1440) if "hour" in part else (here.weekday(), 7)
    function = math.sin if part.endswith("sin") else math.cos
    return function(2 * math.pi * turn[0] / turn[1])


def known(valid_from: int, ts: int) -> bool:
    """Whether a snapshot holds at `ts`: valid_from ≤ ts."""
    return valid_from <= ts


def profile(click: Row, wanted: Profile, snapshots: Sequence[Row]) -> float:
    """Return the value in the key's latest snapshot that holds; the default where there is none."""
    mine = click[{"user": "user_id", "ip": "ip"}[wanted.table]]
    held = [s for s in snapshots if s["key"] == mine and known(s["valid_from"], click["ts"])]
    latest = max(held, key=lambda s: s["valid_from"]) if held else {}
    value = latest.get(wanted.column)
    return wanted.default if value is None else value


def features(
    spec: Spec, clicks: Sequence[Row], profiles: Profiles, span: Span
) -> dict[str, list[float]]:
    """Return feature name → its value for each click of the span, in log order."""
    log = sorted(clicks, key=order)
    asked = [i for i, click in enumerate(log) if span.start <= click["ts"] < span.end]
    rows = [_one(spec, log, i, profiles) for i in asked]
    return {name: [row[name] for row in rows] for name in spec.names}


def _one(spec: Spec, log: Sequence[Row], i: int, profiles: Profiles) -> dict[str, float]:
    click = log[i]
    row: dict[str, float] = {}
    for counts in spec.counts:
        for name, window in zip(counts.names, counts.parsed, strict=True):
            row[name] = len(seen(log, i, counts.entity, window))
    for group in spec.distincts:
        for name, window in zip(group.names, group.parsed, strict=True):
            row[name] = distinct(seen(log, i, group.entity, window), group.member)
    for wanted in spec.gaps:
        row[wanted.name] = gap(log, i, wanted.entity, wanted.cap_us)
    if spec.flags.logged_in:
        row["logged_in"] = int(click["logged_in"])
    for device in spec.flags.devices:
        row[f"device_{device}"] = int(click["device"] == device)
    for part in spec.time.parts if spec.time else ():
        row[part] = time_part(part, click["ts"], spec.time.zone if spec.time else "")
    for column in spec.profiles:
        row[column.name] = profile(click, column, profiles.get(column.table, ()))
    return row
