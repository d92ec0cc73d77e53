"""`replay models`: list, show and promote stored versions."""

from importlib import import_module

import click

from recovery.production import promote as put_into_production
from replay.console import home_option, json_option, open_lake, print_json, screen, user_name, warn
from replay.curve_drawing import curve_lines
from replay.formats import described, new_table
from replay.lake import Lake
from replay.production import Production, open_versions
from replay.snapshot import Snapshot
from replay.span import iso_local, now_micros
from replay.tables import CLICKS, PROMOTIONS
from scorer.calibration import Calibration
from scorer.errors import BadModelFile
from scorer.manifest import Manifest
from scorer.versions import Versions, resolve


class _Models(click.Group):
    """A group that imports `calibrate`, which needs torch, when it is called, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), "calibrate"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None where there is none of this name."""
        if cmd_name != "calibrate":
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module("recovery.commands.calibrate").calibrate
        return command


@click.group(cls=_Models)
def models() -> None:
    """List, show, calibrate and promote model versions."""


@models.command("list")
@home_option
@json_option
def list_(home: str | None, as_json: bool) -> None:
    """List the stored versions, oldest first.

    \b
    Example:
      replay models list
    """
    lake = open_lake(home)
    versions, production = open_versions(lake), read_production(lake)
    rows = [_row(versions, production, name) for name in versions.names()]
    if as_json:
        print_json({"versions": rows})
        return
    headings = ("version", "stands as", "architecture", "trained to", ">FPR", ">IVR", "created")
    made = new_table(*headings)
    for row in rows:
        if row["problem"]:
            warn(str(row["problem"]))
        made.add_row(*(str(row[key]) if row[key] is not None else "" for key in _SHOWN))
    screen().print(made)


_SHOWN = ("version", "stands_as", "architecture", "trained_to", "fpr", "ivr", "created_at")


def _row(versions: Versions, production: Production, name: str) -> dict[str, object]:
    pointers = {production.production(): "production", production.previous(): "previous"}
    row: dict[str, object] = dict.fromkeys((*_SHOWN, "problem"))
    row |= {"version": name, "stands_as": pointers.get(name)}
    try:
        manifest = versions.manifest(name)
    except BadModelFile as exc:
        return row | {"problem": str(exc)}
    training = manifest.training
    return row | {
        "architecture": manifest.architecture,
        "trained_to": f"{training.end:%Y-%m-%d %H:%M}" if training else None,
        "fpr": percent(manifest.metrics.get("fpr")),
        "ivr": percent(manifest.metrics.get("ivr")),
        "created_at": f"{manifest.created_at:%Y-%m-%d %H:%M}",
    }


@models.command()
@click.argument("version")
@home_option
@json_option
def show(version: str, home: str | None, as_json: bool) -> None:
    """Show what a version was made of, its thresholds and digests; VERSION may be `production`.

    Each slice's curve is drawn: IVR over the FPR's upper end, with the threshold marked.

    \b
    Example:
      replay models show v2
    """
    lake = open_lake(home)
    versions = open_versions(lake)
    name = resolve(version, versions, read_production(lake))
    stored = versions.stored(name)
    calibration = versions.calibration(name)
    versions.verify(name)
    if as_json:
        manifest = stored.manifest.model_dump(mode="json")
        thresholds = calibration.model_dump(mode="json")
        print_json({"digest": stored.digest, **manifest, "calibration": thresholds})
        return
    screen().print(described(_described(stored.manifest, calibration, stored.digest)))
    for line in ["", *curve_lines(calibration)] if calibration.curves else []:
        click.echo(line)


def _described(manifest: Manifest, calibration: Calibration, digest: str) -> list[tuple[str, str]]:
    rows = [
        ("version", manifest.name),
        ("created", f"{manifest.created_at:%Y-%m-%d %H:%M:%S %Z}"),
        ("architecture", manifest.architecture),
        ("features", ", ".join(manifest.spec.names)),
        ("spec digest", manifest.spec_digest),
        ("slices by", ", ".join(manifest.slice_columns)),
        ("threshold", f"{calibration.overall:.6f} overall"),
    ]
    rows += [("", f"{value:.6f} {key}") for key, value in calibration.slices.items()]
    if training := manifest.training:
        tables = ", ".join(f"{name} {v}" for name, v in training.table_versions.items())
        rows += [
            ("trained on", f"[{training.start.isoformat()}, {training.end.isoformat()})"),
            ("tables", tables),
            ("fitted", f"{training.epochs} epochs on {training.device}, seed {training.seed}"),
        ]
    rows += [(f"metric {name}", _number(value)) for name, value in manifest.metrics.items()]
    rows += [("libraries", ", ".join(f"{n} {v}" for n, v in manifest.libraries.items()))]
    rows += [(name, f"{f.size:,} bytes, {f.sha256}") for name, f in manifest.files.items()]
    return [*rows, ("manifest.json", digest)]


@models.command()
@click.argument("version")
@click.option("--reason", required=True, help="Why; kept with the promotion.")
@click.option("--by", metavar="NAME", help="Who promotes; else the user who is logged in.")
@home_option
@json_option
def promote(version: str, reason: str, by: str | None, home: str | None, as_json: bool) -> None:
    """Put a stored version into production from now on.

    \b
    Example:
      replay models promote v2 --reason "fewer humans lost on mobile web"
    """
    lake = open_lake(home)
    versions, before = open_versions(lake), read_production(lake).production()
    name = resolve(version, versions, read_production(lake))
    metrics = versions.manifest(name).metrics
    row = put_into_production(lake, name, user_name(by), reason, metrics, now_micros())
    if as_json:
        print_json({"before": before, **vars(row)})
    else:
        click.echo(f"production: {before or 'none'} → {name}, since {iso_local(row.at)}")


def read_production(lake: Lake) -> Production:
    """Read what stands in production now."""
    return Production.read(Snapshot.take(lake, tables=(CLICKS, PROMOTIONS)))


def percent(value: float | None) -> str | None:
    """Write a share for a table; None where it is unknown.

    >>> percent(0.0123), percent(None)
    ('1.23%', None)
    """
    return None if value is None else f"{value:.2%}"


def _number(value: float | None) -> str:
    match value:
        case None:
            return "unknown"
        case int():
            return f"{value:,}"
        case _:
            return f"{value:.6f}"
