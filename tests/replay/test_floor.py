"""The noise floor: what production's own versions change, and what a run changes beyond that."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from replay.changes import KINDS, Tally
from replay.cli import main
from replay.errors import BadInput
from replay.floor_figures import Floor
from replay.lake import Lake
from replay.run import Request, execute, prepare
from replay.runs import run_folder
from replay.span import Span
from tests.lakes import Row, add_rows, click, make_lake
from tests.versions import (
    BOTH,
    HOUR,
    START,
    TWO_DAYS,
    Ran,
    at_least,
    burst,
    ignore,
    logged,
    probability,
    verdict,
)

MINUTE = HOUR // 60
NONE = Tally(0, 0)


def with_floor(lake: Lake, model: str, span: Span = TWO_DAYS, **asked: Any) -> Ran:  # noqa: ANN401
    request = Request(model, span, device="cpu", noise_floor=True, **asked)
    manifest, summary = execute(prepare(lake, request), ignore)
    return Ran(manifest, summary, run_folder(lake, manifest.run_id))


def floor(ran: Ran) -> Floor:
    assert ran.summary.floor is not None
    return ran.summary.floor


def promotion(at: int, version: str) -> Row:
    row = {"at": at, "model_version": version, "action": "promote", "by": "me", "reason": "why"}
    return {**row, "metrics": "{}"}


def some(**kinds: Tally) -> dict[str, Tally]:
    return {kind: kinds.get(kind, NONE) for kind in KINDS}


def test_skew_is_told_from_what_the_model_does(tmp_path: Path) -> None:
    """`a` calls the third click of an hour invalid, `b` the second; a's counters lost some."""
    lake = make_lake(tmp_path)
    a = at_least(lake, "a", 3)
    at_least(lake, "b", 2)
    rows = [row for n, user in enumerate("uvwx") for row in burst(3, user, price_micros=10**n)]
    said: list[Row] = []
    for row in rows:
        match row["click_id"]:
            case "u2":  # skewed: a should have called the third invalid, as b does
                said.append(logged(row, a, "valid", [1]))
            case "v1":  # skewed the other way: a should have called the second valid; b does not
                said.append(logged(row, a, "invalid", [3]))
            case "w2":  # of a version that is not stored
                said.append(logged(row, "gone", "valid", [1]))
            case "x2":  # never logged, and nothing stood
                pass
            case other:
                said.append(logged(row, a, "invalid" if other[1] == "2" else "valid"))
    for name, found in (("decisions", said), ("clicks", rows)):
        add_rows(lake, name, found)
    ran = with_floor(lake, "b")
    assert ran.summary.changes == some(
        to_invalid=Tally(5, -(1 + 1 + 100 + 100 + 1000)), missing=Tally(1, -1000)
    )  # u1, u2, w1, w2, x1; x2
    assert floor(ran) == Floor(
        compared=10,
        undecided=0,
        withheld=0,
        not_stored={"gone": 1},
        unknown=1,
        own=some(to_invalid=Tally(1, -1), to_valid=Tally(1, 10)),
        alike=some(to_invalid=Tally(1, -1)),
        beyond=some(to_invalid=Tally(3, -1101)),
        without=some(to_invalid=Tally(1, -100), missing=Tally(1, -1000)),
        only_run=some(to_invalid=Tally(3, -1101)),
        otherwise=some(),
        only_own=some(to_valid=Tally(1, 10)),
    )
    counts = {name: count for name, count in ran.manifest.counts.items() if "floor" in name}
    assert counts == {
        "floor_compared": 10,
        "floor_changed": 2,
        "floor_adjustment_micros": 9,
        "beyond_floor": 3,
        "beyond_floor_micros": -1101,
    }
    decided = ran.by_click("decisions", "floor_decision")
    assert [decided[c] for c in ("u1", "u2", "v1", "w2", "x2")] == [
        "valid",
        "invalid",
        "valid",
        None,
        None,
    ]


