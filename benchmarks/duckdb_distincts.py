"""Distinct counts as sums of runs, in SQL.

A member's clicks at an ip form a run while each sees the one before it in its window; the count is
that of the runs begun, less that of the runs that have left the window.
"""

from collections.abc import Iterator

from scorer.spec import Distincts, Spec, Window


def distincts(spec: Spec) -> Iterator[tuple[Distincts, Window, str]]:
    """Yield every distinct count: its group, its window, its name."""
    for group in spec.distincts:
        for window, name in zip(group.parsed, group.names, strict=True):
            yield group, window, name


def neighbours(spec: Spec, nulls: frozenset[str] = frozenset()) -> str:
    """Write SQL for the times of a member's clicks before and after each, at its ip.

    Where the member is null both are the click's own time: it begins no run and ends none.
    """
    members = list(dict.fromkeys(group.member for group in spec.distincts))
    columns = ", ".join(
        f"{_known(m, f'{look}(t) OVER of_{m}', nulls)} AS {place}_{m}"
        for m in members
        for look, place in (("lag", "before"), ("lead", "after"))
    )
    windows = ", ".join(f"of_{m} AS (PARTITION BY ip, {m} ORDER BY k, rn)" for m in members)
    return f"SELECT rn, t, ip, k, {columns} FROM log WINDOW {windows}"


def _known(member: str, time: str, nulls: frozenset[str]) -> str:
    return f"CASE WHEN no_{member} THEN t ELSE {time} END" if member in nulls else time


def runs(spec: Spec, unit: int, first: int) -> str:
    """Write SQL that counts runs begun and left, for each click.

    `unit` and `first` are those of the order that all windows share.
    """
    wanted = list(distincts(spec))
    begun = ", ".join(
        f"({_apart(w, f'before_{g.member}', 't')})::INTEGER AS {n}" for g, w, n in wanted
    )
    events = [f"SELECT ip, k, rn, {begun} FROM neighbours"]
    for group, window, name in wanted:
        left = f"(t // {window.resolution} + {window.buckets}) * {window.resolution} - {first}"
        deltas = ", ".join(f"{-(n == name):d}::INTEGER AS {n}" for _, _, n in wanted)
        events.append(
            f"SELECT ip, ({left}) * {unit}::BIGINT AS k, NULL AS rn, {deltas} FROM neighbours"
            f" WHERE {_apart(window, 't', f'after_{group.member}')}"
        )
    sums = ", ".join(f"(sum({n}) OVER in_order)::INTEGER AS {n}" for _, _, n in wanted)
    return (
        f"SELECT * FROM (SELECT rn, {sums} FROM ({' UNION ALL '.join(events)})"
        " WINDOW in_order AS (PARTITION BY ip ORDER BY k RANGE UNBOUNDED PRECEDING))"
        " WHERE rn IS NOT NULL"
    )


def _apart(window: Window, before: str, after: str) -> str:
    """Write SQL that is true where the later click does not see the earlier, or one is absent."""
    resolution = window.resolution
    gap = f"{after} // {resolution} - {before} // {resolution}"
    return f"coalesce({gap} >= {window.buckets}, true)"
