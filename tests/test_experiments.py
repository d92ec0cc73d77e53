"""The experiments: their statistics, and the page against the results that it was made from."""

import doctest
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks.experiments import figures, one_seed, paired, remarks, results, tables
from benchmarks.experiments.arms import Arm
from benchmarks.experiments.claims import CLAIMS, FIGURES, Claim
from benchmarks.experiments.page import PAGE, page
from benchmarks.experiments.paired import (
    Estimate,
    Verdict,
    difference,
    estimate,
    together,
    verdict,
)
from benchmarks.experiments.remarks import Remarks
from benchmarks.experiments.results import Results, known
from benchmarks.experiments.traffic import Unseen
from scorer.training import TrainingSet

PLOT_BYTES = 60_000
T_975 = {2: 12.706205, 5: 2.776445, 10: 2.262157}  # 97.5% quantiles of Student's t, n − 1 degrees


@pytest.fixture(scope="module")
def stored() -> Results:
    return results.read()


@pytest.mark.parametrize("n", T_975)
def test_intervals_are_students(n: int) -> None:
    values = np.arange(n) ** 2.0
    found = estimate(values.tolist())
    assert found.mean == pytest.approx(values.mean())
    half = T_975[n] * values.std(ddof=1) / n**0.5
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))


def test_pairing_takes_out_what_a_seed_does_to_both() -> None:
    first, second = [0.1, 0.5, 0.9], [0.0, 0.4, 0.8]
    found = difference(first, second)
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))
    alone = estimate(first)
    assert alone.low < 0 < alone.high
    with pytest.raises(ValueError, match="shorter"):
        difference(first, second[:2])


def test_one_seed_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least two"):
        estimate([0.5])


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "said"),
    [
        (0.01, 0.03, False, Verdict.HOLDS),
        (-0.03, -0.01, False, Verdict.FAILS),
        (-0.01, 0.03, False, Verdict.OPEN),
        (0.0, 0.03, False, Verdict.OPEN),  # 0 is in the interval
        (0.0, 0.0, False, Verdict.OPEN),
        (0.01, 0.03, True, Verdict.FAILS),
        (-0.03, -0.01, True, Verdict.HOLDS),
        (-0.03, 0.01, True, Verdict.OPEN),
    ],
)
def test_a_verdict_needs_the_whole_interval(
    low: float, high: float, lower_is_better: bool, said: Verdict
) -> None:
    found = Estimate((low + high) / 2, low, high)
    assert verdict(found, lower_is_better=lower_is_better) is said


def test_a_claim_is_as_good_as_its_worst_part() -> None:
    assert together([Verdict.HOLDS, Verdict.HOLDS]) is Verdict.HOLDS
    assert together([Verdict.OPEN, Verdict.FAILS, Verdict.HOLDS]) is Verdict.FAILS


def made_up() -> Unseen:
    """A thousand clicks in two slices: 900 by people, 100 by robots, all robots' at night."""
    kinds = np.repeat([0, 1], [900, 100])
    flags = np.zeros(1000, np.bool_)
    purchasing = np.arange(1000) < 100
    clicks = TrainingSet(
        facts=np.zeros((1, 1000), np.int32),
        reals=np.zeros((1, 1000), np.float32),
        ts=np.where(kinds > 0, 3, 12) * figures.HOUR,
        human=purchasing,
        purchasing=purchasing,
        robotic=kinds > 0,
        logged_in=flags,
        slices=(np.arange(1000) % 2).astype(np.int32),
        slice_keys=("even", "odd"),
        start=0,
        end=24 * figures.HOUR,
    )
    return Unseen(clicks, kinds, ~flags)


def test_figures_are_counted_from_truth() -> None:
    some = made_up()
    invalid = (np.arange(1000) % 20 == 0) & ~some.robot | (np.arange(1000) >= 920)
    found = figures.figures(some, invalid.astype(np.float32), invalid)
    assert found["ivr"] == pytest.approx((45 + 80) / 1000)
    assert found["fpr"] == pytest.approx(5 / 100)
    assert found["precision"] == pytest.approx(80 / 125)
    assert found["recall"] == found["coverage"] == found["night.recall"] == pytest.approx(0.8)
    assert found["true_fpr"] == pytest.approx(45 / 900)
    assert found["worst_slice.true_fpr"] == pytest.approx(45 / 450)  # all of them even
    assert found["worst_slice.recall"] is None  # too few robots in each
    assert found["night.true_fpr"] is None  # nobody was awake
    assert found["logged_in.ivr"] is None


