"""Contract checks: every kind of feature passes every check, whatever it computes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replay.features import stream
from replay.span import Span
from scorer.spec import Spec, parse_spec
from tests.lakes import Row, click
from tests.oracles import plain
from tests.oracles.engine import Answer, Ask, ask_case, assert_equal, snapshot_of
from tests.strategies import JUNE, MINUTE, SECOND, SMALL, Case, crowd

IDS = ("user_id", "session_id", "ip", "user_agent", "ad_id")
PROFILE_KEYS = {"user": ("user_id",), "ip": ("ip",)}
WEEK = 7 * 86_400 * SECOND


@dataclass(frozen=True)
class Kind:
    """Features of one kind, and what each is of: feature name → (key columns, value of nobody)."""

    name: str
    spec: Spec
    keys: dict[str, tuple[tuple[str, ...], float]]


def kind_of(part: str, nobody: Callable[[Any], float] | None = None) -> Kind:
    """Take one part of SMALL as a spec of its own."""
    data = SMALL.model_dump()
    nothing = {"flags": {"logged_in": False}}
    spec = parse_spec(nothing | {part: data[part]}, part)
    keys: dict[str, tuple[tuple[str, ...], float]] = {}
    if nobody is None:
        return Kind(part, spec, keys)
    for group in getattr(spec, part):
        entity = PROFILE_KEYS[group.table] if part == "profiles" else group.entity
        names = getattr(group, "names", None) or (group.name,)
        keys |= dict.fromkeys(names, (entity, nobody(group)))
    return Kind(part, spec, keys)


KINDS: tuple[Kind, ...] = (
    kind_of("counts", lambda _: 0),
    kind_of("distincts", lambda _: 0),
    kind_of("gaps", lambda gap: gap.cap_us // 1000),
    kind_of("flags"),
    kind_of("time"),
    kind_of("profiles", lambda profile: profile.default),
)


def log_of(case: Case) -> list[Row]:
    """Return the case's clicks in log order."""
    return sorted(case.clicks, key=plain.order)


def rows_of(answer: Answer, ids: list[str]) -> Answer:
    """Return the answer for those clicks alone, in the order of the answer."""
    kept = [n for n, i in enumerate(answer.ids) if i in set(ids)]
    values = {name: column[kept] for name, column in answer.values.items()}
    return Answer([answer.ids[n] for n in kept], values)


