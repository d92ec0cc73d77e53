"""An audit's figures against counting by hand, on small lakes that collide."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recovery.audit.figures import DECISIONS, Part
from replay.lake import Lake
from replay.span import iso
from replay.summary import Tally
from scorer.counts import Counts
from scorer.metrics import Difference
from tests.oracles.runs import RULES, SPAN, Drawn, Oracle, Row, lakes, store, store_rules
from tests.recovery.auditing import Audited, audited
from tests.versions import HOUR

SESSION_CLICKS = 2
VERSIONS = tuple(RULES)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_rules(tmp_path_factory.mktemp("versions"))


@st.composite
def busy(draw: st.DrawFn) -> Drawn:
    """Lakes of several sessions and advertisers, with clicks that have no session."""
    drawn = draw(lakes())
    sessions, advertisers = st.sampled_from(["s", "t", None]), st.sampled_from(["adv1", "adv2"])
    clicks = [
        {**row, "session_id": draw(sessions), "advertiser_id": draw(advertisers)}
        for row in drawn.clicks
    ]
    return replace(drawn, clicks=clicks)


@dataclass(frozen=True)
class Judged:
    """A click as every voice decided it."""

    row: Row
    decisions: dict[str, str]
    purchased: bool
    robotic: bool
    missing: bool
    borderline: frozenset[str]


def judged_by_hand(drawn: Drawn, oracles: dict[str, Oracle]) -> list[Judged]:
    robots = robotic_by_hand(drawn.clicks)
    by_version = [list(oracle.decisions()) for oracle in oracles.values()]
    found = []
    for entries in zip(*by_version, strict=True):
        row, _, said = entries[0]
        decisions = {"production": said["production"], "in effect": said["effective"]}
        decisions |= {v: e[2]["decision"] for v, e in zip(oracles, entries, strict=True)}
        found.append(
            Judged(
                row,
                {voice: word or "undecided" for voice, word in decisions.items()},
                said["purchased"],
                row["session_id"] in robots,
                said["production"] is None,
                frozenset(v for v, e in zip(oracles, entries, strict=True) if e[2]["borderline"]),
            )
        )
    return found


def robotic_by_hand(clicks: list[Row]) -> set[str]:
    """Sessions with more than two clicks in an hour that begins at one; an hour around counts."""
    near = [c for c in clicks if SPAN.start - HOUR <= c["ts"] < SPAN.end + HOUR]
    return {
        c["session_id"]
        for c in near
        if c["session_id"] is not None
        and sum(o["session_id"] == c["session_id"] and 0 <= o["ts"] - c["ts"] < HOUR for o in near)
        > SESSION_CLICKS
    }


def counted(clicks: Iterable[Judged], voice: str) -> Counts:
    found = Counts()
    for click in clicks:
        word = click.decisions[voice]
        invalid = word == "invalid"
        found += Counts(
            1,
            int(word != "undecided"),
            int(invalid),
            int(click.purchased),
            int(click.purchased and invalid),
            int(click.robotic),
            int(click.robotic and invalid),
        )
    return found


def check_part(part: Part, clicks: list[Judged]) -> None:
    assert part.counts == {voice: counted(clicks, voice) for voice in part.counts}
    flags: dict[str, tuple[Callable[[Judged], bool], Callable[[str], bool]]] = {
        "ivr": (lambda _: True, lambda word: word == "invalid"),
        "fpr": (lambda c: c.purchased, lambda word: word == "invalid"),
        "robotic_coverage": (lambda c: c.robotic, lambda word: word == "invalid"),
        "decision_rate": (lambda _: True, lambda word: word != "undecided"),
    }
    assert [(p.first, p.second) for p in part.pairs] == list(combinations(part.counts, 2))
    for pair in part.pairs:
        for name, (of, flag) in flags.items():
            seen = Counter(
                (flag(c.decisions[pair.first]), flag(c.decisions[pair.second]))
                for c in clicks
                if of(c)
            )
            assert pair.differences[name] == Difference(
                seen[True, False], seen[False, True], seen[True, True], seen.total()
            )


def check_money(done: Audited, clicks: list[Judged]) -> None:
    assert [a.advertiser_id for a in done.audit.accounts] == sorted(
        {c.row["advertiser_id"] for c in clicks}
    )
    for account in (*done.audit.accounts, done.audit.all_accounts):
        name = account.advertiser_id
        mine = [c for c in clicks if name in ("all", c.row["advertiser_id"])]
        assert account.gross == tally(mine)
        for voice in done.audit.voices:
            by = {w: tally(c for c in mine if c.decisions[voice] == w) for w in DECISIONS}
            assert account.voices[voice] == by
            billed = sum(c.row["price_micros"] for c in mine if c.decisions[voice] != "invalid")
            assert account.billed(voice) == billed


def tally(clicks: Iterable[Judged]) -> Tally:
    prices = [click.row["price_micros"] for click in clicks]
    return Tally(len(prices), sum(prices))


def check_changes(done: Audited, oracles: dict[str, Oracle], clicks: list[Judged]) -> None:
    for version in done.audit.versions:
        changes = oracles[version.name].changes()
        for found, column in ((version.changes, "kind"), (version.causes, "cause")):
            expected: dict[str, Tally] = {}
            for change in changes:
                had = expected.get(change[column], Tally(0, 0))
                expected[change[column]] = Tally(
                    had.clicks + 1, had.micros + change["adjustment_micros"]
                )
            assert found == expected
        assert version.borderline == sum(version.name in c.borderline for c in clicks)


def check_differences(done: Audited, oracles: dict[str, Oracle], clicks: list[Judged]) -> None:
    differing = [c for c in clicks if len({c.decisions[v] for v in oracles}) > 1]
    rows = done.differences
    assert [row["click_id"] for row in rows] == [c.row["click_id"] for c in differing]
    assert done.audit.differing == len(differing)
    causes = {v: {c["click_id"]: c for c in o.changes()} for v, o in oracles.items()}
    for row, click in zip(rows, differing, strict=True):
        assert (row["purchased"], row["robotic"]) == (click.purchased, click.robotic)
        assert row["price_micros"] == click.row["price_micros"]
        for version in oracles:
            change = causes[version].get(row["click_id"])
            assert row[f"decision_{version}"] == click.decisions[version]
            assert row[f"borderline_{version}"] == (version in click.borderline)
            assert row[f"cause_{version}"] == (change["cause"] if change else None)
            assert row[f"kind_{version}"] == (change["kind"] if change else None)
            money = change["adjustment_micros"] if change else None
            assert row[f"adjustment_{version}"] == money


def with_sessions(lake: Lake) -> Lake:
    return replace(lake, config=lake.config.model_copy(update={"session_clicks": SESSION_CLICKS}))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=busy(), names=st.lists(st.sampled_from(VERSIONS), min_size=1, unique=True))
def test_an_audit_says_what_counting_says(models: Path, drawn: Drawn, names: list[str]) -> None:
    oracles = {name: Oracle(drawn, name, "recomputed", None) for name in names}
    clicks = judged_by_hand(drawn, oracles)
    with TemporaryDirectory() as folder:
        lake = with_sessions(store(f"{folder}/lake", models, drawn))
        done = audited(lake, Path(folder) / "audit", *names, span=SPAN)
        audit = done.audit
        assert audit.voices == ("production", "in effect", *names)
        check_part(audit.overall, clicks)
        keys = {f"device={c.row['device']},logged_in=true" for c in clicks}
        assert [part.name for part in audit.slices] == sorted(keys)
        for key in keys:
            device = key.partition(",")[0].removeprefix("device=")
            check_part(done.part(key), [c for c in clicks if c.row["device"] == device])
        hours = {c.row["ts"] // HOUR * HOUR for c in clicks}
        assert [part.name for part in audit.hours] == [iso(hour) for hour in sorted(hours)]
        for hour in hours:
            inside = [c for c in clicks if c.row["ts"] // HOUR * HOUR == hour]
            check_part(done.part(iso(hour)), inside)
        for agreement in audit.agreements:
            seen = Counter(
                (c.decisions[agreement.first], c.decisions[agreement.second]) for c in clicks
            )
            table = {a: {b: seen[a, b] for b in DECISIONS} for a in DECISIONS}
            assert agreement.table == table
            assert agreement.same.part == sum(seen[word, word] for word in DECISIONS)
        check_money(done, clicks)
        check_changes(done, oracles, clicks)
        check_differences(done, oracles, clicks)
        assert audit.missing == sum(c.missing for c in clicks)
        assert audit.sessionless == sum(c.row["session_id"] is None for c in clicks)
