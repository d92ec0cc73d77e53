"""Tables of the page: means over seeds with half of their 95% interval, in percent."""

from collections.abc import Iterator, Sequence

from benchmarks.experiments.arms import LABELS, METHODS, UNPOOLED
from benchmarks.experiments.claims import CLAIMS, FIGURES, MINUS, Claim, Comparison
from benchmarks.experiments.paired import Estimate, Verdict, difference, estimate, verdict
from benchmarks.experiments.results import Results, known

SHARED = ("ivr", "recall", "worst_slice.true_fpr")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a Markdown table; all but the first `left` columns stand right."""
    marks = ["---"] * left + ["--:"] * (len(head) - left)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, marks, *rows))


def percent(found: Estimate) -> str:
    """Write a mean and half of its interval.

    >>> percent(Estimate(0.5, 0.48, 0.52))
    '50.0 ± 2.0'
    """
    return f"{100 * found.mean:.1f} ± {50 * (found.high - found.low):.1f}"


def points(found: Estimate) -> str:
    """Write a difference with its sign, and half of its interval.

    >>> points(Estimate(-0.02, -0.03, -0.01))
    '−2.0 ± 1.0'
    """
    return f"{100 * found.mean:+.1f} ± {50 * (found.high - found.low):.1f}".replace("-", MINUS)


def verdicts(results: Results) -> str:
    """Return every claim with its verdicts and the differences that they come from."""
    rows = [[c.text, *(_judged(c, results, labels) for labels in LABELS)] for c in CLAIMS]
    return table(["claim", *(f"labels: {name}" for name in LABELS.values())], rows, left=3)


def _judged(claim: Claim, results: Results, labels: str) -> str:
    if labels not in claim.labels:
        return ""
    compared = (_compared(c, results) for c in claim.comparisons(labels))
    return "<br>".join([f"**{claim.judge(results, labels)}**", *compared])


def _compared(comparison: Comparison, results: Results) -> str:
    return f"{comparison.text}: {points(comparison.measure(results))}"


def figures(results: Results, arms: Sequence[str], names: Sequence[str]) -> str:
    """Return some figures of some arms."""
    rows = [[arm, *(_cell(results, arm, name) for name in names)] for arm in arms]
    return table(["%", *(FIGURES.get(name, name) for name in names)], rows)


def part(results: Results, prefix: str = "") -> str:
    """Return the main figures of all arms, for one part of the clicks."""
    names = ("ivr", "fpr", "coverage", "precision", "recall", "true_fpr", "ranked_recall")
    first = next(iter(results.runs.values()))
    rows = [[arm, *(_cell(results, arm, prefix + name) for name in names)] for arm in first.figures]
    return table(["%", *(FIGURES[name] for name in names)], rows)


def _cell(results: Results, arm: str, name: str) -> str:
    values = [run.figures[arm][name] for run in results.runs.values()]
    if None in values:
        return "unknown"
    return percent(estimate(known(values, name)))


def sizes(results: Results) -> str:
    """Return how many clicks there were, and of what kind: the mean over seeds."""
    first = next(iter(results.runs.values()))
    rows = []
    for name in first.sizes:
        values = [run.sizes[name] for run in results.runs.values()]
        rows.append([name, f"{sum(values) / len(values):,.0f}"])
    return table(["for each seed", "clicks"], rows)


def slices(results: Results, arm: str) -> str:
    """Return the true FPR of each slice with each way to choose thresholds."""
    methods = (*METHODS, UNPOOLED)
    rows = []
    for key in next(iter(results.runs.values())).bought:
        bought = [run.bought.get(key, 0) for run in results.runs.values()]
        found = (_cell(results, f"{arm}, {method}", f"{key}.true_fpr") for method in methods)
        rows.append([key, f"{sum(bought) / len(bought):,.0f}", *found])
    return table(["slice", "purchasing clicks", *methods], rows)


def sharing(results: Results, arm: str) -> str:
    """Return what one threshold does, and those by slice against it, by purchases to choose by."""
    rows = []
    for at, bought in enumerate(_purchases(results, arm)):
        alone = [percent(estimate(_at(results, arm, at, METHODS[0], name))) for name in SHARED]
        rows.append([f"{bought:,.0f}", METHODS[0], *alone])
        for method in METHODS[1:]:
            found = [points(_against_one(results, arm, at, method, name)) for name in SHARED]
            rows.append(["", f"{method} {MINUS} {METHODS[0]}", *found])
    return table(["purchasing clicks", "", *(FIGURES[name] for name in SHARED)], rows, left=2)


def crossings(results: Results, arm: str) -> Iterator[str]:
    """Yield for each method from how many purchases on its IVR is above that of one threshold."""
    bought = _purchases(results, arm)
    for method in METHODS[1:]:
        found = [_against_one(results, arm, at, method, "ivr") for at in range(len(bought))]
        holds = [verdict(each) is Verdict.HOLDS for each in found]
        yield f"- {arm}, {method}: {_crossing(bought, holds)}"


def _crossing(bought: Sequence[float], holds: Sequence[bool]) -> str:
    """Say from where on all hold.

    >>> _crossing([900.4, 1800.2], [False, True])
    'catches more than one threshold from about 1,800 purchasing clicks on'
    """
    if not holds[-1]:
        return f"is not shown to catch more than one threshold up to {bought[-1]:,.0f}"
    least = bought[len(holds) - holds[::-1].index(False) if False in holds else 0]
    return f"catches more than one threshold from about {least:,.0f} purchasing clicks on"


def _purchases(results: Results, arm: str) -> list[float]:
    by_seed = [[s.purchases for s in run.sharing[arm]] for run in results.runs.values()]
    return [sum(column) / len(column) for column in zip(*by_seed, strict=True)]


def _against_one(results: Results, arm: str, at: int, method: str, name: str) -> Estimate:
    return difference(*(_at(results, arm, at, m, name) for m in (method, METHODS[0])))


def _at(results: Results, arm: str, at: int, method: str, name: str) -> list[float]:
    """Return a figure at one size, seed by seed."""
    steps = (run.sharing[arm][at] for run in results.runs.values())
    return known([step.figures[method][name] for step in steps], name)
