"""What the method claims, as comparisons that were chosen before anything was measured."""

from dataclasses import dataclass

from benchmarks.experiments.arms import LABELS
from benchmarks.experiments.paired import Estimate, Verdict, difference, together, verdict
from benchmarks.experiments.results import Results

_ON = list(LABELS)[-1]
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
        """What is subtracted from what; which labels both have is left out."""
        first, second = (arm.replace(_ON, "") for arm in (self.first, self.second))
        if first == second:
            second = self.second
        return f"{first} {MINUS} {second}: {FIGURES[self.figure]}"

    def measure(self, results: Results) -> Estimate:
        """Return the mean difference, paired by seed."""
        arms = (results.of(arm, self.figure) for arm in (self.first, self.second))
        return difference(*arms)

    def judge(self, found: Estimate) -> Verdict:
        """Return the verdict on a difference."""
        return verdict(found, lower_is_better=self.figure in LOWER_IS_BETTER)


@dataclass(frozen=True)
class Claim:
    """A claim about arms, whose names stand with `{}` where labels are told.

    It holds where each of its comparisons does; it is judged for each set of `labels` apart.
    """

    text: str
    pairs: tuple[tuple[str, str], ...]
    figures: tuple[str, ...]
    labels: tuple[str, ...] = tuple(LABELS)

    def comparisons(self, labels: str) -> list[Comparison]:
        """Return what is compared with one set of labels."""
        return [
            Comparison(first.format(labels), second.format(labels), figure)
            for figure in self.figures
            for first, second in self.pairs
        ]

    def judge(self, results: Results, labels: str) -> Verdict:
        """Return the verdict on all of it."""
        return together([c.judge(c.measure(results)) for c in self.comparisons(labels)])


_WEIGHTS = (("mlp{}", "mlp{} without weights"),)
CLAIMS: tuple[Claim, ...] = (
    Claim(
        "The mlp finds more robots than the baselines.",
        (("mlp{}", "logistic{}"), ("mlp{}", "velocity")),
        ("ranked_recall",),
    ),
    Claim(
        "The dcn finds more robots than the baselines.",
        (("dcn{}", "logistic{}"), ("dcn{}", "velocity")),
        ("ranked_recall",),
    ),
    Claim(
        "Thresholds by slice, from quadratics (the default), catch more than one threshold.",
        (("mlp{}, quadratic", "mlp{}, one threshold"),),
        ("ivr", "recall"),
    ),
    Claim(
        "Thresholds by slice, from hulls, catch more than one threshold.",
        (("mlp{}, hull", "mlp{}, one threshold"),),
        ("ivr", "recall"),
    ),
    Claim(
        "Thresholds by slice spare the people of the worst slice.",
        (
            ("mlp{}, quadratic", "mlp{}, one threshold"),
            ("mlp{}, hull", "mlp{}, one threshold"),
        ),
        ("worst_slice.true_fpr",),
    ),
    Claim("Weights find more robots at night.", _WEIGHTS, ("night.ranked_recall",)),
    Claim("Weights lose fewer people at night.", _WEIGHTS, ("night.true_fpr",)),
    Claim("Weights find more logged-in robots.", _WEIGHTS, ("logged_in.ranked_recall",)),
    Claim(
        "Labels from accounts with a high RFM score help: more robots are found than without.",
        (
            ("mlp", "mlp on purchases"),
            ("dcn", "dcn on purchases"),
            ("logistic", "logistic on purchases"),
        ),
        ("ranked_recall",),
        ("",),
    ),
)