def test_the_own_version_replayed_is_its_own_floor(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    a = at_least(lake, "a", 3)
    rows = burst(4)
    add_rows(lake, "decisions", [logged(row, a, "valid", [1]) for row in rows])
    add_rows(lake, "clicks", rows)
    found = floor(with_floor(lake, "a"))
    assert found.own == found.alike == some(to_invalid=Tally(2, -500_000))
    assert found.beyond == found.without == found.only_own == some()


def test_an_outage_is_no_doing_of_the_model(tmp_path: Path) -> None:
    """Where production was undecided or silent, what stood there is asked: a, then b."""
    lake = make_lake(tmp_path)
    for name, k in (("a", 3), ("b", 2)):
        at_least(lake, name, k)
    rows = burst(2, "u") + burst(2, "v", START + HOUR)
    add_rows(lake, "promotions", [promotion(START - HOUR, "a"), promotion(START + HOUR, "b")])
    add_rows(lake, "decisions", [logged(rows[1], None, "undecided")])
    add_rows(lake, "clicks", rows)
    ran = with_floor(lake, "b")
    assert ran.by_click("decisions", "floor_model") == {"u0": "a", "u1": "a", "v0": "b", "v1": "b"}
    found = floor(ran)
    assert found.own == some(newly_decided=Tally(1, 0), missing=Tally(3, -250_000))
    assert found.alike == some(missing=Tally(3, -250_000))
    assert found.otherwise == found.beyond == some(newly_decided=Tally(1, -250_000))
    assert found.only_run == found.only_own == some()


def test_a_borderline_click_and_one_that_can_not_be_scored_are_no_floor(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    b = at_least(lake, "b", 3)
    edge = at_least(lake, "edge", 3, threshold=probability(b, 2))
    aged = at_least(lake, "aged", 2, spec=BOTH)
    age = {"key": "v", "valid_from": START - HOUR, "age": float("nan")}
    rows = burst(2) + burst(2, "v")
    said = [logged(row, edge if row["user_id"] == "u" else aged, "valid") for row in rows]
    for name, found in (("profiles_user", [age]), ("decisions", said), ("clicks", rows)):
        add_rows(lake, name, found)
    figures = floor(with_floor(lake, "b"))
    assert (figures.compared, figures.undecided, figures.withheld) == (4, 2, 1)
    assert figures.own == some()


# An oracle: the same in plain Python, for decisions, promotions and verdicts as they come.


@dataclass(frozen=True)
class World:
    """Clicks with what was said of them; `k` says from which click of an hour on is invalid."""

    clicks: list[dict[str, Any]]
    said: dict[str, tuple[str, str | None]]  # click id -> decision, model version
    verdicts: dict[str, str]
    promotions: list[tuple[int, str]]
    k: dict[str, int]

    def decision(self, version: str, row: Row) -> str:
        """Count the user's clicks of the hour, this one and those before it."""
        place = (row["ts"], row["seq"])
        seen = [
            other
            for other in self.clicks
            if other["user_id"] == row["user_id"]
            and (other["ts"], other["seq"]) <= place
            and other["ts"] // MINUTE > row["ts"] // MINUTE - 60
        ]
        return "invalid" if len(seen) >= self.k[version] else "valid"

    def own(self, row: Row) -> str | None:
        logged_by = self.said.get(row["click_id"], ("", None))[1]
        stood = [version for at, version in self.promotions if at <= row["ts"]]
        return logged_by or (stood[-1] if stood else None)


def change(row: Row, decision: str, standing: str | None) -> tuple[str, int] | None:
    """Return the kind of a change and what it bills more; None where it is none."""
    price = row["price_micros"]
    micros = (0 if decision == "invalid" else price) - (0 if standing == "invalid" else price)
    if standing is None:
        return "missing", micros
    if standing == "undecided":
        return "newly_decided", micros
    return None if decision == standing else (f"to_{decision}", micros)


def expected(world: World, version: str) -> dict[str, Any]:
    """Return the figures of a noise floor."""
    sets: dict[str, dict[str, Tally]] = defaultdict(some)
    counts: dict[str, int] = defaultdict(int)
    not_stored: dict[str, int] = defaultdict(int)

    def add(name: str, kind: str, micros: int) -> None:
        old = sets[name][kind]
        sets[name][kind] = Tally(old.clicks + 1, old.micros + micros)

    for row in world.clicks:
        production = world.said.get(row["click_id"], (None, None))[0]
        effective = world.verdicts.get(row["click_id"], production)
        own, decision = world.own(row), world.decision(version, row)
        ours = change(row, decision, effective)
        if own not in world.k:
            counts["unknown"] += own is None
            if own is not None:
                not_stored[own] += 1
            if ours:
                add("without", *ours)
            continue
        counts["compared"] += 1
        theirs = change(row, world.decision(own, row), production)
        if theirs:
            add("own", *theirs)
        if ours and theirs and (ours[0], decision) == (theirs[0], world.decision(own, row)):
            add("alike", *ours)
        elif ours:
            add("beyond", *ours)
            add("otherwise" if theirs else "only_run", *ours)
        elif theirs:
            add("only_own", *theirs)
    names = ("own", "alike", "beyond", "without", "only_run", "otherwise", "only_own")
    return {
        "compared": counts["compared"],
        "undecided": 0,
        "withheld": 0,
        "not_stored": dict(sorted(not_stored.items())),
        "unknown": counts["unknown"],
        **{name: sets[name] for name in names},
    }


def drawn(draw: Random) -> World:
    clicks = [
        click(START + MINUTE * 15 * draw.randrange(16), n, f"c{n}", user_id=draw.choice("uv"),
              price_micros=draw.randrange(1, 1000))
        for n in range(60)
    ]  # fmt: skip
    words, names = ["valid", "invalid", "undecided"], ["a", "b", "gone", None]
    ids = [row["click_id"] for row in clicks]
    return World(
        clicks,
        {c: (draw.choice(words), draw.choice(names)) for c in ids if draw.random() < 0.8},
        {c: draw.choice(words) for c in ids if draw.random() < 0.2},
        [(START + HOUR, "a"), (START + 2 * HOUR, "gone"), (START + 3 * HOUR, "b")],
        {"a": 3, "b": 2, "c": 4},
    )


@pytest.mark.parametrize("seed", range(6))
def test_against_plain_python(tmp_path: Path, seed: int) -> None:
    world = drawn(Random(seed))
    lake = make_lake(tmp_path / "lake")
    for name, k in world.k.items():
        at_least(lake, name, k)
    by_id = {row["click_id"]: row for row in world.clicks}
    said = [logged(by_id[c], version, word) for c, (word, version) in world.said.items()]
    verdicts = [verdict(by_id[c], word, n) for n, (c, word) in enumerate(world.verdicts.items())]
    add_rows(lake, "promotions", [promotion(at, name) for at, name in world.promotions])
    for table, rows in (("decisions", said), ("verdicts", verdicts), ("clicks", world.clicks)):
        add_rows(lake, table, rows)
    for version in ("c", "a"):
        found = floor(with_floor(lake, version))
        assert vars(found) == expected(world, version)
        assert found.own != some()


# How it is asked for, and what it says


@pytest.fixture
def skewed(tmp_path: Path) -> Lake:
    lake = make_lake(tmp_path / "lake")
    a = at_least(lake, "a", 3)
    at_least(lake, "b", 2)
    rows = burst(4)
    add_rows(lake, "decisions", [logged(row, a, "valid", [1]) for row in rows[:3]])
    add_rows(lake, "clicks", rows)
    return lake


def call(capsys: pytest.CaptureFixture[str], lake: Lake, *line: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([*line, "--home", str(lake.home)])
    assert isinstance(stop.value.code, int)
    return (stop.value.code, *capsys.readouterr())


ASKED = ("--from", "2026-03-01T12:00", "--to", "2026-03-03T12:00", "--model", "b", "--noise-floor")


def test_the_report_sets_both_side_by_side(
    skewed: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, skewed, *ASKED)
    said = " ".join(out.split())
    assert code == 0
    assert "production's own version decides 1 otherwise than it did (-0.25 USD)" in said
    assert "Of the changes by b, 1 (33.33%) are beyond it (-0.25 USD)" in said
    assert "to_invalid 2 -0.50 USD 1 -0.25 USD 1 -0.25 USD" in said
    assert "noise floor: none for 1 clicks" in said
    document = json.loads(call(capsys, skewed, *ASKED, "--json")[1])
    figures = document["summary"]["floor"]
    assert (document["noise_floor"], document["counts"]["beyond_floor"]) == (True, 1)
    assert figures["alike"]["to_invalid"] == {"clicks": 1, "micros": -250_000}
    again = json.loads(call(capsys, skewed, "runs", "show", "latest", "--json")[1])
    assert again["summary"]["floor"] == figures


def test_without_it_nothing_is_said_or_written(skewed: Lake) -> None:
    manifest, summary = execute(prepare(skewed, Request("b", TWO_DAYS, device="cpu")), ignore)
    ran, asked = (
        Ran(manifest, summary, run_folder(skewed, manifest.run_id)),
        with_floor(skewed, "b"),
    )
    assert (summary.floor, manifest.noise_floor) == (None, False)
    less = {name for name in ran.rows("decisions")[0] if name.startswith("floor")}
    assert less == set()
    assert ran.rows("changes") == asked.rows("changes")
    for before, after in zip(ran.rows("decisions"), asked.rows("decisions"), strict=True):
        assert before.items() <= after.items()


def test_a_floor_of_logged_features_is_refused(
    skewed: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadInput, match="goes with --features recomputed"):
        Request("b", TWO_DAYS, features="logged", noise_floor=True)
    code, _, errors = call(capsys, skewed, *ASKED, "--features", "logged")
    assert (code, errors.count("\n")) == (2, 1)
