"""What a graph must do to be kept: score each click alone, as a probability, as its maker says."""

from dataclasses import dataclass

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
        k = int(wrong[0])
        value = scorer.raw(facts[:, k : k + 1], reals[:, k : k + 1]).ravel()[0]
        raise BadInput(
            f"{where}: gives {value:g} for a click, and a probability lies in [0, 1]; "
            "if it gives the logit, say --output logit"
        )
    order = np.random.default_rng(0).permutation(len(p))
    if (again := scorer.probabilities(facts[:, order], reals[:, order])).tobytes() != p[
        order
    ].tobytes():
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


def drawn(spec: Spec) -> tuple[Facts, Reals]:
    """Draw features like clicks': skewed counts with many small values, and any reals."""
    random = np.random.default_rng(0)
    facts = random.gamma(0.3, 30, size=(len(spec.facts), DRAWN)).astype(np.int32)
    reals = random.normal(size=(len(spec.reals), DRAWN)).astype(np.float32)
    return facts, reals
