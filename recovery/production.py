"""The writing of the production pointer: one more row in `promotions`, by one writer at a time."""

import json
from collections.abc import Mapping
from uuid import uuid4

import pyarrow as pa

from replay.lake import Lake, writing
from replay.production import Production, Promotion, open_versions
from replay.snapshot import Snapshot
from replay.tables import CLICKS, PROMOTIONS
from scorer.errors import BadInput


def promote(
    lake: Lake, version: str, by: str, reason: str, metrics: Mapping[str, object], at: int
) -> Promotion:
    """Put a stored version into production from `at` (µs) on; return the row.

    The row comes after all others even where a clock stepped back. Raises UnknownModel or
    BadModelFile where the version can't be used, BadInput where it is in production already or the
    reason is empty, LakeBusy where another writer was first.
    """
    if not reason.strip():
        raise BadInput("a promotion needs a reason: say why with --reason")
    open_versions(lake).verify(version)
    with writing(lake.home):
        table = lake.ready("promotions")  # before the history: what comes between is a conflict
    history = Production.read(Snapshot.take(lake, tables=(CLICKS, PROMOTIONS)))
    if history.production() == version:
        raise BadInput(f"version {version!r} is in production already; nothing was changed")
    last = history.history[-1].at if history.history else at - 1
    text = json.dumps(dict(metrics), sort_keys=True, allow_nan=False)
    row = Promotion(max(at, last + 1), version, "promote", by, reason, text)
    batch = pa.RecordBatch.from_pylist([vars(row)], schema=_UNSTAMPED).cast(PROMOTIONS.schema)
    lake.append("promotions", [batch], (f"promote-{uuid4()}", 1), exclusive=table)
    return row


_UNSTAMPED = PROMOTIONS.schema.set(0, pa.field("at", pa.int64(), nullable=False))