def check_ignores_the_future(kind: Kind, case: Case, ask: Ask) -> None:
    """Features of a prefix don't change when later clicks arrive, of the same time or after."""
    log, whole = log_of(case), ask(case, kind.spec)
    ties = [k for k in range(1, len(log)) if log[k]["ts"] == log[k - 1]["ts"]]
    for k in (ties[1], ties[len(ties) // 2], ties[-1], len(log) // 2):
        prefix = ask(case.with_clicks(log[:k]), kind.spec)
        assert_equal(rows_of(whole, prefix.ids), prefix)


def check_forgets_beyond_look_back(kind: Kind, case: Case, ask: Ask) -> None:
    """Clicks a look-back before the span change nothing; the nearer ones may."""
    start = case.span.start + 15 * MINUTE
    case = replace(case, span=Span(start, case.span.end))
    near = [c for c in case.clicks if c["ts"] >= start - kind.spec.look_back]
    assert len(near) < len(case.clicks)
    assert_equal(ask(case.with_clicks(near), kind.spec), ask(case, kind.spec))


def check_is_in_log_order(kind: Kind, case: Case, ask: Ask) -> None:
    """Rows are the span's clicks, from its start to before its end, in log order."""
    times = sorted({c["ts"] for c in case.clicks})
    span = Span(times[len(times) // 3], times[-3])
    inside = [c["click_id"] for c in log_of(case) if span.start <= c["ts"] < span.end]
    assert ask(replace(case, span=span), kind.spec).ids == inside


def check_does_not_depend_on_slices(kind: Kind, case: Case, ask: Ask) -> None:
    """The same bits for every slice length and number of threads."""
    whole = ask(case, kind.spec, 86_400 * SECOND, threads=1)
    for slice_length, threads in ((5 * MINUTE, 2), (7 * MINUTE + 1, 3), (None, 2)):
        assert_equal(ask(case, kind.spec, slice_length, threads), whole)


def check_does_not_depend_on_layout(kind: Kind, case: Case, ask: Ask) -> None:
    """The same bits from one sorted file, from one in reverse, and from many that landed late."""
    log = log_of(case)
    many = tuple(tuple(range(len(log)))[k::5] for k in (3, 0, 4, 2, 1))
    whole = ask(case.with_clicks(log), kind.spec)
    for other in (case, case.with_clicks(log[::-1]), replace(case, commits=many)):
        assert_equal(ask(other, kind.spec), whole)


def check_relabelling_changes_nothing(kind: Kind, case: Case, ask: Ask) -> None:
    """Keys are names: other names, in another order, give the same values."""
    values = sorted({c[column] for c in case.clicks for column in IDS} - {None})
    renamed = {None: None, **{v: f"{len(values) - n}-{v[::-1]}" for n, v in enumerate(values)}}
    clicks = [{**c, **{column: renamed[c[column]] for column in IDS}} for c in case.clicks]
    profiles = {
        name: [{**row, "key": renamed.get(row["key"], "nobody")} for row in rows]
        for name, rows in case.profiles.items()
    }
    other = replace(case, clicks=tuple(clicks), profiles=profiles)
    assert_equal(ask(other, kind.spec), ask(case, kind.spec))


def check_null_is_nobody(kind: Kind, case: Case, ask: Ask) -> None:
    """A click without a key has the value of nobody, and to the others it is not there."""
    if not kind.keys:
        strangers = [{**c, **dict.fromkeys(IDS)} for c in case.clicks]
        assert_equal(ask(case.with_clicks(strangers), kind.spec), ask(case, kind.spec))
    for column in sorted({column for entity, _ in kind.keys.values() for column in entity}):
        blank = [c["click_id"] for c in case.clicks[::2]]
        clicks = [{**c, column: None} if c["click_id"] in blank else c for c in case.clicks]
        values = ask(case.with_clicks(clicks), kind.spec)
        others = [c for c in case.clicks if c["click_id"] not in blank]
        without = ask(case.with_clicks(others), kind.spec)
        for name, (entity, nobody) in kind.keys.items():
            if column in entity:
                assert set(rows_of(values, blank).values[name].tolist()) == {nobody}, name
                kept = rows_of(values, without.ids).values[name]
                np.testing.assert_array_equal(kept, without.values[name])


def check_repeats_a_week_later(kind: Kind, case: Case, ask: Ask) -> None:
    """Nothing hangs on absolute time, as the clocks don't change in between."""
    clicks = [{**c, "ts": c["ts"] + WEEK} for c in case.clicks]
    profiles = {
        name: [{**row, "valid_from": row["valid_from"] + WEEK} for row in rows]
        for name, rows in case.profiles.items()
    }
    span = Span(case.span.start + WEEK, case.span.end + WEEK)
    later = replace(case, clicks=tuple(clicks), profiles=profiles, span=span)
    assert_equal(ask(later, kind.spec), ask(case, kind.spec))


def check_does_not_depend_on_other_features(kind: Kind, case: Case, ask: Ask) -> None:
    """A feature is the same in a spec of its own and among others."""
    alone, among = ask(case, kind.spec), ask(case, SMALL)
    values = {name: among.values[name] for name in kind.spec.names}
    assert_equal(Answer(among.ids, values), alone)


Check = Callable[[Kind, Case, Ask], None]
CHECKS: tuple[Check, ...] = (
    check_ignores_the_future,
    check_forgets_beyond_look_back,
    check_is_in_log_order,
    check_does_not_depend_on_slices,
    check_does_not_depend_on_layout,
    check_relabelling_changes_nothing,
    check_null_is_nobody,
    check_repeats_a_week_later,
    check_does_not_depend_on_other_features,
)
CROWD = crowd(60)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_kind_passes_every_check(check: Check, kind: Kind) -> None:
    check(kind, CROWD, ask_case)


def values_of(*clicks: Row, **parts: object) -> dict[str, list[float]]:
    """Return what a spec of the parts given says of those clicks."""
    spec = parse_spec({"flags": {"logged_in": False}, **parts}, "test")
    times = [c["ts"] for c in clicks]
    span = Span(min(times), max(times) + 1)
    answer = ask_case(Case(clicks, {}, (tuple(range(len(clicks))),), span), spec)
    return {name: column.tolist() for name, column in answer.values.items()}


def test_longer_windows_see_no_less() -> None:
    windows = ["30s@1s", "1m@30s", "2m@1m", "10m@5m"]  # each reaches beyond the one before it
    for part in ({"entity": "ip"}, {"entity": "ip", "member": "user_id"}):
        group = {"distincts" if "member" in part else "counts": [{**part, "windows": windows}]}
        seen = np.array(list(values_of(*CROWD.clicks, **group).values()))
        assert seen.shape == (4, len(CROWD.clicks))
        assert (np.diff(seen, axis=0) >= 0).all()
        assert (np.diff(seen, axis=0) > 0).any()


def test_a_click_counts_itself_and_distincts_are_no_more_than_clicks() -> None:
    window = {"entity": "ip", "windows": ["1m@1s"]}
    members = [{**window, "member": member} for member in ("session_id", "ip")]
    values = values_of(*CROWD.clicks, counts=[window], distincts=members)
    clicks, sessions, itself = (np.array(column) for column in values.values())
    keyed = np.array([c["ip"] is not None for c in log_of(CROWD)])
    assert (clicks[keyed] >= 1).all()
    assert (sessions <= clicks).all()
    assert (itself == keyed).all()


def test_windows_end_on_bucket_edges() -> None:
    """Two clicks, the second a microsecond before and on the edge at which the first leaves."""
    window = {"counts": [{"entity": "ip", "windows": ["2m@1m"]}]}
    edge = JUNE + 2 * MINUTE
    for first in (JUNE, JUNE + MINUTE - 1):  # wherever in its bucket the first one is
        assert values_of(click(first), click(edge - 1), **window) == {"clicks_ip_2m": [1, 2]}
        assert values_of(click(first), click(edge), **window) == {"clicks_ip_2m": [1, 1]}


def test_a_span_sees_back_as_far_as_its_features_reach() -> None:
    """The span's one click sees the first microsecond of its window, and nothing before it."""
    window = {"counts": [{"entity": "ip", "windows": ["10m@10s"]}]}
    spec = parse_spec({"flags": {"logged_in": False}, **window}, "test")
    start = JUNE + 20 * MINUTE
    for first, seen in ((start - 590 * SECOND, 2), (start - 590 * SECOND - 1, 1)):
        clicks = (click(first), click(start))
        case = Case(clicks, {}, ((0, 1),), Span(start, start + 1))
        assert ask_case(case, spec).values["clicks_ip_10m"].tolist() == [seen]


def test_gaps_are_whole_milliseconds_to_the_previous_click_up_to_the_cap() -> None:
    gaps = {"gaps": [{"entity": "ip", "cap": "1s"}]}
    times = [0, 999, 1_999, 1_999, 1_001_998, 2_001_998, 3_002_998, 4_003_999]
    clicks = [click(JUNE + ts, seq=n) for n, ts in enumerate(times)]
    expected = [1000, 0, 1, 0, 999, 1000, 1000, 1000]
    assert values_of(*clicks, **gaps) == {"gap_ms_ip": expected}


def test_ties_count_in_order_of_seq_and_then_click_id() -> None:
    window = {"counts": [{"entity": "ip", "windows": ["1m@1m"]}]}
    ids = [(1, "a"), (0, "z"), (1, "Z"), (0, "é"), (0, "10"), (0, "9")]
    clicks = [click(JUNE, seq, name) for seq, name in ids]
    case = Case(tuple(clicks), {}, (tuple(range(6)),), Span(JUNE, JUNE + 1))
    answer = ask_case(case, parse_spec(window, "test"))
    assert answer.ids == ["10", "9", "z", "é", "Z", "a"]
    assert answer.values["clicks_ip_1m"].tolist() == [1, 2, 3, 4, 5, 6]


def test_columns_asked_for_come_along_row_by_row(tmp_path: Path) -> None:
    spec = parse_spec({"flags": {"devices": ["desktop"]}}, "test")
    wanted = ("device", "price_micros", "user_id")
    for piece in stream(snapshot_of(tmp_path, CROWD, spec), spec, CROWD.span, columns=wanted):
        assert piece.facts[1].tolist() == [
            d == "desktop" for d in piece.clicks["device"].to_pylist()
        ]
        inside = [c for c in log_of(CROWD) if piece.span.start <= c["ts"] < piece.span.end]
        for name in (*wanted, "ts", "seq", "click_id"):
            found = piece.clicks.column(name).to_pylist()
            assert found == [c[name] for c in inside]


def test_a_log_without_profiles_gives_the_defaults() -> None:
    profiles = [
        {"table": "user", "column": "age", "default": 1.5},
        {"table": "ip", "column": "is_datacenter", "default": True},
    ]
    values = values_of(click(JUNE), profiles=profiles)
    assert values == {"ip_is_datacenter": [1], "user_age": [1.5]}
