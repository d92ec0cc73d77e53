"""What `replay run --plan` says."""

from dataclasses import asdict

import click

from replay.console import print_json, screen
from replay.formats import described
from replay.run import Prepared
from replay.span import iso_local


def show_plan(prepared: Prepared, *, as_json: bool) -> None:
    """Print what a run would read."""
    plan = prepared.plan
    slices = len(plan.slices)
    document = {
        "model_version": plan.version.name,
        "from": iso_local(plan.span.start),
        "to": iso_local(plan.span.end),
        "clicks_to_decide": prepared.coverage.clicks,
        "clicks_to_read": prepared.to_read,
        "files": prepared.files,
        "look_back_hours": prepared.look_back / 3_600_000_000,
        "slices": slices,
        "device": plan.device,
        "production_models": [version.name for version in plan.production],
        "seconds": prepared.expected_seconds,
        "settled_until": iso_local(prepared.settled_until),
        "logs": [asdict(log) for log in prepared.logs],
        "notes": prepared.notes,
    }
    if as_json:
        print_json(document)
        return
    takes = prepared.expected_seconds
    rows = [
        ("model", f"{plan.version.name} on {plan.device}, {plan.features} features"),
        ("from", iso_local(plan.span.start)),
        ("to", iso_local(plan.span.end)),
        ("decides", f"{prepared.coverage.clicks:,} clicks, in {slices:,} slices"),
        (
            "reads",
            f"at most {prepared.to_read:,} clicks of {prepared.files:,} files, with a look-back of "
            f"{prepared.look_back / 3_600_000_000:g} h",
        ),
        ("beside", ", ".join(version.name for version in plan.production) or "no stored version"),
        ("settled", f"up to {iso_local(prepared.settled_until)}"),
        *(("log", log.brief) for log in prepared.logs if not log.closed),
        ("takes", "unknown before a first run" if takes is None else f"about {takes:,.0f} s"),
    ]
    screen().print(described(rows))
    for note in prepared.notes:
        click.echo(f"note: {note}")
