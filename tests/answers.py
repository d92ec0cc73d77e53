"""Answers as a service gives them, and what is in a lake of them, for the tests of its log."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from replay.lake import Lake
from replay.live.committer import Committer
from replay.live.spool import Spool
from replay.snapshot import Snapshot
from scorer.serving.clicks import Click
from scorer.serving.ports import Answer

SECOND = 1_000_000
START = 1_772_366_400_000_000  # 2026-03-01T12:00Z
REALS = np.array([0.1, -1 / 3, 1e-30, 16_777_217.0], np.float32).tolist()


def answer(
    number: int, ts: int | None = None, *, click: Mapping[str, object] | None = None, **said: object
) -> Answer:
    """Return a decided answer on click `c<number>`, stamped a second after the one before."""
    columns: dict[str, object] = {
        "click_id": f"c{number}",
        "user_id": f"u{number % 7}",
        "device": "desktop",
        "logged_in": True,
        "advertiser_id": "adv1",
        "campaign_id": "camp1",
        "price_micros": 250_000,
        **(click or {}),
    }
    stamp = START + number * SECOND if ts is None else ts
    values: dict[str, Any] = {
        "click": Click.model_validate(columns),
        "ts": stamp,
        "seq": stamp + 1,
        "source": "live",
        "store_epoch": "e1",
        "repeated": False,
        "decided_at": stamp + 900,
        "decision": "valid",
        "reason": "scored",
        "model_version": "v1",
        "probability": float(np.float32(0.1)),
        "threshold": 0.5,
        "slice": "desktop,true",
        "spec_digest": "d1",
        "facts": [1, 2, 2**31 - 1],
        "reals": REALS,
    }
    return Answer(**{**values, **said})


def undecided(number: int, ts: int | None = None, **said: object) -> Answer:
    """Return an answer that no model made."""
    nothing = dict.fromkeys(
        ("model_version", "probability", "threshold", "slice", "spec_digest", "facts", "reals")
    )
    wanted: dict[str, Any] = {"decision": "undecided", "reason": "store_timeout", **nothing, **said}
    return answer(number, ts, **wanted)


def log(spool: Path, *answers: Answer) -> Path:
    """Log answers as a worker that lives and ends; return the segment."""
    worker = Spool(spool, rotate_every=60)
    worker.opened(START, len(answers))
    worker.put(answers, START)
    assert worker.close() == 0
    (segment,) = worker.folder.glob("*.jsonl")
    return segment


def commit(lake: Lake, spool: Path, *answers: Answer) -> Committer:
    """Log answers and commit them with a committer that knows nothing of earlier ones."""
    log(spool, *answers)
    committer = Committer(lake, spool)
    committer.tick()
    return committer


def rows(lake: Lake, table: str) -> list[dict[str, Any]]:
    """Return a table's rows, file after file, each in its own order."""
    pinned = Snapshot.take(lake).pinned[table]
    return [row for file in pinned.files for row in pq.ParquetFile(file.path).read().to_pylist()]


def ids(lake: Lake, table: str) -> list[str]:
    """Return the click ids that a table has, one for each row."""
    return [row["click_id"] for row in rows(lake, table)]


def left(spool: Path) -> list[str]:
    """Return what lies in workers' folders."""
    return sorted(str(path.relative_to(spool)) for path in spool.glob("*-*-*/*"))
