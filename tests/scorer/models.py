"""Small fitted modules and colliding features for the tests of scoring."""

import numpy as np
import torch

from scorer.calibration import Calibration
from scorer.models import Architecture, build
from scorer.registry import ModelVersion, Registry
from scorer.scoring import Facts, Reals
from scorer.spec import Spec, load_spec
from scorer.training import TrainingSet

SPEC = load_spec("default")


def features(rows: int, seed: int = 0, spec: Spec = SPEC) -> tuple[Facts, Reals]:
    """Skewed counts with many small values, as velocities are, and any reals."""
    random = np.random.default_rng(seed)
    facts = random.gamma(0.3, 30, size=(len(spec.facts), rows)).astype(np.int32)
    reals = random.normal(size=(len(spec.reals), rows)).astype(np.float32) * 3
    return facts, reals


def module(architecture: str = "mlp", seed: int = 0, spec: Spec = SPEC) -> Architecture:
    """A module with drawn weights and the scaling of some clicks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = build(architecture, spec)
    facts, reals = features(2_000, seed, spec)
    built.inputs.fit(torch.from_numpy(facts), torch.from_numpy(reals))
    return built


def stored(registry: Registry, name: str, architecture: str = "mlp", seed: int = 0) -> ModelVersion:
    """Write a version with drawn weights."""
    return registry.write(name, module(architecture, seed), SPEC, Calibration(overall=0.5))


def training_set(
    rows: int = 3_000, seed: int = 0, buyers: float = 0.2, apart: int = 10
) -> TrainingSet:
    """Robots click fast and never buy; some of the humans' clicks are known to be humans'.

    Clicks come `apart` µs from each other.
    """
    random = np.random.default_rng(seed)
    robot = random.random(rows) < 0.3
    facts, reals = features(rows, seed)
    facts[:16] = random.geometric(np.where(robot, 0.02, 0.4), size=(16, rows))
    human = ~robot & (random.random(rows) < buyers)
    return TrainingSet(
        facts=facts,
        reals=reals,
        ts=np.arange(rows) * apart,
        human=human,
        purchasing=human & (random.random(rows) < 0.7),  # the others have high RFM
        robotic=robot & (random.random(rows) < 0.5),
        logged_in=random.random(rows) < 0.5,
        slices=random.integers(0, 3, rows).astype(np.int32),
        slice_keys=("device=app", "device=pc", "device=tv"),
        start=0,
        end=rows * apart,
    )