def test_rankings_are_compared_where_one_in_a_hundred_is_lost() -> None:
    some = made_up()
    p = np.where(some.robot, 0.5, np.arange(1000) / 1000).astype(np.float32)
    none = np.zeros(1000, np.bool_)
    assert figures.figures(some, p, none)["ranked_recall"] == 0
    p = np.where(some.robot, np.where(np.arange(1000) < 930, 0.895, 0.1), p).astype(np.float32)
    assert figures.figures(some, p, none)["ranked_recall"] == pytest.approx(0.3)
    lines = figures.curves(some, p)
    at = figures.GRID.index(0.01)
    assert lines["recall"][at] == pytest.approx(0.3)
    assert lines["recall"] == sorted(lines["recall"])


@pytest.mark.parametrize("module", [paired, remarks, tables], ids=lambda module: module.__name__)
def test_examples_in_docstrings_run(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_an_unknown_figure_is_no_number() -> None:
    with pytest.raises(LookupError, match="mlp: recall"):
        known([0.5, None], "mlp: recall")


def test_one_small_seed_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arm = Arm("logistic", "logistic", rfm=False)
    monkeypatch.setattr(one_seed, "ARMS", (arm,))
    monkeypatch.setattr(one_seed, "CALIBRATED", (arm.name,))
    monkeypatch.setattr(one_seed, "WEIGHED", (arm.name,))
    monkeypatch.setattr(one_seed, "FRACTIONS", (0.5, 1.0))
    told: list[str] = []
    run = one_seed.run_seed(1, one_seed.Sizes(500, 9), tmp_path, told.append)
    assert told == ["simulated", "trained logistic", "calibrated"]
    assert list(run.figures) == [
        "logistic",
        "logistic, one threshold",
        "logistic, quadratic",
        "logistic, hull",
        "logistic, hull without pooling",
    ]
    assert set(FIGURES) <= set(run.figures["logistic"])
    assert run.sizes["tested robots' clicks"] > 50
    assert len(run.sharing["logistic"]) == len(one_seed.FRACTIONS)
    assert len(run.hours["logistic"]["recall"]) == 24
    assert sum(run.bought.values()) == run.sizes["held-out purchasing clicks"]


def test_the_page_is_what_the_results_say(stored: Results) -> None:
    made = page(stored, remarks.read())
    assert PAGE.read_text() == made, "run `python -m benchmarks.experiments --page-only`"
    assert "{{" not in made


def test_at_least_five_seeds_are_stored(stored: Results) -> None:
    assert len(stored.runs) >= 5


def test_every_plot_is_of_these_results(stored: Results) -> None:
    files = sorted(PAGE.with_suffix("").glob("*.svg"))
    assert {f"experiments/{file.name}" for file in files} == {
        text.partition(")")[0] for text in PAGE.read_text().split("](")[1:] if ".svg" in text
    }
    for file in files:
        text = file.read_text()
        assert f"<dc:identifier>{stored.digest}</dc:identifier>" in text
        assert "<text" in text
        assert len(text.encode()) < PLOT_BYTES


def test_remarks_are_about_these_results(stored: Results) -> None:
    ours = remarks.read()
    assert ours.digest == stored.digest, "look at the results and write remarks on them"
    assert all(text.strip() for text in ours.texts.values())


def test_remarks_on_other_results_are_left_out(stored: Results) -> None:
    ours = remarks.read()
    made = page(stored, Remarks("0" * 16, ours.texts))
    assert "remarks on file are about other results" in made
    for text in ours.texts.values():
        assert text.strip() not in made
    assert "{{" not in made


def test_a_digest_is_of_figures_and_not_of_machines(stored: Results) -> None:
    made = stored.made.model_copy(update={"minutes": 1.0, "processor": "another"})
    assert stored.model_copy(update={"made": made}).digest == stored.digest
    fewer = dict(list(stored.runs.items())[1:])
    assert stored.model_copy(update={"runs": fewer}).digest != stored.digest


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.text)
def test_a_claim_and_its_opposite_do_not_both_hold(stored: Results, claim: Claim) -> None:
    turned = replace(claim, pairs=tuple((second, first) for first, second in claim.pairs))
    for labels in claim.labels:
        both = [claim.judge(stored, labels), turned.judge(stored, labels)]
        assert both.count(Verdict.HOLDS) <= 1
        if both[0] is Verdict.HOLDS:
            assert both[1] is Verdict.FAILS


def test_what_is_compared_is_named_by_its_difference() -> None:
    [weights] = [claim for claim in CLAIMS if "at night" in claim.text and "find" in claim.text]
    [compared] = weights.comparisons(" on purchases")
    assert (compared.first, compared.second) == (
        "mlp on purchases",
        "mlp on purchases without weights",
    )
    assert compared.text == "mlp \N{MINUS SIGN} mlp without weights: recall at 1% at night"
    [labels] = [claim for claim in CLAIMS if claim.labels == ("",)]
    assert "mlp \N{MINUS SIGN} mlp on purchases" in labels.comparisons("")[0].text
