"""`replay models import`: a model that was made elsewhere, as a version."""

from pathlib import Path
from typing import get_args

import click

from recovery.commands.models.show import described_import
from replay.console import home_option, json_option, open_lake, print_json, screen, warn
from replay.formats import described
from replay.model_import import Request, import_version
from scorer.foreign.scoring import Output
from scorer.registry import ModelVersion
from scorer.spec import load_spec


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--spec", required=True, metavar="NAME|FILE", help="A shipped spec or a file.")
@click.option(
    "--thresholds",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML: `overall`, and a threshold for each slice under [slices].",
)
@click.option("--name", required=True, metavar="V", help="The new version's name.")
@click.option(
    "--sample",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Features and the probability that each should get, which the graph is held to.",
)
@click.option(
    "--output",
    type=click.Choice(get_args(Output)),
    default="probability",
    help="What the graph gives.",
)
@home_option
@json_option
def import_(
    file: Path,
    spec: str,
    thresholds: Path,
    name: str,
    sample: Path | None,
    output: Output,
    home: str | None,
    as_json: bool,
) -> None:
    """Store a model made elsewhere, a graph in ONNX, as a version.

    The graph takes one float32 tensor [N, features]: the raw features, in the order in which
    `replay features` writes them. It gives one number a click. docs/models.md tells how to export
    one from PyTorch and scikit-learn. Needs `pip install 'slidr-replay[onnx]'`.

    \b
    Example:
      replay models import model.onnx --spec default --thresholds t.toml --sample s.csv --name v9
    """
    lake = open_lake(home)
    request = Request(file, load_spec(spec), thresholds, name, sample, output)
    version = import_version(lake, request)
    if sample is None:
        warn(
            "without --sample nothing shows that the graph reads the features in this order and "
            "unscaled; give some inputs with the probabilities that they should get"
        )
    if as_json:
        print_json({"digest": version.digest, **version.manifest.model_dump(mode="json")})
    else:
        _show(version)


def _show(version: ModelVersion) -> None:
    manifest = version.manifest
    rows = [("version", f"{manifest.name} ({manifest.architecture})")]
    rows += described_import(manifest)
    rows += [
        ("features", f"{len(manifest.spec.names)}"),
        ("threshold", f"{version.calibration.overall:.6f} overall"),
        ("slices", f"{len(version.calibration.slices)}, by {', '.join(manifest.slice_columns)}"),
    ]
    screen().print(described(rows))
