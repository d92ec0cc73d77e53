"""`replay models compare`: two versions side by side."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import click
from rich.table import Table

from recovery.commands.models.show import number
from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.formats import new_table
from replay.production import open_versions, read_production
from scorer.comparison import Comparison, Measured, Side, SliceThreshold
from scorer.comparison import compare as set_beside
from scorer.versions import Versions, resolve

ABSENT = "-"


@click.command()
@click.argument("first")
@click.argument("second")
@home_option
@json_option
def compare(first: str, second: str, home: str | None, as_json: bool) -> None:
    """Set two stored versions side by side; each may be `production`, `previous` or `latest`.

    What they were made of, the features that differ, their metrics, and their thresholds by slice.
    Each was measured on the clicks that its own training held out; `replay run` and `replay audit`
    compare versions on the same clicks.

    \b
    Example:
      replay models compare production latest
    """
    lake = open_lake(home)
    versions, pointer = open_versions(lake), read_production(lake)
    names = [resolve(name, versions, pointer) for name in (first, second)]
    one, other = (_side(versions, name) for name in names)
    found = set_beside(one, other)
    if as_json:
        print_json(_json(found))
        return
    screen().print(_table(("", *names, ""), _made(found)))
    if found.features:
        click.echo("\nfeatures that differ")
        rows = [(each.name, each.first or ABSENT, each.second or ABSENT) for each in found.features]
        screen().print(_table(("feature", *names), rows))
    click.echo("\nmetrics (95%), each on the clicks that its own training held out")
    metrics = [(m.name, _metric(m.first), _metric(m.second)) for m in found.metrics]
    screen().print(_table(("metric", f">{names[0]}", f">{names[1]}"), metrics))
    click.echo("\nthresholds (* the overall one, as the version has none for the slice)")
    headings = ("slice", f">{names[0]}", f">{names[1]}", ">difference")
    screen().print(_table(headings, map(_threshold, found.thresholds)))


def _side(versions: Versions, name: str) -> Side:
    stored = versions.stored(name)
    return Side(stored.manifest, versions.calibration(name), stored.digest)


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    made = new_table(*headings)
    made.columns[0].no_wrap = True
    for row in rows:
        made.add_row(*row)
    return made


def _made(found: Comparison) -> Iterator[tuple[str, str, str, str]]:
    """Yield what each version was made of, and a mark where the two differ."""
    sides = [_described(side) for side in (found.first, found.second)]
    for label, first in sides[0].items():
        second = sides[1][label]
        yield label, first, second, "" if first == second else "≠"
    same = "the same in both" if found.same_weights else "its own"
    yield "weights", same, same, "" if found.same_weights else "≠"
    counts = [len(side.manifest.spec.names) for side in (found.first, found.second)]
    shared = f", {found.shared:,} of them the same in both"
    mark = "≠" if found.features else ""
    yield "features", f"{counts[0]:,}{shared}", f"{counts[1]:,}{shared}", mark


def _described(side: Side) -> dict[str, str]:
    manifest, training = side.manifest, side.manifest.training
    parameters = (f"{name} {value}" for name, value in manifest.parameters.items())
    budget = side.calibration.fpr_budget
    return {
        "architecture": manifest.architecture,
        "parameters": ", ".join(parameters) or ABSENT,
        "parent": manifest.parent or ABSENT,
        "created": f"{manifest.created_at:%Y-%m-%d %H:%M:%S %Z}",
        "trained from": f"{training.start:%Y-%m-%d %H:%M:%S %Z}" if training else ABSENT,
        "trained to": f"{training.end:%Y-%m-%d %H:%M:%S %Z}" if training else ABSENT,
        "fitted": f"{training.epochs} epochs, seed {training.seed}" if training else ABSENT,
        "slices by": ", ".join(manifest.slice_columns) or ABSENT,
        "FPR budget": ABSENT if budget is None else f"{budget:.2%}",
    }


def _metric(measured: Measured | None) -> str:
    if measured is None:
        return ABSENT
    if measured.value is None or measured.low is None or measured.high is None:
        return number(measured.value)
    return f"{measured.value:.2%} [{measured.low:.2%}, {measured.high:.2%}]"


def _threshold(row: SliceThreshold) -> tuple[str, str, str, str]:
    values = ((row.first, row.first_own), (row.second, row.second_own))
    first, second = (f"{value:.6f}{' ' if own else '*'}" for value, own in values)
    return row.name, first, second, f"{row.second - row.first:+.6f}"


def _json(found: Comparison) -> dict[str, Any]:
    return {
        "first": _side_json(found.first),
        "second": _side_json(found.second),
        "same_weights": found.same_weights,
        "shared_features": found.shared,
        "features": [asdict(each) for each in found.features],
        "metrics": [asdict(each) for each in found.metrics],
        "thresholds": [asdict(each) for each in found.thresholds],
    }


def _side_json(side: Side) -> dict[str, Any]:
    told = {"name", "created_at", "architecture", "parameters", "slice_columns", "training"}
    told |= {"parent", "spec_digest"}
    manifest = side.manifest.model_dump(mode="json", include=told)
    return {**manifest, "digest": side.digest, "fpr_budget": side.calibration.fpr_budget}
