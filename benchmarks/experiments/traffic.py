"""Generated clicks for one seed: what arms are trained on, and the later days that none saw."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.span import Span
from replay.tables import TRUTH
from replay.training import training_set
from scorer.metrics import Flags
from scorer.spec import Spec, load_spec
from scorer.training import TrainingSet
from simulator.rows import user_ids
from simulator.scenario import Scenario, load_scenario
from simulator.world import World, make_world
from simulator.write import simulate

SCENARIO = Path(__file__).with_name("week.toml")
DAY = 86_400_000_000
TRAINED_DAYS = 7
MORE = 1_000  # added to a seed for the clicks that calibration alone sees
HUMAN = "people"
CRAWLERS, PATIENT, BURSTS = "quick scripts", "patient robots", "bursts"
SPEC: Spec = load_spec("default")

_TRUTH = """
SELECT actor, user_id IS NOT NULL AS known
FROM {truth} JOIN {clicks} c USING (click_id) ORDER BY c.ts, c.seq, click_id
"""


@dataclass(frozen=True)
class Unseen:
    """Clicks that no arm saw; `kinds` are places in `KINDS`, `known` are those with a user id."""

    clicks: TrainingSet
    kinds: npt.NDArray[np.int64]  # (n,)
    known: Flags  # (n,)

    @property
    def robot(self) -> Flags:
        """Tell which clicks are robots', by the simulator's truth."""
        return self.kinds > 0


KINDS = (HUMAN, CRAWLERS, PATIENT, BURSTS)


def scenario(seed: int, clicks_per_day: int, days: int | None = None) -> Scenario:
    """Return the scenario of a seed."""
    changes = {"seed": seed, "clicks_per_day": clicks_per_day}
    return load_scenario(str(SCENARIO), changes | ({"days": days} if days else {}))


def make_lake(chosen: Scenario, home: Path) -> Snapshot:
    """Simulate into a new lake; one that stands there goes."""
    shutil.rmtree(home, ignore_errors=True)
    lake = Lake.create(home, "USD")
    simulate(lake, chosen)
    return Snapshot.take(lake)


def trained_on(snapshot: Snapshot, chosen: Scenario) -> TrainingSet:
    """Return the first week; the product holds the last fifth of it out."""
    start = chosen.span.start
    return gather(snapshot, Span(start, start + TRAINED_DAYS * DAY))


def tested_on(snapshot: Snapshot, chosen: Scenario) -> Unseen:
    """Return the days after the week, with who made each click."""
    span = Span(chosen.span.start + TRAINED_DAYS * DAY, chosen.span.end)
    clicks = gather(snapshot, span)
    truth = _truth(snapshot, span)
    kinds = _kinds(make_world(chosen), truth["actor"])
    return Unseen(clicks, kinds, truth["known"].to_numpy())


def gather(snapshot: Snapshot, span: Span) -> TrainingSet:
    """Return features and labels of a span, as `replay train` gathers them."""
    return training_set(snapshot, SPEC, span, lambda _: None)


def _truth(snapshot: Snapshot, span: Span) -> pa.Table:
    """Return who made each click, and whether the log shows it, in log order."""
    truth = Snapshot.take(snapshot.lake, tables=[TRUTH]).source("truth", span)
    query = _TRUTH.format(truth=truth, clicks=snapshot.source("clicks", span))
    with connect(threads=2) as connection:
        return connection.sql(query).to_arrow_table()


def _kinds(world: World, actors: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return each actor's place in KINDS: people stand first among users, then robots by team."""
    robots = sum(team.users for team in world.teams)
    users = user_ids(world, np.arange(len(world.people) + robots))
    user = pc.index_in(actors, value_set=users).to_numpy()
    first = np.array([team.first_user for team in world.teams])
    kinds: npt.NDArray[np.int64] = np.searchsorted(first, user, side="right")
    return kinds.clip(max=KINDS.index(BURSTS))
