"""What `store-memory` measured, as data and as Markdown."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.machine import Machine

MIB = 1 << 20


@dataclass(frozen=True)
class Kept:
    """What one key of a habit takes: all its keys in Redis, sorted sets of members included.

    `grown` is the growth of used_memory by key, `said` the sum of MEMORY USAGE by key, `windows`
    the mean length of each field of its hash; bytes all. `cpu` is Redis's time by click in µs.
    """

    kind: str
    habit: str
    clicks: str
    limit: int
    grown: float
    said: float
    encodings: str
    windows: dict[str, float]
    cpu: float


@dataclass(frozen=True)
class Day:
    """A mixed day: sizes in bytes, `entities` by kind, fork time in µs, expiry in seconds.

    `copied` is what a fork had to copy; `sent` what a click sends to each replica.
    """

    clicks: int
    limit: int
    entities: dict[str, int]
    used: int
    resident: int
    cpu: float
    fork: int
    copied: int
    sent: float
    file: int
    expired_in: float
    used_after: int
    resident_after: int


def markdown(
    machine: Machine, version: str, kept: list[Kept], remembered: float, days: list[Day]
) -> Iterator[str]:
    """Write everything that was measured."""
    yield f"## The live store's memory, {machine.date}"
    yield ""
    yield f"- machine: {machine.processor}, {machine.cores} cores, {machine.system}"
    yield f"- Redis {version}; the default spec; a day of clicks"
    yield ""
    yield "Bytes by entity: the growth of used memory, and MEMORY USAGE of its keys; *limit* is"
    yield "`hash-max-listpack-value`, *processor* what Redis takes by click:"
    yield ""
    yield "| entity | habit | clicks | limit | used | MEMORY USAGE | processor | kept as |"
    yield "|---|---|--:|--:|--:|--:|--:|---|"
    for row in kept:
        yield (
            f"| {row.kind} | {row.habit} | {row.clicks} | {row.limit} | {row.grown:,.0f} "
            f"| {row.said:,.0f} | {row.cpu:.0f} µs | {row.encodings} |"
        )
    yield ""
    yield f"A remembered click id takes {remembered:.0f} bytes for ten minutes."
    yield ""
    yield "Bytes of each window by entity, as written:"
    yield ""
    names = ["60@1", "600@10", "3600@60", "86400@900", "ts"]
    yield f"| entity | habit | {' | '.join(names)} |"
    yield f"|---|---|{'--:|' * len(names)}"
    for row in kept:
        if row.limit == kept[0].limit:
            cells = (f"{row.windows.get(name, 0):,.0f}" for name in names)
            yield f"| {row.kind} | {row.habit} | {' | '.join(cells)} |"
    for day in days:
        yield ""
        yield from _day(day)


def _day(day: Day) -> Iterator[str]:
    entities = sum(day.entities.values())
    counts = ", ".join(f"{number:,} by {kind}" for kind, number in day.entities.items())
    users = day.entities["user_id"]
    yield f"A mixed day of {day.clicks:,} clicks, limit {day.limit}:"
    yield ""
    yield f"- {entities:,} entities: {counts}"
    yield (
        f"- {day.used / MIB:,.0f} MiB used, {day.used / entities:,.0f} bytes by entity, "
        f"{day.used / users:,.0f} by active user; {day.resident / MIB:,.0f} MiB resident"
    )
    yield f"- a click takes {day.cpu:.0f} µs of Redis and sends each replica {day.sent:,.0f} bytes"
    yield (
        f"- a fork of {day.fork / 1000:.1f} ms; {day.copied / MIB:,.0f} MiB were copied while "
        f"{day.clicks // 40:,} clicks came; a snapshot of {day.file / MIB:,.0f} MiB"
    )
    yield (
        f"- all expired at once: freed in {day.expired_in:.1f} s; {day.used_after / MIB:,.0f} MiB "
        f"used, {day.resident_after / MIB:,.0f} MiB resident"
    )
