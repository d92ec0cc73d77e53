"""Each change has exactly one cause, the first that fits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from replay.changes import CAUSES
from replay.lake import Lake
from scorer.registry import ModelVersion
from tests.lakes import add_rows, click, make_lake
from tests.versions import BOTH, START, at_least, logged, probability, run, verdict

Row = dict[str, Any]
PRICE = 250_000


@dataclass(frozen=True)
class Case:
    """The last of a user's `count` clicks, and what production logged of it.

    `by` names production's version; `facts` are those that it logged, None for none.
    """

    cause: str
    count: int
    by: str | None
    said: str | None
    facts: tuple[int, ...] | None
    verdict: str | None = None


# The replay is of B: invalid from the second click on. A is from the third on, T is B's weights
# with the threshold of A's decisions, "gone" is not stored.
ONCE = (
    Case("availability", 1, "B", "undecided", None),
    Case("verdict", 2, "B", "invalid", (2,), "valid"),
    Case("unattributable", 2, "gone", "valid", (2,)),
    Case("unreproducible", 2, "A", "valid", (5,)),
    Case("model", 2, "A", "valid", (2,)),
    Case("threshold", 2, "T", "valid", (2,)),
    Case("features", 3, "A", "valid", (1,)),
    Case("either", 3, "A", "valid", (2,)),
    Case("joint", 2, "A", "valid", (1,)),
)
MORE = (
    Case("availability", 2, "B", "undecided", (2,)),
    Case("availability", 2, None, None, None),
    Case("availability", 2, "B", "undecided", None, "valid"),  # before `verdict`
    Case("verdict", 1, "gone", "valid", None, "invalid"),  # before `unattributable`
    Case("unattributable", 2, "A", "valid", None),
    Case("unattributable", 2, "A", "valid", (2, 2)),  # not as wide as its spec
    Case("unattributable", 2, None, "valid", None),
    Case("unreproducible", 3, "A", "valid", (3,)),  # before `model` and `features`
    Case("features", 1, "A", "invalid", (3,)),
    Case("joint", 2, "T", "valid", (1,)),
    Case("features", 2, "B", "valid", (1,)),
    Case("features", 3, "T", "valid", (1,)),
    Case("either", 3, "T", "valid", (2,)),
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return make_lake(tmp_path)


@pytest.fixture
def versions(lake: Lake) -> dict[str, ModelVersion]:
    return {
        "A": at_least(lake, "a", 3),
        "B": at_least(lake, "b", 2),
        "T": at_least(lake, "t", 2, threshold=0.99),
    }


def fill(lake: Lake, versions: dict[str, ModelVersion], cases: Sequence[Case]) -> None:
    """Write each case's clicks; all but the last are as B decides them on the right features."""
    clicks, decisions, verdicts = [], [], []
    for n, case in enumerate(cases):
        rows = [click(START + k, n, f"{n}-{k}", user_id=f"u{n}") for k in range(1, case.count + 1)]
        for k, row in enumerate(rows[:-1], 1):
            said = "invalid" if k > 1 else "valid"
            decisions.append(logged(row, versions["B"], said, [k]))
        if case.said is not None:
            by = versions.get(case.by, case.by) if case.by else None
            decisions.append(logged(rows[-1], by, case.said, case.facts))
        if case.verdict is not None:
            verdicts.append(verdict(rows[-1], case.verdict, n))
        clicks += rows
    for name, found in (("decisions", decisions), ("verdicts", verdicts), ("clicks", clicks)):
        add_rows(lake, name, found)


def last(cases: Sequence[Case]) -> dict[str, str]:
    """Return click id → cause."""
    return {f"{n}-{case.count}": case.cause for n, case in enumerate(cases)}


def test_a_run_hits_each_cause_exactly_once(lake: Lake, versions: dict[str, ModelVersion]) -> None:
    fill(lake, versions, ONCE)
    done = run(lake, "b")
    assert done.by_click("changes", "cause") == last(ONCE)
    assert Counter(last(ONCE).values()) == Counter(CAUSES.keys())
    tallies = done.summary.causes
    assert [(name, tally.clicks) for name, tally in tallies.items()] == [(c, 1) for c in CAUSES]
    assert [name for name, tally in tallies.items() if tally.micros != -PRICE] == ["availability"]
    assert sum(t.clicks for t in tallies.values()) == done.summary.changed.clicks == len(ONCE)
    assert sum(t.micros for t in tallies.values()) == done.summary.changed.micros == -8 * PRICE


def test_the_first_cause_that_fits(lake: Lake, versions: dict[str, ModelVersion]) -> None:
    fill(lake, versions, MORE)
    assert run(lake, "b").by_click("changes", "cause") == last(MORE)


def test_a_rerun_of_production_blames_features_alone(
    lake: Lake, versions: dict[str, ModelVersion]
) -> None:
    cases = [Case("features", 3, "A", "valid", (1,)), Case("features", 1, "A", "invalid", (4,))]
    fill(lake, versions, cases)
    found = run(lake, "a").by_click("changes", "cause")
    assert {c: cause for c, cause in found.items() if c in last(cases)} == last(cases)


def test_shared_features_are_logged_and_the_rest_recomputed(lake: Lake) -> None:
    """V has another spec; its user count is logged, its ip count never was.

    Production logged a user count of 1 where there are 3. By the user's clicks V sees 1 and agrees
    (so the features are to blame); by the ip's clicks V sees the log's 3 and differs: the model is.
    """
    a = at_least(lake, "a", 3)
    at_least(lake, "by-user", 3, spec=BOTH)
    at_least(lake, "by-ip", 3, spec=BOTH, feature="clicks_ip_1h")
    rows = [click(START + k, k, f"{k}", user_id="u", ip="i") for k in range(3)]
    ours = [logged(row, a, "valid", [1]) for row in rows]
    add_rows(lake, "decisions", ours)
    add_rows(lake, "clicks", rows)
    assert run(lake, "by-user").by_click("changes", "cause") == {"2": "features"}
    assert run(lake, "by-ip").by_click("changes", "cause") == {"2": "either"}
    other = click(START + 4, 4, "other", user_id="v", ip="i")
    add_rows(lake, "decisions", [logged(other, a, "valid", [1])])
    add_rows(lake, "clicks", [other])
    assert run(lake, "by-ip").by_click("changes", "cause") == {"2": "either", "other": "model"}


def test_a_borderline_click_of_production_is_no_lie(lake: Lake) -> None:
    """Production's machine may have fallen on the other side of a probability that is the bound."""
    edge = probability(at_least(lake, "probe", 3), 2)
    a = at_least(lake, "a", 3, threshold=edge)
    at_least(lake, "b", 2)
    rows = [click(START + k, k, f"{k}", user_id="u") for k in range(2)]
    said = [logged(rows[0], a, "valid", [1]), logged(rows[1], a, "valid", [2])]
    add_rows(lake, "decisions", said)
    add_rows(lake, "clicks", rows)
    assert run(lake, "b").by_click("changes", "cause") == {"1": "model"}
    assert run(lake, "a").summary.withheld == 1
