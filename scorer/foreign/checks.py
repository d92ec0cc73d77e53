"""What a graph must do to be kept: score each click alone, as a probability, as its maker says."""

from dataclasses import dataclass
from math import isfinite

import numpy as np

from scorer.errors import BadInput
from scorer.foreign.scoring import OnnxScorer
from scorer.models.plain import Floats
from scorer.scoring import BATCH_ROWS, Facts, Reals
from scorer.spec import Spec

TOLERANCE = 1e-6
ALONE = 64  # clicks that are also scored one by one, as a service does
DRAWN = 2 * BATCH_ROWS + 17


@dataclass(frozen=True)
class Sample:
    """Clicks and what the model's maker says of each: (F, n), (R, n) and (n,)."""

    facts: Facts
    reals: Reals
    expected: Floats


def check_scores(scorer: OnnxScorer, spec: Spec, where: str) -> None:
    """Check a graph on drawn clicks: one probability each, whatever stands beside it.

    Raises BadInput or BadModelFile naming `where`.
    """
    facts, reals = drawn(spec)
    p = scorer.probabilities(facts, reals)
    if (wrong := np.flatnonzero(np.isnan(p))).size:
        raise BadInput(f"{where}: {_no_probability(scorer, facts, reals, int(wrong[0]))}")
    order = np.random.default_rng(0).permutation(len(p))
    again = scorer.probabilities(facts[:, order], reals[:, order])
    if again.tobytes() != p[order].tobytes():
        most = float(np.abs(again - p[order]).max())
        raise BadInput(
            f"{where}: what it gives for a click depends on the clicks beside it (by {most:g}); "
            "export it so that every row is computed alone"
        )
    alone = scorer.served(facts[:, :ALONE].astype(np.float64), reals[:, :ALONE].astype(np.float64))
    if (most := float(np.abs(alone - p[:ALONE]).max())) > TOLERANCE:
        raise BadInput(
            f"{where}: what it gives for a click alone is another than among others (by {most:g}); "
            "export it so that every row is computed alone"
        )


def check_sample(scorer: OnnxScorer, sample: Sample, where: str) -> float:
    """Return the greatest difference from a sample; raise BadInput where it is above 1e-6."""
    found = scorer.probabilities(sample.facts, sample.reals).astype(np.float64)
    apart = np.abs(found - sample.expected)
    apart[np.isnan(apart)] = np.inf
    worst = int(apart.argmax())
    if apart[worst] > TOLERANCE:
        beyond = int((apart > TOLERANCE).sum())
        raise BadInput(
            f"{where}: row {worst + 1} says {sample.expected[worst]:.9g} and the graph gives "
            f"{found[worst]:.9g}, the most of {beyond:,} rows of {len(apart):,} that are more than "
            f"{TOLERANCE:g} apart; are its inputs the raw features, in the spec's order?"
        )
    return float(apart[worst])


def _no_probability(scorer: OnnxScorer, facts: Facts, reals: Reals, k: int) -> str:
    value = float(scorer.raw(facts[:, k : k + 1], reals[:, k : k + 1]).ravel()[0])
    found = f"gives {value:g} for a click, and a probability lies in [0, 1]"
    hint = "; if it gives the logit, say --output logit"
    return found + (hint if isfinite(value) and scorer.output == "probability" else "")


def drawn(spec: Spec) -> tuple[Facts, Reals]:
    """Draw features such as clicks have: skewed counts, gaps up to the cap, flags, angles."""
    random = np.random.default_rng(0)
    counts = sum(len(group.windows) for group in (*spec.counts, *spec.distincts))
    flags = len(spec.facts) - counts - len(spec.gaps)
    gaps = [random.integers(0, gap.cap_us // 1_000 + 1, DRAWN) for gap in spec.gaps]
    facts = [
        random.gamma(0.3, 30, (counts, DRAWN)),
        np.array(gaps).reshape(-1, DRAWN),
        random.integers(0, 2, (flags, DRAWN)),
    ]
    times = len(spec.time.parts) if spec.time else 0
    reals = [
        np.sin(random.uniform(0, 2 * np.pi, (times, DRAWN))),
        random.normal(100, 50, (len(spec.reals) - times, DRAWN)),
    ]
    return np.concatenate(facts).astype(np.int32), np.concatenate(reals).astype(np.float32)
