"""What a run decided, against who clicked: by kind of actor and slice, and money credited wrongly.

It needs no production: a lake without decisions can be judged too. How well a run repairs what
production decided is told by `simulator.score`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from replay.errors import BadInput
from replay.lake import Lake
from replay.runs import read_manifest, run_folder
from replay.snapshot import Snapshot, connect, reading
from replay.tables import CLICKS, TRUTH
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


def _invalid(tallies: Iterable[Tally]) -> Share:
    found = list(tallies)
    return Share(sum(each.invalid for each in found), sum(each.clicks for each in found))
