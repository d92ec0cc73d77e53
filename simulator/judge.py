"""What a run decided, against who clicked: by kind of actor and slice, and what it would repair.

It needs no production: a lake without decisions can be judged too. Where `simulator.score` asks
whether a run restores what the healthy version decides, this asks whether its decisions are true: a
version that knows more than the healthy one is not to be blamed for it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from replay.errors import BadInput
from replay.lake import Lake
from replay.runs import read_manifest, run_folder
from replay.snapshot import Snapshot, connect, reading
from replay.tables import CLICKS, DECISION_TRUTH, TRUTH
from scorer.metrics import Share

_TALLY = """
SELECT kind, is_robot, slice, count(*), count(*) FILTER (decision = 'invalid'),
  coalesce(sum(price_micros) FILTER (coalesce(effective, 'undecided') <> 'invalid'), 0)::BIGINT,
  coalesce(sum(price_micros) FILTER (
    coalesce(effective, 'undecided') <> 'invalid' AND decision = 'invalid'
  ), 0)::BIGINT
FROM {decisions} JOIN {truth} USING (click_id)
GROUP BY ALL ORDER BY ALL
"""

_REPAIR = """
WITH beside AS (
  SELECT c.decision AS changed, coalesce(c.decision, d.effective, 'undecided') AS decision,
    coalesce(d.production, 'undecided') <> t.decision AS wrong,
    CASE WHEN u.is_robot THEN 'invalid' ELSE 'valid' END AS really
  FROM {decisions} d LEFT JOIN {changes} c USING (click_id)
    JOIN {decision_truth} t USING (click_id) JOIN {truth} u USING (click_id)
  WHERE t.incident_id IS NOT NULL
)
SELECT count(*) FILTER (wrong AND decision = really), count(*) FILTER (wrong),
  count(*) FILTER (changed = really), count(changed)
FROM beside
"""


@dataclass(frozen=True)
class Repair:
    """What a run would do to the clicks that are laid to incidents.

    `recall`: of those that were decided otherwise than by the healthy version on right features,
    the share whose decision after the run is true to who clicked. `precision`: of the run's
    changes, the share that is.
    """

    recall: Share
    precision: Share


@dataclass(frozen=True)
class Tally:
    """The clicks of one kind of actor in one slice of the run's version.

    `billed_micros` is what their effective decisions bill, `credited_micros` what of that the run
    would credit.
    """

    kind: str
    is_robot: bool
    slice_key: str
    clicks: int
    invalid: int
    billed_micros: int
    credited_micros: int


@dataclass(frozen=True)
class Judged:
    """A run's tallies, by kind and slice."""

    tallies: tuple[Tally, ...]

    def detection(self) -> dict[str, Share]:
        """Return the share of each robot kind's clicks that the run calls invalid."""
        kinds = dict.fromkeys(each.kind for each in self.tallies if each.is_robot)
        return {
            kind: _invalid(each for each in self.tallies if each.kind == kind) for kind in kinds
        }

    def human_fpr(self) -> Share:
        """Return the share of people's clicks that the run calls invalid."""
        return _invalid(each for each in self.tallies if not each.is_robot)

    def human_fpr_by_slice(self) -> dict[str, Share]:
        """Return the same of each slice that has a click by people."""
        people = [each for each in self.tallies if not each.is_robot]
        slices = sorted({each.slice_key for each in people})
        return {key: _invalid(each for each in people if each.slice_key == key) for key in slices}

    def wrongly_credited(self) -> Share:
        """Return the share of the billed micros that the run credits for people's clicks."""
        credited = sum(each.credited_micros for each in self.tallies if not each.is_robot)
        return Share(credited, sum(each.billed_micros for each in self.tallies))


def judge_run(lake: Lake, run_id: str) -> Judged:
    """Hold a run's decisions against the truth.

    Raises BadInput where there is no such run, or where the lake has no truth of its clicks.
    """
    folder = run_folder(lake, run_id)
    manifest = read_manifest(folder)
    snapshot = Snapshot.take(lake, tables=(CLICKS, TRUTH))
    sources = {"decisions": folder.source("decisions")}
    sources["truth"] = snapshot.source("truth", manifest.span)
    with reading(snapshot), connect() as connection:
        rows = connection.execute(_TALLY.format(**sources)).fetchall()
    judged = Judged(tuple(Tally(*row) for row in rows))
    known, replayed = sum(each.clicks for each in judged.tallies), manifest.counts["replayed"]
    if known != replayed:
        raise BadInput(
            f"the truth of {known:,} of the {replayed:,} clicks of run {manifest.run_id} is known; "
            "only a simulated lake can be judged"
        )
    return judged


def judge_repair(lake: Lake, run_id: str) -> Repair:
    """Hold what a run would change of an incident's clicks against the truth.

    Raises BadInput where there is no such run.
    """
    folder = run_folder(lake, run_id)
    manifest = read_manifest(folder)
    snapshot = Snapshot.take(lake, tables=(CLICKS, TRUTH, DECISION_TRUTH))
    sources = {name: snapshot.source(name, manifest.span) for name in ("truth", "decision_truth")}
    parts = {kind: folder.source(kind) for kind in ("decisions", "changes")}
    with reading(snapshot), connect() as connection:
        query = _REPAIR.format(**sources, **parts)
        put_right, wrong, true, changes = connection.execute(query).fetchall()[0]
    return Repair(Share(put_right, wrong), Share(true, changes))


def _invalid(tallies: Iterable[Tally]) -> Share:
    found = list(tallies)
    return Share(sum(each.invalid for each in found), sum(each.clicks for each in found))
