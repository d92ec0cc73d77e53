"""What the method claims, as comparisons that were chosen before anything was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.experiments.paired import Estimate, Verdict, difference, together, verdict
from benchmarks.experiments.results import Results

LOWER_IS_BETTER = frozenset({"worst_slice.true_fpr", "night.true_fpr"})
MINUS = "\N{MINUS SIGN}"
FIGURES = {
    "ivr": "IVR",
    "fpr": "FPR",
    "coverage": "coverage",
    "precision": "precision",
    "recall": "recall",
    "true_fpr": "true FPR",
    "ranked_recall": "recall at 1%",
    "night.fpr": "FPR at night",
    "night.recall": "recall at night",
    "night.true_fpr": "true FPR at night",
    "night.ranked_recall": "recall at 1% at night",
    "logged_in.recall": "recall, logged in",
    "logged_in.true_fpr": "true FPR, logged in",
    "logged_in.ranked_recall": "recall at 1%, logged in",
    "worst_slice.true_fpr": "worst slice's true FPR",
    "worst_slice.recall": "worst slice's recall",
    "quick scripts.ranked_recall": "quick scripts",
    "patient robots.ranked_recall": "patient robots",
    "bursts.ranked_recall": "bursts",
    "lost_without_user": "lost people without a user id",
}


@dataclass(frozen=True)
class Comparison:
    """A figure of one arm against that of another."""

    first: str
    second: str
    figure: str

    @property
    def text(self) -> str:
        """What is subtracted from what."""
        return f"{self.first} {MINUS} {self.second}: {FIGURES[self.figure]}"

    def measure(self, results: Results) -> Estimate:
        """Return the mean difference, paired by seed."""
        arms = (results.of(arm, self.figure) for arm in (self.first, self.second))
        return difference(*arms)

    def judge(self, found: Estimate) -> Verdict:
        """Return the verdict on a difference."""
        return verdict(found, lower_is_better=self.figure in LOWER_IS_BETTER)


@dataclass(frozen=True)
class Claim:
    """A claim holds where each of its comparisons does."""

    key: str
    text: str
    comparisons: tuple[Comparison, ...]

    def judge(self, results: Results) -> Verdict:
        """Return the verdict on all of it."""
        return together([c.judge(c.measure(results)) for c in self.comparisons])


def _pairs(pairs: Sequence[tuple[str, str]], *figures: str) -> tuple[Comparison, ...]:
    return tuple(Comparison(a, b, figure) for figure in figures for a, b in pairs)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "networks",
        "The networks find more robots than the baselines.",
        _pairs(
            [("mlp", "logistic"), ("mlp", "velocity"), ("dcn", "logistic"), ("dcn", "velocity")],
            "ranked_recall",
        ),
    ),
    Claim(
        "networks on purchases",
        "The same, with purchases as the only labels.",
        _pairs(
            [
                ("mlp on purchases", "logistic on purchases"),
                ("mlp on purchases", "velocity"),
                ("dcn on purchases", "logistic on purchases"),
                ("dcn on purchases", "velocity"),
            ],
            "ranked_recall",
        ),
    ),
    Claim(
        "quadratic",
        "Thresholds by slice from quadratics, the default, catch more than one threshold.",
        _pairs([("mlp, quadratic", "mlp, one threshold")], "ivr", "recall"),
    ),
    Claim(
        "hull",
        "Thresholds by slice from hulls catch more than one threshold.",
        _pairs([("mlp, hull", "mlp, one threshold")], "ivr", "recall"),
    ),
    Claim(
        "hull on purchases",
        "The same, with purchases as the only labels.",
        _pairs([("mlp on purchases, hull", "mlp on purchases, one threshold")], "ivr", "recall"),
    ),
    Claim(
        "fairness",
        "Thresholds by slice spare the people of the worst slice.",
        _pairs(
            [("mlp, quadratic", "mlp, one threshold"), ("mlp, hull", "mlp, one threshold")],
            "worst_slice.true_fpr",
        ),
    ),
    Claim(
        "weights",
        "Sample weights find more robots at night.",
        _pairs([("mlp", "mlp without weights")], "night.ranked_recall", "night.recall"),
    ),
    Claim(
        "weights on purchases",
        "The same, with purchases as the only labels.",
        _pairs(
            [("mlp on purchases", "mlp on purchases without weights")],
            "night.ranked_recall",
            "night.recall",
        ),
    ),
    Claim(
        "labels",
        "Labels from accounts of high value help: more robots are found than with purchases alone.",
        _pairs(
            [
                ("mlp", "mlp on purchases"),
                ("dcn", "dcn on purchases"),
                ("logistic", "logistic on purchases"),
            ],
            "ranked_recall",
        ),
    ),
)
