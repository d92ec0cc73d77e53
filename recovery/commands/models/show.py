"""`replay models show`: what a version was made of."""

import click

from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.curve_drawing import curve_lines
from replay.formats import described
from replay.production import open_versions, read_production
from scorer.calibration import Calibration
from scorer.manifest import Manifest
from scorer.versions import resolve


@click.command()
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
    rows += described_import(manifest)
    rows += [(f"metric {name}", number(value)) for name, value in manifest.metrics.items()]
    rows += [("libraries", ", ".join(f"{n} {v}" for n, v in manifest.libraries.items()))]
    rows += [(name, f"{f.size:,} bytes, {f.sha256}") for name, f in manifest.files.items()]
    return [*rows, ("manifest.json", digest)]


def described_import(manifest: Manifest) -> list[tuple[str, str]]:
    """Say where an imported version came from, and what it was held to; nothing of others."""
    if (imported := manifest.imported) is None:
        return []
    producer = f", by {imported.producer}" if imported.producer else ""
    held = "held to none: its outputs are unchecked"
    if sample := imported.sample:
        held = f"{sample.rows:,} rows of {sample.file}, at most {sample.most:.1g} apart"
    return [
        ("imported", f"{imported.file}, {imported.sha256}"),
        ("graph", f"gives the {imported.output}; opset {imported.opset}{producer}"),
        ("sample", held),
        ("trained on", "unknown, as it was made elsewhere"),
    ]


def number(value: float | None) -> str:
    """Write a figure of a manifest.

    >>> number(None), number(1000), number(0.5)
    ('unknown', '1,000', '0.500000')
    """
    match value:
        case None:
            return "unknown"
        case int():
            return f"{value:,}"
        case _:
            return f"{value:.6f}"
