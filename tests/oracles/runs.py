"""What a run should say, in plain Python, of small lakes that collide.

Four versions of known behaviour, strategies for their lakes, and sections 2, 5 and 7 of the design.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from replay.config import LakeConfig
from replay.lake import Lake
from replay.span import Span
from tests.lakes import add_rows, click, make_lake
from tests.versions import HOUR, START, USER, at_least, probability

Row = dict[str, Any]
SPAN = Span(START, START + 3 * HOUR)
MINUTE = HOUR // 60
ATTRIBUTION = HOUR


@dataclass(frozen=True)
class Rule:
    """A stored version: invalid from so many clicks on, borderline at one count or none."""

    invalid_from: int
    weights: str
    borderline: int | None = None

    def says(self, count: int) -> str:
        return "invalid" if count >= self.invalid_from else "valid"

    def flips(self, count: int, was: str) -> bool:
        return self.says(count) != was and count != self.borderline


RULES = {
    "a": Rule(3, "a"),
    "b": Rule(2, "b"),
    "b-strict": Rule(3, "b"),
    "edge": Rule(2, "a", borderline=2),
}


def store_rules(home: Path) -> Path:
    """Store the versions of RULES in a lake; return its folder of versions."""
    lake = make_lake(home)
    a = at_least(lake, "a", 3)
    at_least(lake, "b", 2)
    at_least(lake, "b-strict", 2, threshold=0.99)
    at_least(lake, "edge", 3, threshold=probability(a, 2))
    return lake.home / "models"


@dataclass(frozen=True)
class Drawn:
    """A small lake; `decisions` and `verdicts` are by click id, `verdicts` in ledger order."""

    clicks: list[Row]
    decisions: dict[str, Row]
    verdicts: list[tuple[str, str]]
    purchases: list[Row]


WORD = st.sampled_from(["valid", "invalid", "undecided"])
DECISION = st.none() | st.fixed_dictionaries(
    {
        "decision": WORD,
        "model_version": st.sampled_from([None, "gone", *RULES]),
        "facts": st.sampled_from([None, [1], [2], [3], [3], [1, 1]]),
    }
)


@st.composite
def lakes(draw: st.DrawFn) -> Drawn:
    times = st.integers(-2, 6).map(lambda k: START + k * HOUR // 2)
    users = st.sampled_from(["u", "v", None])
    row = st.tuples(times, st.integers(0, 1), users, st.sampled_from([0, 1, 250_000]))
    devices = st.sampled_from(["desktop", "tablet"])
    clicks = [
        click(ts, seq, f"c{n}", user_id=user, price_micros=price, device=draw(devices))
        for n, (ts, seq, user, price) in enumerate(draw(st.lists(row, min_size=8, max_size=16)))
    ]
    clicks.append(click(START, 9, "always"))
    ids = [c["click_id"] for c in clicks]
    made = {c: draw(DECISION) for c in ids}
    verdicts = draw(st.lists(st.tuples(st.sampled_from(ids), WORD), max_size=6))
    bought = draw(st.lists(st.tuples(times, users, st.none() | st.sampled_from(ids)), max_size=4))
    purchases = [
        {"purchase_id": f"p{n}", "ts": ts, "user_id": user, "click_id": named}
        for n, (ts, user, named) in enumerate(bought)
    ]
    return Drawn(clicks, {c: d for c, d in made.items() if d}, verdicts, purchases)


class Oracle:
    """Sections 2, 5 and 7 of the design, in plain Python."""

    def __init__(self, drawn: Drawn, model: str, features: str, where: str | None) -> None:
        self.drawn, self.rule = drawn, RULES[model]
        self.features, self.where = features, where
        self.log = sorted(drawn.clicks, key=lambda c: (c["ts"], c["seq"], c["click_id"]))
        self.verdicts = dict(drawn.verdicts)  # the last one stands
        self.purchasing = {c for p in drawn.purchases if (c := self._bought(p))}
        self.known_until = max(r["ts"] for r in [*drawn.clicks, *drawn.purchases])

    def _bought(self, purchase: Row) -> str | None:
        if purchase["click_id"]:
            return str(purchase["click_id"])
        theirs = [
            c["click_id"]
            for c in self.log
            if c["user_id"] is not None
            and c["user_id"] == purchase["user_id"]
            and 0 <= purchase["ts"] - c["ts"] <= ATTRIBUTION
        ]
        return theirs[-1] if theirs else None

    def count(self, place: int) -> int:
        mine = self.log[place]
        edge = mine["ts"] // MINUTE - 60
        return sum(
            c["user_id"] is not None
            and c["user_id"] == mine["user_id"]
            and c["ts"] // MINUTE > edge
            for c in self.log[: place + 1]
        )

    def logged(self, click_id: str) -> int | None:
        facts = self.drawn.decisions.get(click_id, {}).get("facts")
        return facts[0] if facts and len(facts) == 1 else None

    def decisions(self) -> Iterator[tuple[Row, int, Row]]:
        """Yield each replayed click, its count, and what a run should say of it."""
        for place, row in enumerate(self.log):
            if not SPAN.start <= row["ts"] < SPAN.end:
                continue
            if self.where and row["device"] != "tablet":
                continue
            name = row["click_id"]
            count = self.count(place)
            scored = self.logged(name) if self.features == "logged" else count
            production = self.drawn.decisions.get(name, {}).get("decision")
            said = {
                "click_id": name,
                "decision": "undecided" if scored is None else self.rule.says(scored),
                "borderline": scored is not None and scored == self.rule.borderline,
                "production": production,
                "effective": self.verdicts.get(name, production),
                "purchased": name in self.purchasing,
            }
            said["withheld"] = said["borderline"] and self._kind(said) is not None
            yield row, count, said

    def changes(self) -> list[Row]:
        return [
            {
                "click_id": said["click_id"],
                "kind": self._kind(said),
                "cause": self._cause(said, count),
                "outcome": self._outcome(said, row),
                "adjustment_micros": self._billed(row, said["decision"])
                - self._billed(row, said["effective"]),
            }
            for row, count, said in self.decisions()
            if self._kind(said) and not said["borderline"]
        ]

    def _kind(self, said: Row) -> str | None:
        match said["effective"], said["decision"]:
            case _, "undecided":
                return None
            case None, _:
                return "missing"
            case "undecided", _:
                return "newly_decided"
            case before, after:
                return None if before == after else f"to_{after}"

    def _cause(self, said: Row, count: int) -> str:
        was = said["production"]
        if was in (None, "undecided"):
            return "availability"
        if was == said["decision"]:
            return "verdict"
        theirs = RULES.get(self.drawn.decisions[said["click_id"]]["model_version"])
        saw = self.logged(said["click_id"])
        if theirs is None or saw is None:
            return "unattributable"
        if theirs.flips(saw, was):
            return "unreproducible"
        match self.rule.flips(saw, was), theirs.flips(count, was):
            case True, True:
                return "either"
            case True, False:
                return "threshold" if theirs.weights == self.rule.weights else "model"
            case False, True:
                return "features"
            case _:
                return "joint"

    def _outcome(self, said: Row, row: Row) -> str | None:
        if said["decision"] != "invalid":
            return None
        if said["purchased"]:
            return "purchased"
        return "too_early" if row["ts"] + ATTRIBUTION > self.known_until else "not_purchased"

    def _billed(self, row: Row, decision: str | None) -> int:
        return 0 if decision == "invalid" else int(row["price_micros"])


def store(folder: str, models: Path, drawn: Drawn) -> Lake:
    """Write what was drawn to a lake that has the versions of RULES."""
    lake = make_lake(folder)
    (lake.home / "models").symlink_to(models)
    place = {c["click_id"]: {k: c[k] for k in ("click_id", "seq", "ts")} for c in drawn.clicks}
    decisions = [
        {
            **place[name],
            **made,
            "spec_digest": made["facts"] and USER.digest,
            "reals": None if made["facts"] is None else [],
        }
        for name, made in drawn.decisions.items()
    ]
    verdicts = [
        {
            **place[name],
            "verdict_id": f"v{n}",
            "run_id": "r",
            "issued_at": START,
            "previous": "valid",
            "decision": decision,
            "adjustment_micros": 0,
            "advertiser_id": "adv1",
            "campaign_id": "camp1",
            "reason": "test",
            "ledger_seq": n,
        }
        for n, (name, decision) in enumerate(drawn.verdicts)
    ]
    tables = {"decisions": decisions, "verdicts": verdicts[::-1], "purchases": drawn.purchases}
    for name, rows in tables.items():
        add_rows(lake, name, rows)
    add_rows(lake, "clicks", drawn.clicks)
    return Lake(lake.home, LakeConfig(currency="USD", attribution_hours=1))
