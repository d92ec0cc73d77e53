"""Runs on disk: `runs/<run_id>/` with a manifest and two sets of parts.

    manifest.json                 arguments, digests, table versions, device, counts, timings
    decisions/part-<n>.parquet    a part per slice: every replayed click's decision, in log order
    changes/part-<n>.parquet      a part per slice: the clicks whose decision changed

Parts hold neither wall time nor run id, so that the same inputs give the same bytes. A run is put
in place whole when it is finished; until then it stands where `replay.unfinished` says.
"""

import json
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import file_digest
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from replay.durable import put_whole
from replay.lake import Lake, writing
from replay.snapshot import Snapshot, quoted
from replay.span import Span, to_micros
from scorer.errors import BadInput, Inconsistent, nearest

MANIFEST = "manifest.json"
HASHING = 2  # threads


class RunInputs(BaseModel):
    """What a run was asked for and what it read; times are UTC, the span is [start, end).

    `lake_id` is that of the lake whose log was read, `log_digest` which files that was made of,
    `settled_until` the moment up to which it was whole, `known_until` its last click or purchase.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    lake_id: str
    created_at: AwareDatetime
    settled_until: AwareDatetime
    known_until: AwareDatetime
    start: AwareDatetime
    end: AwareDatetime
    model_version: str
    model_digest: str
    spec_digest: str
    production_models: tuple[str, ...]
    features: str
    noise_floor: bool = False
    where: str | None
    sample: str | None
    as_of: AwareDatetime | None
    device: str
    slice_length_us: int
    slices: int
    table_versions: dict[str, int]
    log_digest: str
    code_version: str
    notes: tuple[str, ...]

    @property
    def span(self) -> Span:
        """The clicks that are replayed."""
        return Span(to_micros(self.start), to_micros(self.end))


class Resumed(BaseModel):
    """How an interrupted run was finished: from which slice on, and how many clicks that read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slice: int
    read: int


class RunManifest(RunInputs):
    """`manifest.json` of a finished run; `digests` are the parts' SHA-256.

    `counts` are those of the whole run, however often it was interrupted; `seconds` are those of
    the attempt that finished it, which `resumed` tells of.
    """

    status: str = "finished"
    counts: dict[str, int]
    digests: dict[str, str]
    seconds: float
    resumed: Resumed | None = None

    @property
    def pace(self) -> float:
        """How many seconds a click took that was read."""
        read = self.resumed.read if self.resumed else self.counts["read"]
        return self.seconds / max(read, 1)


def new_run_id(now: datetime) -> str:
    """Return a run id that sorts by time and that no other run has."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def code_version() -> str:
    """Return the version of this toolkit."""
    return metadata.version("slidr-replay")


@dataclass(frozen=True)
class RunFolder:
    """A run's parts, being written or finished."""

    path: Path

    def write_part(self, kind: str, number: int, rows: pa.Table) -> None:
        """Write one slice's rows; `kind` is decisions or changes. A part that is there is whole."""
        path = self.part(kind, number)
        temporary = path.with_name(f"{path.name}.new")
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            with temporary.open("wb") as file:
                words = _repeating(rows)
                pq.write_table(
                    rows, file, compression="zstd", store_schema=False, use_dictionary=words
                )
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)

    def part(self, kind: str, number: int) -> Path:
        """Return the path of one slice's rows."""
        return self.path / kind / f"part-{number:05d}.parquet"

    def write_manifest(self, manifest: RunManifest) -> None:
        """Write the manifest."""
        document = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
        put_whole(self.path / MANIFEST, document + "\n")

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of every part, by its path within the run."""
        paths = sorted(self.path.glob("*/part-*.parquet"))
        with ThreadPoolExecutor(HASHING) as pool:
            names = (f"{path.parent.name}/{path.name}" for path in paths)
            return dict(zip(names, pool.map(sha256_of, paths), strict=True))

    def source(self, kind: str) -> str:
        """SQL for all parts of one kind, to stand in a FROM clause."""
        return f"read_parquet({quoted(str(self.path / kind))} || '/part-*.parquet')"


def _repeating(rows: pa.Table) -> list[str]:
    """Name the columns of words: all strings but the click's own, which never repeats."""
    return [
        field.name
        for field in rows.schema
        if pa.types.is_dictionary(field.type)
        or (pa.types.is_string(field.type) and field.name != "click_id")
    ]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def run_ids(lake: Lake) -> list[str]:
    """Return the ids of the finished runs, oldest first."""
    return sorted(p.parent.name for p in (lake.home / "runs").glob(f"[!.]*/{MANIFEST}"))


def unfinished_ids(lake: Lake) -> list[str]:
    """Return the ids of the runs that are not finished, oldest first; some may be being written."""
    folders = (lake.home / "runs").glob(".*.unfinished")
    return sorted(path.name.removeprefix(".").removesuffix(".unfinished") for path in folders)


def run_folder(lake: Lake, run_id: str) -> RunFolder:
    """Return a finished run's folder; raise BadInput, with the nearest ids, where there is none."""
    known = run_ids(lake)
    if run_id == "latest" and known:
        run_id = known[-1]
    if run_id not in known:
        if run_id in unfinished_ids(lake):
            raise BadInput(
                f"run {run_id} is not finished; wait for it, or finish it: "
                f"`replay --resume {run_id}`"
            )
        hint = nearest(run_id, known, "`replay runs list` shows the finished runs.")
        raise BadInput(f"no run named {run_id!r}. {hint}")
    return RunFolder(lake.home / "runs" / run_id)


def check_run(lake: Lake, folder: RunFolder, manifest: RunManifest) -> None:
    """Check that a run is this lake's and that its parts are as they were written.

    Raises BadInput for a run of another lake, or of a copy that went on, and Inconsistent for a
    part that was changed or is lost.
    """
    if manifest.lake_id != lake.identity():
        raise BadInput(
            f"run {manifest.run_id} was made on another lake; replay its span on {lake.home}"
        )
    if not same_log(lake, manifest):
        raise BadInput(
            f"run {manifest.run_id} was made on a copy of this lake that went on by itself; replay "
            f"its span on {lake.home}"
        )
    found = folder.digests()
    for name in sorted(manifest.digests.keys() | found.keys()):
        if manifest.digests.get(name) != found.get(name):
            raise Inconsistent(
                f"{folder.path / name} is not what run {manifest.run_id} wrote (its SHA-256 "
                "differs from the manifest's); replay the span again"
            )


def same_log(lake: Lake, manifest: RunInputs) -> bool:
    """Whether a run's table versions hold here what they held where it was made."""
    for name, version in manifest.table_versions.items():
        table = lake.delta(name)
        if table is None or table.version() < version:
            return False
    return Snapshot.at_versions(lake, manifest.table_versions).digest() == manifest.log_digest


def read_manifest(folder: RunFolder) -> RunManifest:
    """Read a run's manifest; raise BadInput where it does not hold."""
    path = folder.path / MANIFEST
    try:
        return RunManifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as exc:
        said = str(exc).splitlines()[0]
        raise BadInput(f"{path} is no run's manifest: {said}") from exc
