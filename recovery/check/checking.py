"""From a candidate and cases to figures: simulate, replay, judge; nothing is written to a lake."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recovery.check.cache import SimulatedLakes
from recovery.check.candidate import STAGED, Candidate
from recovery.check.figures import Figure, figures
from recovery.check.suite import Case
from replay.lake import Lake
from replay.run import Request, execute, prepare
from simulator.judge import Judged, Repair, judge_repair, judge_run
from simulator.versions import history


@dataclass(frozen=True)
class Outcome:
    """What a candidate made of one case; `repair` where a bound is on what it repairs."""

    case: Case
    figures: tuple[Figure, ...]
    judged: Judged
    repair: Repair | None
    seconds: float

    @property
    def broken(self) -> tuple[Figure, ...]:
        """The figures whose bounds do not hold."""
        return tuple(figure for figure in self.figures if not figure.holds)


@dataclass(frozen=True)
class Check:
    """A checked version, by name and digest, and what it made of every case."""

    model: str
    digest: str
    outcomes: tuple[Outcome, ...]

    @property
    def holds(self) -> bool:
        """Whether every bound of every case holds."""
        return not any(outcome.broken for outcome in self.outcomes)

    @property
    def seconds(self) -> float:
        """How long all cases took."""
        return sum(outcome.seconds for outcome in self.outcomes)


def expected_clicks(cases: Sequence[Case], lakes: SimulatedLakes) -> int:
    """Return about how many clicks will be simulated and read, for showing progress."""
    total, pasts = 0, set()
    for case in cases:
        simulated = not lakes.has(case.scenario)
        total += case.scenario.expected_clicks * (2 if simulated else 1)
        if simulated and case.scenario.production:
            past = history(case.scenario)
            pasts.add((past.span, past.seed, past.expected_clicks))
    return total + sum(clicks for _, _, clicks in pasts)


def run_check(
    candidate: Candidate,
    cases: Sequence[Case],
    lakes: SimulatedLakes,
    advance: Callable[[int], None],
) -> Check:
    """Hold a candidate against every case; `advance` hears of clicks simulated and read."""
    outcomes = tuple(_hold(candidate, case, lakes, advance) for case in cases)
    return Check(candidate.version.name, candidate.version.digest, outcomes)


def _hold(
    candidate: Candidate, case: Case, lakes: SimulatedLakes, advance: Callable[[int], None]
) -> Outcome:
    started = time.monotonic()
    home = lakes.lake(case.scenario, advance)
    with _beside(home, candidate) as lake:
        manifest, _ = execute(prepare(lake, Request(STAGED, case.span, device="cpu")), advance)
        judged = judge_run(lake, manifest.run_id)
        repair = judge_repair(lake, manifest.run_id) if case.bounds.on_repair else None
    found = figures(case.bounds, judged, repair)
    return Outcome(case, found, judged, repair, time.monotonic() - started)


@contextmanager
def _beside(home: Path, candidate: Candidate) -> Iterator[Lake]:
    """Give a lake that has a kept lake's tables and versions by links, and the candidate.

    What a run writes lands beside the links and is gone afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="replay-check-") as scratch:
        folder = Path(scratch)
        models = folder / "models"
        models.mkdir()
        (models / STAGED).symlink_to(candidate.folder)
        for path in home.glob("models/*"):
            (models / path.name).symlink_to(path)
        for path in home.iterdir():
            if path.name != models.name:
                (folder / path.name).symlink_to(path)
        yield Lake.open(folder)
