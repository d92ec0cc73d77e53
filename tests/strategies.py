"""Clicks that collide: few keys, ties everywhere, and times on the edges that features have.

Random times in a wide range almost never meet an edge of a window or a bucket, and a suite that
draws them passes with a window that is off by one. Here times lie on a grid of half a window, give
or take a microsecond or half a bucket; keys are so few that every click has company.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from replay.span import Span
from scorer.spec import Spec, parse_spec
from tests.lakes import Row, click

SECOND = 1_000_000
MINUTE = 60 * SECOND

# Windows of one to ten minutes on buckets of one second to one minute; look-back ten minutes.
SMALL = parse_spec(
    {
        "counts": [
            {"entity": "user_id", "windows": ["1m@1s", "2m@1m"]},
            {"entity": "ip", "windows": ["1m@1s", "2m@1m", "10m@10s"]},
            {"entity": "ip, user_agent", "windows": ["2m@1m"]},
        ],
        "distincts": [
            {"member": "user_id", "entity": "ip", "windows": ["2m@1m", "10m@10s"]},
            {"member": "session_id", "entity": "ip", "windows": ["1m@1s"]},
            {"member": "ad_id", "entity": "ip, user_agent", "windows": ["2m@1m"]},
        ],
        "gaps": [
            {"entity": "user_id", "cap": "30s"},
            {"entity": "ip", "cap": "2m"},
            {"entity": "ip, user_agent", "cap": "10m"},
        ],
        "flags": {"logged_in": True, "devices": ["desktop", "mobile_web"]},
        "time": {"zone": "Europe/Berlin"},
        "profiles": [
            {"table": "user", "column": "account_age_days", "default": 0.5},
            {"table": "user", "column": "is_staff", "default": True},
            {"table": "ip", "column": "is_datacenter", "default": False},
        ],
    },
    "small",
)

# Before midnight UTC; before Berlin's clocks go forward; before they go back (all 2026).
BASES = (1_774_655_700_000_000, 1_774_745_700_000_000, 1_792_889_700_000_000)
JUNE = 1_780_315_200_000_000  # 2026-06-01T12:00Z, far from midnight and any change of clocks
STEP = 30 * SECOND  # half of the shortest window, half of the coarsest bucket
NEAR = (0, 0, 0, 0, -1, 1, SECOND // 2, SECOND - 1, SECOND, -999, 1000)
# Bursts a look-back apart, or a bucket less: the later clicks see the earlier just yet, or no more.
BURSTS = (
    (0,),
    (0, 10 * MINUTE),
    (0, 10 * MINUTE - 10 * SECOND),
    (0, 10 * MINUTE - 10 * SECOND, 20 * MINUTE - 10 * SECOND),
)

# Users and ips share values; "ab" + "c" and "a" + "bc" would be the same if merely joined; and a
# null that was turned into text would meet a real key.
USERS = ("a", "b", "null", None)
IPS = ("a", "a", "a", "ab", "null", None)  # "a" is the hot one
AGENTS = ("c", "bc", None)
FEW = (("a",), ("a", None), IPS)  # ips of a log; one alone makes every edge matter


@dataclass(frozen=True)
class Case:
    """A log, its profiles, its file layout, and a span to ask for."""

    clicks: tuple[Row, ...]
    profiles: Mapping[str, Sequence[Row]]
    commits: tuple[tuple[int, ...], ...]
    span: Span

    def with_clicks(self, clicks: Sequence[Row]) -> "Case":
        """Return the case with another log, in one file."""
        return replace(self, clicks=tuple(clicks), commits=(tuple(range(len(clicks))),))


def offsets() -> st.SearchStrategy[int]:
    """Times after the start of a burst: on the grid, or next to it."""
    return st.builds(lambda k, near: k * STEP + near, st.integers(0, 5), st.sampled_from(NEAR))


def rows(times: Sequence[int], ips: Sequence[str | None]) -> st.SearchStrategy[dict[str, Any]]:
    """One click's columns but for its id."""
    return st.fixed_dictionaries(
        {
            "ts": st.sampled_from(times),
            "seq": st.integers(0, 1),
            "user_id": st.sampled_from(USERS),
            "session_id": st.sampled_from(("s", "t", None)),
            "ip": st.sampled_from(ips),
            "user_agent": st.sampled_from(AGENTS),
            "ad_id": st.sampled_from(("x", "y", None)),
            "device": st.sampled_from(("desktop", "mobile_web", "tablet")),
            "logged_in": st.booleans(),
        }
    )


