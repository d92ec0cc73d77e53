"""The suite can fail: each classic mistake, seeded, is caught by the comparison and by a check.

A mistake is seeded where it would be made. Some are in the engine itself (a property it computes
with is changed), some in what it is fed (nulls filled, late rows lost, a coarser spec), and those
that only an engine written otherwise could make are in the brute-force oracle, put in its place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from replay.span import Span
from scorer.spec import Spec, Window
from tests.lakes import Row
from tests.oracles import plain
from tests.oracles.engine import Answer, Ask, ask_case, expect
from tests.replay import test_features_contract as contract
from tests.replay.test_features_oracle import check_crowds
from tests.strategies import MINUTE, SECOND, Case

Feed = Callable[[Case], Case]


def in_engine(owner: type, name: str, compute: Callable[[Any], int]) -> Ask:
    """Change a property that the engine computes with."""

    def ask(case: Case, spec: Spec, slice_length: int | None = None, threads: int = 2) -> Answer:
        with patch.object(owner, name, property(compute)):
            return ask_case(case, spec, slice_length, threads)

    return ask


def fed(feed: Feed) -> Ask:
    """Feed the engine another log."""

    def ask(case: Case, spec: Spec, slice_length: int | None = None, threads: int = 2) -> Answer:
        return ask_case(feed(case), spec, slice_length, threads)

    return ask


def specified(change: Callable[[str], str]) -> Ask:
    """Give the engine another spec, of the same features; `change` edits its JSON."""

    def ask(case: Case, spec: Spec, slice_length: int | None = None, threads: int = 2) -> Answer:
        other = Spec.model_validate_json(change(spec.canonical()))
        assert other.names == spec.names
        return ask_case(case, other, slice_length, threads)

    return ask


def otherwise(name: str, function: Callable[..., Any]) -> Ask:
    """Answer with the brute-force oracle, one function of it replaced."""

    def ask(case: Case, spec: Spec, *_: object, **__: object) -> Answer:
        with patch.object(plain, name, function):
            return expect(case, spec)

    return ask


def each_click(change: Callable[[Row], Row]) -> Feed:
    """Change every click."""
    return lambda case: replace(case, clicks=tuple({**c, **change(c)} for c in case.clicks))


def each_snapshot(change: Callable[[Row], Row]) -> Feed:
    """Change every profile row."""
    return lambda case: replace(
        case,
        profiles={
            name: [{**row, **change(row)} for row in rows] for name, rows in case.profiles.items()
        },
    )


def without_late_rows(case: Case) -> Case:
    """Lose every click that a later commit brought before one that had landed."""
    kept = [case.clicks[n] for n in case.commits[0]]
    return case.with_clicks(kept)


def state_dropped(
    case: Case, spec: Spec, slice_length: int | None = None, threads: int = 2
) -> Answer:
    """Start every slice afresh."""
    parts = []
    for span in case.span.cut(max(slice_length or 5 * MINUTE, case.span.length // 8)):
        with patch.object(Spec, "look_back", property(lambda _: 0)):
            parts.append(ask_case(replace(case, span=span), spec, None, threads))
    values = {n: np.concatenate([part.values[n] for part in parts]) for n in spec.names}
    return Answer([i for part in parts for i in part.ids], values)


def mixed_up(case: Case, spec: Spec, slice_length: int | None = None, threads: int = 2) -> Answer:
    """Hand the features over in the order of their names."""
    answer = ask_case(case, spec, slice_length, threads)
    facts = dict(zip(spec.facts, (answer.values[n] for n in sorted(spec.facts)), strict=True))
    return Answer(answer.ids, facts | {n: answer.values[n] for n in spec.reals})


def ties_together(log: Sequence[Row], i: int) -> Sequence[Row]:
    """See every click of the same time, as a plain RANGE frame does."""
    return [c for c in log if c["ts"] <= log[i]["ts"]]


def joined(click: Row, entity: Sequence[str]) -> tuple[Any, ...] | None:
    """Join the columns of a key without a mark between them."""
    values = tuple(click[column] for column in entity)
    return None if None in values else ("".join(values),)


def _fill(*columns: str) -> Feed:
    return each_click(lambda c: {k: "null" if c[k] is None else c[k] for k in columns})


MISTAKES: Mapping[str, Ask] = {
    "window a bucket too long": in_engine(
        Window, "buckets", lambda w: w.length // w.resolution + 1
    ),
    "window a bucket too short": in_engine(
        Window, "buckets", lambda w: w.length // w.resolution - 1
    ),
    "look-back too short": in_engine(Spec, "look_back", lambda _: 10 * MINUTE - 10 * SECOND),
    "no look-back": in_engine(Spec, "look_back", lambda _: 0),
    "state dropped between slices": state_dropped,
    "features mixed up": mixed_up,
    "resolution ignored": specified(lambda text: text.replace("@1m", "@1s")),
    "cap ignored": specified(lambda text: text.replace('"cap":"30s"', '"cap":"1h"')),
    "time zone ignored": specified(lambda text: text.replace("Europe/Berlin", "UTC")),
    "clocks never change": specified(lambda text: text.replace("Europe/Berlin", "Etc/GMT-1")),
    "null as a key": fed(_fill("user_id", "ip", "user_agent")),
    "null as a member": fed(_fill("session_id", "ad_id")),
    "seq does not break ties": fed(each_click(lambda _: {"seq": 0})),
    "click_id does not break ties": otherwise("order", lambda c: (c["ts"], c["seq"])),
    "late rows lost": fed(without_late_rows),
    "span closed at its end": fed(
        lambda case: replace(case, span=Span(case.span.start, case.span.end + 1))
    ),
    "span open at its start": fed(
        lambda case: replace(case, span=Span(case.span.start + 1, case.span.end + 1))
    ),
    "profile from before ts only": fed(
        each_snapshot(lambda row: {"valid_from": row["valid_from"] + 1})
    ),
    "profile from the future": fed(
        each_snapshot(lambda row: {"valid_from": row["valid_from"] - 5 * MINUTE})
    ),
    "profile null taken as false": fed(
        each_snapshot(lambda row: {k: v or 0 for k, v in row.items() if k == "account_age_days"})
    ),
    "ties counted together": otherwise("past", ties_together),
    "the click not counted": otherwise("past", lambda log, i: log[:i]),
    "sliding window for buckets": otherwise("bucket", lambda ts, _: ts),
    "bucket rounded up": otherwise("bucket", lambda ts, resolution: -(-ts // resolution)),
    "times in float32": otherwise(
        "bucket", lambda ts, resolution: int(np.float32(ts)) // resolution
    ),
    "key joined without a mark": otherwise("key", joined),
    "window without an end": otherwise("buckets", lambda _: 10**9),
    "gap rounded up": otherwise("whole_milliseconds", lambda micros: -(-micros // 1000)),
    "gap rounded": otherwise("whole_milliseconds", lambda micros: round(micros / 1000)),
    "null counted as a member": otherwise(
        "distinct", lambda clicks, member: len({c[member] for c in clicks})
    ),
    "members not distinct": otherwise("distinct", lambda clicks, _: len(clicks)),
}


@pytest.mark.parametrize("ask", MISTAKES.values(), ids=MISTAKES)
def test_the_comparison_catches(ask: Ask) -> None:
    with pytest.raises(AssertionError, match=r"differs for|other clicks"):
        check_crowds(ask)


CAUGHT: tuple[tuple[str, str, contract.Check], ...] = (
    ("ties counted together", "counts", contract.check_ignores_the_future),
    ("ties counted together", "distincts", contract.check_ignores_the_future),
    ("window without an end", "counts", contract.check_forgets_beyond_look_back),
    ("window without an end", "distincts", contract.check_forgets_beyond_look_back),
    ("seq does not break ties", "flags", contract.check_is_in_log_order),
    ("span closed at its end", "time", contract.check_is_in_log_order),
    ("span open at its start", "profiles", contract.check_is_in_log_order),
    ("state dropped between slices", "counts", contract.check_does_not_depend_on_slices),
    ("state dropped between slices", "gaps", contract.check_does_not_depend_on_slices),
    ("late rows lost", "counts", contract.check_does_not_depend_on_layout),
    ("click_id does not break ties", "counts", contract.check_does_not_depend_on_layout),
    ("key joined without a mark", "counts", contract.check_relabelling_changes_nothing),
    ("null as a key", "gaps", contract.check_null_is_nobody),
    ("null as a key", "counts", contract.check_null_is_nobody),
    ("times in float32", "counts", contract.check_repeats_a_week_later),
    ("features mixed up", "counts", contract.check_does_not_depend_on_other_features),
)


@pytest.mark.parametrize(("mistake", "kind", "check"), CAUGHT)
def test_the_check_catches(mistake: str, kind: str, check: contract.Check) -> None:
    kinds = {one.name: one for one in contract.KINDS}
    with pytest.raises(AssertionError):
        check(kinds[kind], contract.CROWD, MISTAKES[mistake])


def test_every_check_catches_something() -> None:
    assert {check for _, _, check in CAUGHT} == set(contract.CHECKS)
