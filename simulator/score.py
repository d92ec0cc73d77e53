"""How well a run repairs, against the truth: by incident, by kind of actor, and in all.

A click was made *wrong* where production's decision is not the one that the healthy version gives
on right features; it is *put right* where the decision after the run is that one. A change is true
where it agrees with who clicked: invalid for a robot, valid for a person. Money is what is billed,
and should not be (`over`), or is not, and should be (`under`), before and after the run.
"""

from dataclasses import asdict, dataclass
from typing import Any

from replay.errors import BadInput
from replay.lake import Lake
from replay.runs import check_run, read_manifest, run_folder
from replay.snapshot import Snapshot, connect, reading
from replay.span import Span, iso
from replay.tables import CLICKS, DECISION_TRUTH, TRUTH
from scorer.metrics import Share

ALL, INCIDENT, ACTOR = "all", "incident", "actor"
NO_INCIDENT = "none"

# Click times differ in no table, and so files are pruned by the run's span.
_QUERY = """
WITH after AS (
  SELECT d.click_id, d.price_micros, d.production, c.decision AS changed,
    coalesce(d.effective, 'undecided') AS before,
    coalesce(c.decision, d.effective, 'undecided') AS decision
  FROM {decisions} d LEFT JOIN {changes} c USING (click_id)
),
beside AS (
  SELECT a.*, t.decision AS should, coalesce(t.incident_id, '{none}') AS incident,
    u.kind AS actor, CASE WHEN u.is_robot THEN 'invalid' ELSE 'valid' END AS really
  FROM after a JOIN {decision_truth} t USING (click_id) JOIN {truth} u USING (click_id)
)
SELECT
  CASE WHEN grouping(incident) = 0 THEN '{incident}' WHEN grouping(actor) = 0 THEN '{actor}'
    ELSE '{all}' END AS part,
  coalesce(incident, actor, '{all}') AS name,
  count(*) AS clicks,
  count(changed) AS changes,
  count(*) FILTER (changed = really) AS true_changes,
  count(*) FILTER (coalesce(production, 'undecided') <> should) AS wrong,
  count(*) FILTER (coalesce(production, 'undecided') <> should AND decision = should) AS put_right,
  {money}
FROM beside GROUP BY GROUPING SETS ((), (incident), (actor)) ORDER BY ALL
"""


@dataclass(frozen=True)
class Money:
    """What is billed and should not be, and what should be and is not; micros, both ≥ 0."""

    over: int
    under: int

    @property
    def net(self) -> int:
        """Billed less what should be billed."""
        return self.over - self.under


@dataclass(frozen=True)
class Score:
    """One part of a run's clicks.

    `part` is all, incident or actor, and `name` which. Money is held against what the healthy
    version would have billed, and against who really clicked.
    """

    part: str
    name: str
    clicks: int
    precision: Share  # true changes / changes
    recall: Share  # clicks put right / clicks made wrong
    healthy_before: Money
    healthy_after: Money
    truth_before: Money
    truth_after: Money


@dataclass(frozen=True)
class Scores:
    """A run's scores: of all its clicks first, then by incident, then by kind of actor."""

    run_id: str
    span: Span
    rows: tuple[Score, ...]

    @property
    def whole(self) -> Score:
        """The score of all clicks."""
        return self.rows[0]

    def of(self, name: str) -> Score:
        """Return the score of one incident, by its id, or of one kind of actor."""
        return next(row for row in self.rows if row.name == name)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data; times in UTC, money in micros."""
        span = {"from": iso(self.span.start), "to": iso(self.span.end)}
        return {"run_id": self.run_id, **span, "scores": [_plain(row) for row in self.rows]}


def score_run(lake: Lake, run_id: str) -> Scores:
    """Hold a run against the truth.

    Raises BadInput where there is no such run, where it is another lake's, or where the lake has no
    truth of its clicks; Inconsistent where its parts are not what it wrote.
    """
    folder = run_folder(lake, run_id)
    manifest = read_manifest(folder)
    check_run(lake, folder, manifest)
    snapshot = Snapshot.take(lake, tables=(CLICKS, TRUTH, DECISION_TRUTH))
    sources = {name: snapshot.source(name, manifest.span) for name in ("truth", "decision_truth")}
    parts = {kind: folder.source(kind) for kind in ("decisions", "changes")}
    names = {"all": ALL, "incident": INCIDENT, "actor": ACTOR, "none": NO_INCIDENT}
    query = _QUERY.format(money=_money(), **sources, **parts, **names)
    with reading(snapshot), connect() as connection:
        found = connection.sql(query)
        rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    replayed = manifest.counts["replayed"]
    scores = sorted((_score(row) for row in rows), key=lambda s: (_PARTS.index(s.part), s.name))
    if not scores or scores[0].clicks != replayed:
        known = scores[0].clicks if scores else 0
        raise BadInput(
            f"the truth of {known:,} of the {replayed:,} clicks of run {manifest.run_id} is known; "
            "only a lake simulated with a [production] can be scored"
        )
    return Scores(manifest.run_id, manifest.span, tuple(scores))


_PARTS = (ALL, INCIDENT, ACTOR)
_REFERENCES = {"healthy": "should", "truth": "really"}
_MOMENTS = {"before": "before", "after": "decision"}


def _money() -> str:
    """Write SQL for the four pairs of sums."""
    return ",\n  ".join(
        f"coalesce(sum(price_micros) FILTER ({billed} AND {wrong}), 0)::BIGINT "
        f"AS {reference}_{moment}_{way}"
        for reference, should in _REFERENCES.items()
        for moment, decision in _MOMENTS.items()
        for way, billed, wrong in (
            ("over", f"{decision} <> 'invalid'", f"{should} = 'invalid'"),
            ("under", f"{decision} = 'invalid'", f"{should} <> 'invalid'"),
        )
    )


def _score(row: dict[str, Any]) -> Score:
    money = {
        f"{reference}_{moment}": Money(
            row[f"{reference}_{moment}_over"], row[f"{reference}_{moment}_under"]
        )
        for reference in _REFERENCES
        for moment in _MOMENTS
    }
    return Score(
        part=row["part"],
        name=row["name"],
        clicks=row["clicks"],
        precision=Share(row["true_changes"], row["changes"]),
        recall=Share(row["put_right"], row["wrong"]),
        **money,
    )


def _plain(score: Score) -> dict[str, Any]:
    shares = {
        "changes": score.precision.whole,
        "true_changes": score.precision.part,
        "precision": score.precision.rate,
        "wrong": score.recall.whole,
        "put_right": score.recall.part,
        "recall": score.recall.rate,
    }
    rest = {k: v for k, v in asdict(score).items() if k not in ("precision", "recall")}
    return {**rest, **shares}