def snapshots(
    base: int, times: Sequence[int], columns: Mapping[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Profile rows at, just before and just after the times of clicks, and on days before them."""
    at = st.builds(
        lambda ts, near: ts + near,
        st.sampled_from([*times, base, base - 2 * 86_400 * SECOND]),
        st.sampled_from((0, 0, -1, 1, MINUTE)),
    )
    row = st.fixed_dictionaries({"key": st.sampled_from("ab"), "valid_from": at, **columns})
    return st.lists(row, max_size=5, unique_by=lambda r: (r["key"], r["valid_from"]))


@st.composite
def cases(draw: st.DrawFn, max_clicks: int = 14) -> Case:
    """A colliding log in some layout, and a span whose ends often meet a click's own time."""
    base = draw(st.sampled_from(BASES))
    bursts = draw(st.sampled_from(BURSTS))
    steps = draw(st.lists(offsets(), min_size=2, max_size=4, unique=True))
    pool = [base + burst + step for burst in bursts for step in steps]
    drawn = draw(st.lists(rows(pool, draw(st.sampled_from(FEW))), min_size=5, max_size=max_clicks))
    # Ids in an order that has nothing to do with time, to break ties; one sorts after all of ASCII.
    ids = draw(st.permutations([f"{n}" for n in range(len(drawn) - 1)] + ["ø"]))
    clicks = tuple(click(click_id=i, **row) for i, row in zip(ids, drawn, strict=True))
    times = [row["ts"] for row in drawn]
    nullable = st.one_of(st.none(), st.booleans())
    numbers = st.one_of(st.none(), st.sampled_from((0.1, 1.0, 36.6, 16_777_217.0, -2.5)))
    profiles = {
        "user": draw(snapshots(base, times, {"account_age_days": numbers, "is_staff": nullable})),
        "ip": draw(snapshots(base, times, {"is_datacenter": nullable})),
    }
    return Case(clicks, profiles, draw(layouts(len(drawn))), draw(spans(base, times)))


def layouts(rows: int) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    """Up to three commits, rows of each in any order: unsorted files, late rows, several a day."""
    return st.builds(_cut, st.permutations(range(rows)), st.sets(st.integers(1, rows), max_size=2))


def _cut(order: Sequence[int], at: set[int]) -> tuple[tuple[int, ...], ...]:
    edges = [0, *sorted(at), len(order)]
    return tuple(tuple(order[a:b]) for a, b in pairwise(edges) if a < b)


def spans(base: int, times: Sequence[int]) -> st.SearchStrategy[Span]:
    """The whole log; from or up to a click, others of its time in it or not; or between any two."""
    early, late = base - 60 * MINUTE, base + 60 * MINUTE
    edge = st.sampled_from([*times, *(t + 1 for t in times), base - 1, late])
    later = st.sampled_from(sorted(times)[len(times) // 2 :])  # with a look-back to see
    return st.one_of(
        st.just(Span(early, late)),
        later.map(lambda start: Span(start, late)),
        edge.map(lambda end: Span(early, end)),
        st.builds(lambda a, b: Span(min(a, b), max(a, b) + (a == b)), edge, edge),
    )


def slice_lengths() -> st.SearchStrategy[int | None]:
    """How finely a stream is sliced: a bucket, an edge, uneven, more than the log, or as it is."""
    return st.sampled_from((None, SECOND, STEP, MINUTE, 7 * MINUTE + 1, 86_400 * SECOND))


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Any windows of any entities: what SMALL happens not to hold."""
    entity = st.sampled_from(("user_id", "ip", "session_id", "user_agent, ip", "device, ad_id"))
    window = st.sampled_from(("1s@1s", "30s@1s", "30s@30s", "1m@30s", "2m@1s", "3m@1m", "10m@5m"))
    windows = st.lists(window, min_size=1, max_size=2, unique_by=lambda w: w.split("@")[0])
    counts = st.fixed_dictionaries({"entity": entity, "windows": windows})
    members = st.sampled_from(("user_id", "ad_id", "ip"))
    distincts = st.fixed_dictionaries({"entity": entity, "member": members, "windows": windows})
    gaps = st.fixed_dictionaries({"entity": entity, "cap": st.sampled_from(("1s", "30s", "1m"))})
    return parse_spec(
        {
            "counts": draw(st.lists(counts, max_size=2, unique_by=lambda g: g["entity"])),
            "distincts": draw(
                st.lists(distincts, max_size=2, unique_by=lambda g: (g["entity"], g["member"]))
            ),
            "gaps": draw(st.lists(gaps, max_size=2, unique_by=lambda g: g["entity"])),
            "flags": {"logged_in": draw(st.booleans()), "devices": ["tablet"]},
        },
        "drawn",
    )


def crowd(rows: int, seed: int = 0, base: int = JUNE) -> Case:
    """Return a log of as many clicks of the same kind, the same at every call, to ask all of."""
    draw = random.Random(seed)
    pool = [
        base + burst + draw.randint(0, 5) * STEP + draw.choice(NEAR)
        for burst in BURSTS[-1]
        for _ in range(8)
    ]
    clicks = [
        click(
            draw.choice(pool),
            seq=draw.randint(0, 1),
            click_id=f"{n:04d}"[::-1],
            user_id=draw.choice(USERS),
            session_id=draw.choice(("s", "t", None)),
            ip=draw.choice(IPS),
            user_agent=draw.choice(AGENTS),
            ad_id=draw.choice(("x", "y", None)),
            device=draw.choice(("desktop", "mobile_web", "tablet")),
            logged_in=draw.random() < 0.5,
        )
        for n in range(rows)
    ]
    times = [c["ts"] for c in clicks]
    user = [
        {"key": key, "valid_from": ts, "account_age_days": age, "is_staff": staff}
        for key, ts, age, staff in [
            ("a", base - MINUTE, 36.6, False),
            ("a", min(times), 0.1, True),
            ("a", base + 10 * MINUTE, None, None),
            ("b", max(times), 16_777_217.0, False),
            ("b", draw.choice(times) + 1, -2.5, False),
        ]
    ]
    ip = [{"key": "a", "valid_from": times[n], "is_datacenter": n == 1} for n in (0, 1)]
    order = list(range(rows))
    draw.shuffle(order)
    commits = _cut(order, {rows // 3, rows // 2})
    return Case(tuple(clicks), {"user": user, "ip": ip}, commits, Span(base, base + 60 * MINUTE))
