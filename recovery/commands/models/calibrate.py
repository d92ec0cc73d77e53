"""`replay models calibrate`: a threshold for each slice, as a new version with the same weights."""

from typing import get_args

import click
from rich.table import Table

from replay.calibrating import Request, calibrate_version, free_name, held_out_span
from replay.console import home_option, json_option, open_lake, print_json, progress, screen, warn
from replay.curve_drawing import shared_curves, title
from replay.formats import new_table, percent
from replay.production import open_versions, read_production
from replay.snapshot import Snapshot, reading
from scorer.allocation import Guards
from scorer.calibration import Calibration
from scorer.metrics import Share
from scorer.registry import ModelVersion
from scorer.slice_calibration import Method, SliceCalibration
from scorer.versions import resolve


@click.command()
@click.argument("version")
@click.option(
    "--fpr-budget",
    required=True,
    type=float,
    metavar="SHARE",
    help="Share of purchasing clicks that may be called robotic, in (0, 1].",
)
@click.option("--name", metavar="V", help="The new version's name; else VERSION-c1, -c2, …")
@click.option(
    "--min-coverage",
    type=float,
    default=0.0,
    metavar="SHARE",
    help="Share of each slice's clicks of robotic sessions that must be called robotic.",
)
@click.option(
    "--method",
    type=click.Choice(get_args(Method)),
    default="quadratic",
    help="Share the budget by fitted quadratics, or exactly over the curves' concave hulls.",
)
@home_option
@json_option
def calibrate(
    version: str,
    fpr_budget: float,
    name: str | None,
    min_coverage: float,
    method: Method,
    home: str | None,
    as_json: bool,
) -> None:
    """Choose a threshold for each slice, at one budget of humans lost.

    The new version has the weights of VERSION, which may be `production`. Thresholds are chosen on
    the clicks that its training held out, and count an FPR as the upper end of its interval.

    \b
    Example:
      replay models calibrate v2 --fpr-budget 0.01
    """
    lake = open_lake(home)
    versions = open_versions(lake)
    parent = resolve(version, versions, read_production(lake))
    new = free_name(versions, parent) if name is None else name
    request = Request(parent, new, fpr_budget, Guards(min_coverage=min_coverage), method)
    snapshot = Snapshot.take(lake)
    total = snapshot.rows("clicks", held_out_span(versions.manifest(parent)))
    with reading(snapshot), progress("features", total) as advance:
        made, found = calibrate_version(lake, snapshot, request, advance)
    _warn(found)
    if as_json:
        print_json(_document(made, found))
    else:
        _show(made, found)


def _warn(found: SliceCalibration) -> None:
    budget = found.calibration.fpr_budget
    if found.purchases < found.needed:
        warn(
            f"{found.purchases:,} held-out purchasing clicks can't show an FPR of {budget:.2%} "
            f"({found.needed:,} with none lost could): clicks of slices never seen stay valid"
        )
    if not found.chosen.ivr.part:
        warn(
            "no held-out click is called robotic: the purchases are too few to show that any "
            "threshold keeps to the budget; calibrate a version of a longer span"
        )
    hulls, one = (o for o in found.outcomes if o.name in ("hull", "one threshold"))
    if max(hulls.ivr.part, one.ivr.part) > found.chosen.ivr.part:
        better = "--method hull" if hulls.ivr.part >= one.ivr.part else "one threshold for all"
        most = max(hulls.ivr.part, one.ivr.part) / one.ivr.whole
        warn(
            f"{better} calls {most:.2%} of the held-out clicks robotic at the same budget, "
            f"{found.chosen.name} {found.chosen.ivr.rate:.2%}"
        )


def _document(made: ModelVersion, found: SliceCalibration) -> dict[str, object]:
    return {
        "digest": made.digest,
        **made.manifest.model_dump(mode="json"),
        "calibration": found.calibration.model_dump(mode="json"),
        "outcomes": [
            {
                "name": o.name,
                "ivr": o.ivr.rate,
                "ivr_interval": o.ivr.interval,
                "fpr": o.fpr.rate,
                "fpr_interval": o.fpr.interval,
                "coverage": o.coverage.rate,
                "coverage_interval": o.coverage.interval,
                "ivr_promised": o.promised,
                "fpr_upper": o.fpr_upper,
            }
            for o in found.outcomes
        ],
    }


def _show(made: ModelVersion, found: SliceCalibration) -> None:
    screen().print(_slices(found.calibration))
    chosen = found.chosen
    click.echo(
        f"\nheld out: {chosen.ivr.whole:,} clicks, {chosen.fpr.whole:,} of them purchasing, "
        f"{chosen.coverage.whole:,} of robotic sessions\npromised: the IVR before rounding to "
        "thresholds; counted: the FPR with intervals, of the budget\n"
    )
    screen().print(_outcomes(found))
    click.echo(f"\nversion {made.name}, with the weights of {made.manifest.parent}")


def _slices(calibration: Calibration) -> Table:
    rows = new_table("slice", ">threshold", ">FPR at most", ">purchases", ">clicks")
    for keys, fit in shared_curves(calibration):
        rows.add_row(
            title(keys, fit),
            f"{calibration.slices[keys[0]]:.6f}",
            f"{fit.fpr:.2%}",
            f"{fit.purchases:,}",
            f"{fit.clicks:,}",
        )
    rows.add_row("any other", f"{calibration.overall:.6f}", f"{calibration.fpr_budget:.2%}", "", "")
    return rows


def _outcomes(found: SliceCalibration) -> Table:
    rows = new_table("held out, by", "IVR", "FPR", ">coverage", ">promised", ">counted")
    for o in found.outcomes:
        shown = (
            "" if rate is None else f"{rate:.2%}"
            for rate in (o.coverage.rate, o.promised, o.fpr_upper)
        )
        chosen = " (chosen)" if o is found.chosen else ""
        rows.add_row(o.name + chosen, _rate(o.ivr), _rate(o.fpr), *shown)
    return rows


def _rate(share: Share) -> str:
    """Write a share with its interval, and without the number of clicks."""
    return percent(share).partition(" of ")[0]
