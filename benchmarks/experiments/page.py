"""docs/experiments.md, from stored results and the remarks that belong to them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.experiments import tables
from benchmarks.experiments.arms import CALIBRATED, METHODS, UNPOOLED, WEIGHED
from benchmarks.experiments.remarks import Remarks
from benchmarks.experiments.results import Results

PAGE = Path(__file__).resolve().parents[2] / "docs" / "experiments.md"
TEXT = Path(__file__).with_name("page.md")
SECTIONS = ("networks", "labels", "slices", "purchases", "weights")
NO_REMARKS = (
    "> The remarks on file are about other results ({digest}), so they are left out here. Look at\n"
    "> the plots and write new ones in `benchmarks/experiments/remarks.toml`."
)


def page(results: Results, remarks: Remarks) -> str:
    """Return the page: fixed words, tables made from the results, remarks of this run alone.

    The fixed words stand in `page.md`, with `{{name}}` for each part that is put in.
    """
    text = TEXT.read_text()
    for name, part in {**dict(_parts(results)), **_remarked(results, remarks)}.items():
        text = text.replace(f"{{{{{name}}}}}", part)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _remarked(results: Results, remarks: Remarks) -> Mapping[str, str]:
    """Return a text for every place of remarks; empty where they are about another run."""
    found = remarks.on(results.digest)
    texts = {f"remarks: {name}": found.get(name, "").strip() for name in SECTIONS}
    notice = "" if found else NO_REMARKS.format(digest=remarks.digest)
    return texts | {"notice": notice}


def _parts(results: Results) -> Iterator[tuple[str, str]]:
    """Yield everything that is made from the results."""
    settings, made = results.settings, results.made
    yield "digest", results.digest
    yield "seeds", str(len(results.runs))
    yield "clicks_per_day", f"{settings['clicks_per_day']:,}"
    yield "more_days", str(settings["more_days"])
    yield "budget", f"{settings['fpr_budget']:.0%}"
    yield "minutes", f"{made.minutes:.0f}"
    yield "made", ", ".join(f"{name} {number}" for name, number in made.versions.items())
    yield "processor", made.processor
    yield "verdicts", tables.verdicts(results)
    yield "sizes", tables.sizes(results)
    yield from _sections(results)
    for name, prefix in (("all", ""), ("night", "night."), ("logged in", "logged_in.")):
        yield f"figures: {name}", tables.part(results, prefix)


def _sections(results: Results) -> Iterator[tuple[str, str]]:
    architectures = ["mlp", "dcn", "logistic", "velocity"]
    labelled = [*architectures, *(f"{name} on purchases" for name in architectures[:3])]
    robots = [f"{name}.ranked_recall" for name in ("quick scripts", "patient robots", "bursts")]
    yield (
        "figures: architectures",
        tables.figures(results, labelled, ["ivr", "fpr", "precision", "recall", "true_fpr"]),
    )
    ranked = ["ranked_recall", *robots, "lost_without_user"]
    yield "figures: robots", tables.figures(results, labelled, ranked)
    methods = (*METHODS, UNPOOLED)
    calibrated = [name for arm in CALIBRATED for name in (arm, *(f"{arm}, {m}" for m in methods))]
    slices = ["ivr", "fpr", "recall", "true_fpr", "worst_slice.true_fpr", "worst_slice.recall"]
    yield "figures: slices", tables.figures(results, calibrated, slices)
    yield "by slice", "\n\n".join(f"{arm}:\n\n{tables.slices(results, arm)}" for arm in CALIBRATED)
    yield "sharing", "\n\n".join(_sharing(results, arm) for arm in CALIBRATED)
    yield "crossings", "\n".join(line for arm in CALIBRATED for line in _crossing(results, arm))
    night = ["recall", "true_fpr", "ranked_recall"]
    names = [prefix + name for prefix in ("night.", "logged_in.") for name in night]
    yield "figures: weights", tables.figures(results, WEIGHED, ["ranked_recall", *names])


def _sharing(results: Results, arm: str) -> str:
    return f"{arm}:\n\n{tables.sharing(results, arm)}"


def _crossing(results: Results, arm: str) -> Iterator[str]:
    yield from tables.crossings(results, arm)
