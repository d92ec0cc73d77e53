"""What is compared: an arm is a model as the product trains it, with one thing another way."""

from dataclasses import dataclass, replace

from benchmarks.experiments.traffic import SPEC
from scorer.training import Settings, Trained, TrainingSet, train

BUDGET = 0.01  # of purchasing clicks that may be lost


@dataclass(frozen=True)
class Arm:
    """A model; without `rfm` only purchasing clicks are labelled human."""

    name: str
    architecture: str
    weights: bool = True
    rfm: bool = True

    def train(self, clicks: TrainingSet, seed: int) -> Trained:
        """Train it with the product's own settings."""
        labelled = clicks if self.rfm else replace(clicks, human=clicks.purchasing)
        settings = Settings(seed=seed, weights=self.weights, fpr_budget=BUDGET)
        return train(labelled, SPEC, self.architecture, settings)


# A velocity's ranking follows from no label: purchases alone would give the same.
ARMS: tuple[Arm, ...] = (
    Arm("mlp", "mlp"),
    Arm("dcn", "dcn"),
    Arm("logistic", "logistic"),
    Arm("velocity", "velocity"),
    Arm("mlp without weights", "mlp", weights=False),
    Arm("mlp on purchases", "mlp", rfm=False),
    Arm("dcn on purchases", "dcn", rfm=False),
    Arm("logistic on purchases", "logistic", rfm=False),
    Arm("mlp on purchases without weights", "mlp", weights=False, rfm=False),
)
LABELS = {"": "purchases and RFM", " on purchases": "purchases alone"}  # by what a name ends in
CALIBRATED = ("mlp", "mlp on purchases")  # also with the thresholds of `replay models calibrate`
WEIGHED = ("mlp", "mlp without weights", "mlp on purchases", "mlp on purchases without weights")
METHODS = ("one threshold", "quadratic", "hull")
UNPOOLED = "hull without pooling"
