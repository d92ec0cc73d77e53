"""Model versions with known behaviour, the decisions that they log, and runs of them.

A version made by `at_least` calls a click invalid from the k-th of its user's clicks in an hour on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log1p
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from replay.lake import Lake
from replay.production import models_folder
from replay.run import Request, execute, prepare
from replay.runs import RunFolder, RunManifest, run_folder
from replay.span import Span
from replay.summary import Summary
from scorer.calibration import Calibration
from scorer.models import build
from scorer.models.logistic import Logistic
from scorer.registry import ModelVersion, Registry
from scorer.spec import Spec, parse_spec
from tests.lakes import Row, click

USER: Spec = parse_spec(
    {"counts": [{"entity": "user_id", "windows": ["1h@1m"]}], "flags": {"logged_in": False}}, "user"
)
BOTH: Spec = parse_spec(
    {
        "counts": [
            {"entity": "ip", "windows": ["1h@1m"]},
            {"entity": "user_id", "windows": ["1h@1m"]},
        ],
        "profiles": [{"table": "user", "column": "age", "default": 7.0}],
    },
    "both",
)
STEEP = 20.0
HOUR = 3_600_000_000
START = 1_772_323_200_000_000 + 12 * HOUR  # 2026-03-01T12:00Z
TWO_DAYS = Span(START, START + 48 * HOUR)


def at_least(
    lake: Lake,
    name: str,
    k: float,
    *,
    feature: str = "clicks_user_1h",
    spec: Spec = USER,
    threshold: float = 0.5,
    slices: dict[str, float] | None = None,
) -> ModelVersion:
    """Store a version that gives a click of count k the probability 0.5 or more.

    Small counts lie far apart: for k = 2, the counts 1, 2, 3 have about 0.01, 0.97 and 0.9999.
    """
    module = build("logistic", spec)
    assert isinstance(module, Logistic)
    with torch.no_grad():
        module.last.weight.zero_()
        module.last.weight[0, spec.facts.index(feature)] = STEEP
        module.last.bias.fill_(-STEEP * log1p(k - 0.5))
    calibration = Calibration(overall=threshold, slices=slices or {})
    return Registry(models_folder(lake)).write(name, module, spec, calibration)


def probability(version: ModelVersion, count: int) -> float:
    """Return what a version of spec USER gives a click of this count."""
    facts, reals = np.array([[count]], np.int32), np.empty((0, 1), np.float32)
    return float(version.probabilities(facts, reals)[0])


def burst(
    count: int, user: str = "u", start: int = START, **columns: object
) -> list[dict[str, Any]]:
    """One user's clicks, a second apart."""
    return [
        click(start + k * 1_000_000, k, f"{user}{k}", user_id=user, **columns) for k in range(count)
    ]


def logged(
    row: Row,
    version: ModelVersion | str | None,
    decision: str,
    facts: Sequence[int] | None = None,
    reals: Sequence[float] = (),
) -> dict[str, Any]:
    """Return a row of `decisions`: this version logged this decision of a click on these facts."""
    known: dict[str, object] = {"model_version": version}
    if isinstance(version, ModelVersion):
        known = {"model_version": version.name}
        if facts is not None:
            known |= {
                "spec_digest": version.spec.digest,
                "facts": list(facts),
                "reals": list(reals),
            }
    return {
        "click_id": row["click_id"],
        "seq": row["seq"],
        "ts": row["ts"],
        "decision": decision,
        **known,
    }


def verdict(row: Row, decision: str, ledger_seq: int = 0, run_id: str = "r") -> dict[str, Any]:
    """Return a row of `verdicts` on a click; its money is not what the tests look at."""
    return {
        "verdict_id": f"v{ledger_seq}",
        "run_id": run_id,
        "seq": row["seq"],
        "click_id": row["click_id"],
        "ts": row["ts"],
        "issued_at": row["ts"],
        "previous": "valid",
        "decision": decision,
        "adjustment_micros": 0,
        "advertiser_id": row["advertiser_id"],
        "campaign_id": row["campaign_id"],
        "reason": "test",
        "ledger_seq": ledger_seq,
    }


def ignore(units: int) -> None:
    """Hear of progress."""


@dataclass(frozen=True)
class Ran:
    """A finished run: rows of its parts in order, changes also by click."""

    manifest: RunManifest
    summary: Summary
    folder: RunFolder

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """Return the rows of all parts."""
        files = sorted((self.folder.path / kind).iterdir())
        return [row for file in files for row in pq.read_table(file).to_pylist()]

    def by_click(self, kind: str, column: str) -> dict[str, Any]:
        """Return click id → one column."""
        return {row["click_id"]: row[column] for row in self.rows(kind)}


def run(
    lake: Lake,
    model: str,
    span: Span = TWO_DAYS,
    *,
    features: str = "recomputed",
    where: str | None = None,
    sample: str | None = None,
    as_of: int | None = None,
) -> Ran:
    """Replay a span of the log."""
    request = Request(model, span, features, "cpu", where, sample, as_of)
    manifest, summary = execute(prepare(lake, request), ignore)
    return Ran(manifest, summary, run_folder(lake, manifest.run_id))
