"""An audit on disk: a folder that anyone can check, and make again from the same lake.

    audit.json             every figure
    differences.parquet    every click that two of the versions decide differently, in log order
    manifest.json          the command, the digests of all that was read and written, times

The first two hold neither wall time nor the folder's name: the same inputs, libraries, processor
capability and device give the same bytes.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import AwareDatetime, BaseModel, ConfigDict

from recovery.audit.judging import Plan
from replay.config import FILE
from replay.coverage import WEEK
from replay.errors import BadInput
from replay.lake import writing
from replay.production import models_folder
from replay.reader import HOUR
from replay.runs import HASHING, sha256_of
from replay.span import Span
from replay.tables import TIMESTAMP
from scorer.metrics import Flags
from scorer.registry import ModelVersion
from scorer.versions import CALIBRATION, MANIFEST

AUDIT, DIFFERENCES = "audit.json", "differences.parquet"
CLICK_FIELDS = (
    ("seq", pa.int64()),
    ("click_id", pa.string()),
    ("ts", TIMESTAMP),
    ("advertiser_id", pa.string()),
    ("campaign_id", pa.string()),
    ("price_micros", pa.int64()),
    ("purchased", pa.bool_()),
    ("robotic", pa.bool_()),
    ("production", pa.string()),
    ("effective", pa.string()),
)
VERSION_FIELDS = (
    ("decision", pa.string()),
    ("probability", pa.float32()),
    ("threshold", pa.float32()),
    ("slice", pa.string()),
    ("borderline", pa.bool_()),
    ("kind", pa.string()),
    ("adjustment", pa.int64()),
    ("cause", pa.string()),
)


class AuditManifest(BaseModel):
    """`manifest.json` of an audit; times are UTC, `start` and `end` the span [start, end).

    `read` and `written` are SHA-256 by path, within the lake and within the audit's folder. What
    was read of the tables are `table_versions`; `log_digest` says of which files, with their rows
    and times, all of each is made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    created_at: AwareDatetime
    lake_id: str
    start: AwareDatetime
    end: AwareDatetime
    models: tuple[str, ...]
    as_of: AwareDatetime | None
    settled_until: AwareDatetime
    device: str
    slice_length_us: int
    table_versions: dict[str, int]
    log_digest: str
    code_version: str
    libraries: dict[str, str]
    read: dict[str, str]
    written: dict[str, str]
    notes: tuple[str, ...]
    seconds: float


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write in; put it in place at the end, or remove it on any error."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.mkdir()
        except FileExistsError as exc:
            raise BadInput(
                f"{unfinished} is there: another audit is writing to {path}, or one was killed; "
                "wait for it, or remove that folder"
            ) from exc
        try:
            yield unfinished
            check_free(path)
            unfinished.rename(path)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def check_free(path: Path) -> None:
    """Raise BadInput where an audit can't be written: something is there already."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise BadInput(f"{path} is there already, and audits never change; choose another --out")


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a document, the same bytes for the same data."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


class DifferenceWriter:
    """Writes the clicks that two of the versions decide differently, slice by slice."""

    def __init__(self, path: Path, versions: Iterable[ModelVersion]) -> None:
        self._names = [version.name for version in versions]
        named = [
            (f"{field}_{name}", kind) for name in self._names for field, kind in VERSION_FIELDS
        ]
        self._schema = pa.schema([*CLICK_FIELDS, *named])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", store_schema=False)
        self.rows = 0

    def __enter__(self) -> "DifferenceWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, judged: pa.Table) -> None:
        """Write the differing clicks among those of a slice."""
        rows = judged.filter(pa.array(self._differs(judged)))
        if not len(rows):
            return
        columns = [rows[name].cast(kind) for name, kind in CLICK_FIELDS]
        for number in range(len(self._names)):
            columns += [rows[f"{field}_{number}"].cast(kind) for field, kind in VERSION_FIELDS]
        self._writer.write_table(pa.table(columns, schema=self._schema).combine_chunks())
        self.rows += len(rows)

    def _differs(self, judged: pa.Table) -> Flags:
        differs = np.zeros(len(judged), np.bool_)
        for number in range(1, len(self._names)):
            other = pc.not_equal(judged["decision_0"], judged[f"decision_{number}"])
            differs |= other.to_numpy()
        return differs


def read_digests(plan: Plan) -> dict[str, str]:
    """Return the SHA-256 of every file that an audit's figures come from, by path in the lake."""
    home = plan.snapshot.lake.home
    paths = sorted({*_table_files(plan), *_model_files(plan), home / FILE})
    with ThreadPoolExecutor(HASHING) as pool:
        names = (path.relative_to(home).as_posix() for path in paths)
        return dict(zip(names, pool.map(sha256_of, paths), strict=True))


def _table_files(plan: Plan) -> Iterator[Path]:
    """Yield the tables' files; of clicks those that features, labels or notes may look at."""
    attribution = plan.snapshot.lake.config.attribution_hours * HOUR
    span = plan.span
    clicks = Span(span.start - plan.look_back - WEEK, span.end + max(WEEK, attribution))
    within = {"clicks": clicks, "decisions": span, "verdicts": span}
    for name in ("clicks", "decisions", "verdicts", "purchases", "promotions"):
        for path in plan.snapshot.pinned[name].within(within.get(name)):
            yield Path(path)
    for table in {f"profiles_{profile.table}" for spec in plan.specs for profile in spec.profiles}:
        for path in plan.snapshot.pinned[table].within(None):
            yield Path(path)


def _model_files(plan: Plan) -> Iterator[Path]:
    folder = models_folder(plan.snapshot.lake)
    for version in (*plan.versions, *plan.production):
        for file in (MANIFEST, version.manifest.weights, CALIBRATION):
            yield folder / version.name / file
