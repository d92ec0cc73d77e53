"""What the arms did, as it is stored; the page and its plots are made from this alone."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

FILE = Path(__file__).with_name("results.json")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sharing(_Frozen):
    """What each way to choose thresholds does, where so many purchasing clicks are there for it."""

    purchases: int
    figures: Mapping[str, Mapping[str, float | None]]


class Run(_Frozen):
    """One seed; `bought` is by slice, figures, curves and hours by arm, sharing by arm and size."""

    sizes: Mapping[str, int]
    bought: Mapping[str, int]  # held-out purchasing clicks
    figures: Mapping[str, Mapping[str, float | None]]
    curves: Mapping[str, Mapping[str, list[float]]]
    hours: Mapping[str, Mapping[str, list[float | None]]]
    sharing: Mapping[str, list[Sharing]]


class Made(_Frozen):
    """By what the results were made: this does not enter their digest."""

    versions: Mapping[str, str]
    processor: str
    minutes: float


class Results(_Frozen):
    """All seeds; `settings` says how much was simulated."""

    settings: Mapping[str, int | float]
    runs: Mapping[int, Run]
    made: Made

    @property
    def digest(self) -> str:
        """Return what names this run's figures: remarks on others do not belong to it."""
        figures = self.model_dump(mode="json", exclude={"made"})
        text = json.dumps(figures, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def of(self, arm: str, figure: str) -> list[float]:
        """Return a figure of an arm, seed by seed.

        Raises LookupError where a seed has no such figure.
        """
        found = [run.figures[arm][figure] for run in self.runs.values()]
        return known(found, f"{arm}: {figure}")


def known(values: list[float | None], name: str) -> list[float]:
    """Return values none of which may be unknown; raise LookupError where one is."""
    there = [value for value in values if value is not None]
    if len(there) < len(values):
        raise LookupError(f"{name} is unknown in some seed: simulate more clicks")
    return there


def write(results: Results, file: Path = FILE) -> None:
    """Write results, one seed a line, so that a change of one is seen as such."""
    whole = results.model_dump(mode="json")
    runs = ",\n".join(f'"{seed}": {json.dumps(run)}' for seed, run in whole["runs"].items())
    rest = {name: json.dumps(whole[name]) for name in ("settings", "made")}
    file.write_text(
        f'{{"settings": {rest["settings"]},\n"made": {rest["made"]},\n"runs": {{\n{runs}\n}}}}\n'
    )


def read(file: Path = FILE) -> Results:
    """Read stored results."""
    return Results.model_validate_json(file.read_text())
