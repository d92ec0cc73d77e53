"""Features by DuckDB windows, in exact log order.

A frame of the rows "in my bucket or the n − 1 before it, and not after me in log order" needs one
ordering key that holds both: bucket · 2³³ + position. `2^33` would be a DOUBLE, which loses the low
bits at today's dates, so the factor is written out, and buckets count from the log's first one.
Times are integers (µs); the zone is applied by DuckDB's own calendar, not by Python's.
"""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from replay.snapshot import connect
from replay.span import Span
from scorer.spec import Gap, Profile, Spec, Window

POSITIONS = "8589934592::BIGINT"


def features(
    spec: Spec, clicks: pa.Table, profiles: Mapping[str, pa.Table], span: Span
) -> pa.Table:
    """Return a table with a column for each feature of the spec; rows are the span's, in order."""
    with connect(threads=2, memory_limit="4GB") as connection:
        connection.register("clicks", clicks)
        connection.execute(
            "CREATE TABLE log AS SELECT *, epoch_us(ts) AS t,"
            " row_number() OVER (ORDER BY ts, seq, click_id) AS rn FROM clicks"
        )
        joins = ""
        for table, column in (("user", "user_id"), ("ip", "ip")):
            if table in profiles:
                connection.register(f"profiles_{table}", profiles[table])
                joins += (
                    f" ASOF LEFT JOIN profiles_{table} AS {table}_now"
                    f" ON log.{column} = {table}_now.key AND log.ts >= {table}_now.valid_from"
                )
        first = connection.sql("SELECT coalesce(min(t), 0) FROM log").fetchall()[0][0]
        columns = ", ".join(_columns(spec, first, profiles))
        every = f"SELECT rn, t, {columns} FROM log{joins}"
        names = ", ".join(f'"{name}"' for name in spec.names)
        return connection.sql(
            f"SELECT {names} FROM ({every}) WHERE t >= {span.start} AND t < {span.end} ORDER BY rn"
        ).to_arrow_table()


def _columns(spec: Spec, first: int, profiles: Mapping[str, pa.Table]) -> Iterator[str]:
    for counts in spec.counts:
        for name, window in zip(counts.names, counts.parsed, strict=True):
            yield _windowed("count(*)", counts.entity, window, first, name)
    for group in spec.distincts:
        for name, window in zip(group.names, group.parsed, strict=True):
            aggregate = f'count(DISTINCT log."{group.member}")'
            yield _windowed(aggregate, group.entity, window, first, name)
    yield from (_gap(gap) for gap in spec.gaps)
    if spec.flags.logged_in:
        yield 'log.logged_in::INTEGER AS "logged_in"'
    for device in spec.flags.devices:
        yield f"(device = '{device}')::INTEGER AS \"device_{device}\""
    if spec.time:
        yield from (_time_part(part, spec.time.zone) for part in spec.time.parts)
    yield from (_profile(profile, profiles) for profile in spec.profiles)


def _gap(gap: Gap) -> str:
    cap = gap.cap_us // 1000
    since = f"(t - lag(t) OVER (PARTITION BY {_key(gap.entity)} ORDER BY rn)) // 1000"
    capped = f"least(coalesce({since}, {cap}), {cap})"
    value = f"CASE WHEN {_null(gap.entity)} THEN {cap} ELSE {capped} END"
    return f'({value})::INTEGER AS "{gap.name}"'


def _time_part(part: str, zone: str) -> str:
    here = f"(log.ts AT TIME ZONE '{zone}')"
    minute = f"extract(hour FROM {here}) * 60 + extract(minute FROM {here})"
    turn = (minute, 1440) if "hour" in part else (f"extract(isodow FROM {here}) - 1", 7)
    return f'{part[-3:]}(2 * pi() * ({turn[0]}) / {turn[1]})::FLOAT AS "{part}"'


def _profile(profile: Profile, profiles: Mapping[str, pa.Table]) -> str:
    kind = "INTEGER" if profile.is_flag else "FLOAT"
    held = profiles.get(profile.table)
    there = held is not None and profile.column in held.column_names
    value = f"{profile.table}_now.{profile.column}::{kind}" if there else "NULL"
    return f'coalesce({value}, {float(profile.default)!r})::{kind} AS "{profile.name}"'


def _windowed(aggregate: str, entity: Sequence[str], window: Window, first: int, name: str) -> str:
    resolution, reach = window.resolution, window.length // window.resolution - 1
    order = f"(t // {resolution} - {first // resolution}) * {POSITIONS} + rn"
    return (
        f"(CASE WHEN {_null(entity)} THEN 0 ELSE {aggregate} OVER (PARTITION BY {_key(entity)}"
        f" ORDER BY {order} RANGE BETWEEN (rn + {reach} * {POSITIONS}) PRECEDING AND CURRENT ROW)"
        f' END)::INTEGER AS "{name}"'
    )


def _key(entity: Sequence[str]) -> str:
    return ", ".join(f'log."{column}"' for column in entity)


def _null(entity: Sequence[str]) -> str:
    return " OR ".join(f'log."{column}" IS NULL' for column in entity)
