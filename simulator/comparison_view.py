"""A comparison of two logs, for people and as JSON; pure functions of it."""

from pathlib import Path
from typing import Any

from rich.table import Table

from replay.formats import new_table
from replay.span import iso
from simulator.comparison import Comparison
from simulator.statistics import Measured


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return the JSON document."""
    return {
        "simulated": _log(comparison.ours),
        "other": _log(comparison.theirs),
        "shift_hours": comparison.shift,
        "statistics": [
            {
                "name": row.name,
                "unit": row.unit or None,
                "simulated": row.ours,
                "other": row.theirs,
                "ratio": row.ratio,
                "verdict": row.verdict or None,
            }
            for row in comparison.rows
        ],
    }


def _log(measured: Measured) -> dict[str, Any]:
    span = measured.span
    return {"from": iso(span.start), "to": iso(span.end), "clicks": measured.clicks}


def comparison_table(comparison: Comparison, other: Path) -> Table:
    """Return the statistics side by side; a dash where a log can't say."""
    made = new_table("statistic", ">simulated", f">{other.name}", ">ratio", "")
    made.add_row("clicks", f"{comparison.ours.clicks:,}", f"{comparison.theirs.clicks:,}", "", "")
    for row in comparison.rows:
        name = f"{row.name}, {row.unit}" if row.unit else row.name
        made.add_row(name, _text(row.ours), _text(row.theirs), _text(row.ratio), row.verdict)
    return made


def _text(value: float | None) -> str:
    """Write a figure with three digits that mean something.

    >>> [_text(value) for value in (None, 0.01234, 1.5, 12345.6)]
    ['—', '0.0123', '1.5', '12,346']
    """
    if value is None:
        return "—"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def comparison_lines(comparison: Comparison) -> list[str]:
    """Say which spans were compared, and what the last column means."""
    lines = [
        f"simulated {comparison.ours.span}, other {comparison.theirs.span}",
        "alike: within a factor of 2; same order: within 10; apart: beyond. Shares count by their "
        "odds; 0.5 between two tail exponents counts as a factor of 2",
    ]
    if comparison.shift is not None:
        lines.append(f"the simulated day fits best {comparison.shift} hours later than the other")
    return lines
