"""The table of bounds in the docs is what the scenarios hold."""

from pathlib import Path

from recovery.check.suite import Case, choose

PAGE = Path(__file__).resolve().parents[3] / "docs" / "check.md"


def row(case: Case) -> str:
    """Write a scenario's bounds as a row of the table."""
    bounds = case.bounds
    detection = ", ".join(f"{kind} {_percent(b)}" for kind, b in bounds.detection.items())
    rates = (
        bounds.human_fpr,
        bounds.slice_human_fpr,
        bounds.repair_recall,
        bounds.repair_precision,
        bounds.wrongly_credited,
    )
    cells = [case.name, detection, *map(_percent, rates), "yes" if bounds.fast else ""]
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def _percent(bound: float | None) -> str:
    return "" if bound is None else f"{bound:.0%}"


def test_the_table_of_bounds_is_that_of_the_scenarios() -> None:
    written = PAGE.read_text().partition("| scenario | detection |")[2].splitlines()[2:]
    assert written[: written.index("")] == [row(case) for case in choose(())]
