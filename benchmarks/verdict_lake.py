"""A lake with runs to publish: generated clicks, decisions logged by one version, runs of others.

The versions call a click invalid from the k-th of its address's or user's clicks in an hour on:
cheap models, real replays.

- `FIRST` decided in production: its run was recorded as the log's decisions.
- `LATER` was replayed before anything was published, and is published second.
- `SECOND` is the newest run, so that `latest` names it; about a tenth of its clicks change.
"""

import os
import shutil
from math import log1p
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import torch

from benchmarks.clicks import BATCH, DAY, draw
from replay.lake import Lake
from replay.production import models_folder
from replay.recording import record_run
from replay.run import Request, execute, prepare
from replay.runs import read_manifest, run_folder, run_ids
from replay.snapshot import Snapshot
from replay.span import Span
from scorer.calibration import Calibration
from scorer.models import build
from scorer.models.logistic import Logistic
from scorer.registry import Registry
from scorer.spec import parse_spec

FIRST, SECOND, LATER = "first", "second", "later"
VERSIONS = {
    FIRST: ("clicks_ip_1h", 440),
    SECOND: ("clicks_user_1h", 10),
    LATER: ("clicks_user_1h", 7),
}
SPEC = parse_spec(
    {
        "counts": [
            {"entity": "ip", "windows": ["1h@1m"]},
            {"entity": "user_id", "windows": ["1h@1m"]},
        ],
        "flags": {"logged_in": False},
    },
    "verdicts",
)
STEEP = 20.0
ID_BYTES = 10


def make_lake(home: Path, clicks: int, days: float) -> Lake:
    """Make the lake, put in place when it is whole, or open the one made before."""
    if not home.exists():
        unfinished = home.with_name(f".{home.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _fill(Lake.create(unfinished, "USD"), clicks, days)
        unfinished.rename(home)
    return Lake.open(home)


def run_of(lake: Lake, version: str) -> str:
    """Return the id of the run of a version."""
    return next(
        r for r in run_ids(lake) if read_manifest(run_folder(lake, r)).model_version == version
    )


def copy_lake(lake: Lake, home: Path, toml: str = "") -> Lake:
    """Copy a lake by hard links, since no file changes in place; `toml` adds to its settings."""
    shutil.copytree(lake.home, home, copy_function=os.link)
    settings = home / "replay.toml"
    text = settings.read_text()
    settings.unlink()
    settings.write_text(text + toml)
    return Lake.open(home)


def _fill(lake: Lake, clicks: int, days: float) -> None:
    click.echo(f"clicks: {clicks:,}", err=True)
    table = draw(clicks, int(days * DAY), seed=7)
    place = table.schema.get_field_index("click_id")
    table = table.set_column(place, table.schema.field(place), _ids(clicks))
    lake.append("clicks", table.to_batches(BATCH), ("benchmark", 1))
    for name, (feature, k) in VERSIONS.items():
        _store(lake, name, feature, k)
    for name in (FIRST, LATER, SECOND):
        click.echo(f"run of {name}", err=True)
        run_id = _replay(lake, name)
        if name == FIRST:
            record_run(lake, run_id)
            shutil.rmtree(run_folder(lake, run_id).path)


def _ids(clicks: int) -> pa.Array:
    """Draw ids of 20 hexadecimal digits, as a digest's would be."""
    digits = np.random.default_rng(8).bytes(ID_BYTES * clicks).hex().encode()
    ends = np.arange(clicks + 1, dtype=np.int32) * 2 * ID_BYTES
    return pa.StringArray.from_buffers(clicks, pa.py_buffer(ends), pa.py_buffer(digits))


def _store(lake: Lake, name: str, feature: str, k: int) -> None:
    """Store a version that calls a click invalid from a count of k on."""
    module = build("logistic", SPEC)
    if not isinstance(module, Logistic):
        raise TypeError("logistic is no logistic regression")
    with torch.no_grad():
        module.last.weight.zero_()
        module.last.weight[0, SPEC.facts.index(feature)] = STEEP
        module.last.bias.fill_(-STEEP * log1p(k - 0.5))
    Registry(models_folder(lake)).write(name, module, SPEC, Calibration(overall=0.5))


def _replay(lake: Lake, version: str) -> str:
    span = Snapshot.take(lake).log_span()
    if span is None:
        raise ValueError("the lake holds no clicks")
    prepared = prepare(lake, Request(version, Span(span.start, span.end), device="cpu"))
    manifest, _ = execute(prepared, lambda _: None)
    return manifest.run_id
