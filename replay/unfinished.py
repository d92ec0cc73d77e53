"""Runs that are not finished: being written, or left by an interruption, to be resumed.

    runs/.<run_id>.unfinished/
      plan.json                 everything that decides the parts, and its own SHA-256
      decisions/ changes/       the parts so far, each whole

Who writes a run holds a lock on its folder, which the system drops when the process ends, however
it ends.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shlex import join

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from replay.durable import put_whole
from replay.errors import BadInput
from replay.lake import Lake, writing
from replay.runs import RunFolder, RunInputs, run_ids, unfinished_ids
from scorer.errors import nearest

PLAN = "plan.json"
KINDS = ("decisions", "changes")


class RunPlan(RunInputs):
    """`plan.json`: everything that decides a run's parts and the counts of its manifest.

    `made_with` are the versions of what computes and writes them, `production_digests` those of
    `production_models`.
    """

    production_digests: dict[str, str]
    made_with: dict[str, str]
    attribution_hours: int
    cold_start: int
    gap: int


@dataclass(frozen=True)
class Unfinished:
    """A run that is not finished, and whose folder this process holds."""

    lake: Lake
    plan: RunPlan
    folder: RunFolder

    @property
    def slices_done(self) -> int:
        """How many slices from the first on have all their parts."""
        return slices_done(self.folder, self.plan.slices)

    def discard(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder.path, ignore_errors=True)


@contextmanager
def begin(lake: Lake, plan: RunPlan) -> Iterator[Unfinished]:
    """Give a new run to write; put it in place at the end, as `keeping` does."""
    path = _path(lake, plan.run_id)
    with writing(path.parent):
        path.mkdir(parents=True)
    with _held(path, plan.run_id, wait=True):  # a look at what is not finished takes it a moment
        run = Unfinished(lake, plan, RunFolder(path))
        with keeping(run, new=True):
            put_whole(path / PLAN, _written(plan))
            yield run


@contextmanager
def reopen(lake: Lake, run_id: str) -> Iterator[Unfinished]:
    """Hold an interrupted run, to look at it and to go on with it under `keeping`.

    Raises BadInput where there is none of that id, it is finished or still being written, or its
    plan is damaged.
    """
    path = _path(lake, known_unfinished(lake, run_id))
    with _held(path, run_id):
        yield Unfinished(lake, read_plan(lake, run_id), RunFolder(path))


@contextmanager
def keeping(run: Unfinished, *, new: bool = False) -> Iterator[None]:
    """Put a run in place at the end.

    On any error it stays where it is, and a note on the error tells how to resume it; a new one
    without a finished slice is removed.
    """
    try:
        with writing(run.folder.path.parent):
            yield
            place = run.lake.home / "runs" / run.plan.run_id
            run.folder.path.rename(place)
            (place / PLAN).unlink()
    except BaseException as exc:
        done = run.slices_done
        if new and not done:
            run.discard()
        if run.folder.path.exists():
            command = join(["replay", "--resume", run.plan.run_id, "--home", str(run.lake.home)])
            exc.add_note(f"{done} of {run.plan.slices} slices are kept; to resume: {command}")
        raise


def drop(lake: Lake, run_id: str) -> None:
    """Remove a run that is not finished; raise BadInput as `reopen` does, but for a plan."""
    path = _path(lake, known_unfinished(lake, run_id))
    with _held(path, run_id), writing(path):
        shutil.rmtree(path)


def known_unfinished(lake: Lake, run_id: str) -> str:
    """Return the id of a run that is not finished; raise BadInput where it is none."""
    unfinished, finished = unfinished_ids(lake), run_ids(lake)
    if run_id in finished:
        raise BadInput(f"run {run_id} is finished; `replay runs show {run_id}` shows it")
    if run_id not in unfinished:
        hint = nearest(run_id, [*unfinished, *finished], "`replay runs list` shows the runs.")
        raise BadInput(f"no run named {run_id!r}. {hint}")
    return run_id


def read_plan(lake: Lake, run_id: str) -> RunPlan:
    """Read an unfinished run's plan; raise BadInput where it is damaged."""
    path = _path(lake, run_id) / PLAN
    try:
        document = json.loads(path.read_bytes())
        plan = RunPlan.model_validate(document["plan"])
        if document["sha256"] != _digest(plan) or plan.run_id != run_id:
            raise ValueError("it is not what was written")
    except (OSError, ValidationError, ValueError, KeyError, TypeError) as exc:
        said = exc.strerror if isinstance(exc, OSError) else str(exc).splitlines()[0]
        raise BadInput(
            f"{path} is damaged ({said}): run {run_id} can't be resumed. Replay the span again; "
            f"`replay runs drop {run_id}` removes what is left"
        ) from exc
    return plan


def is_held(lake: Lake, run_id: str) -> bool:
    """Tell whether a process is writing an unfinished run."""
    try:
        with _held(_path(lake, run_id), run_id):
            return False
    except BadInput:
        return True


def slices_done(folder: RunFolder, slices: int) -> int:
    """Return how many slices from the first on have all their parts."""
    for number in range(slices):
        if not all(_is_whole(folder.part(kind, number)) for kind in KINDS):
            return number
    return slices


def _is_whole(part: Path) -> bool:
    try:
        pq.read_metadata(part)
    except (OSError, pa.ArrowException):
        return False
    return True


def parts_of(lake: Lake, run_id: str) -> RunFolder:
    """Return the folder of a run that is not finished."""
    return RunFolder(_path(lake, run_id))


def _path(lake: Lake, run_id: str) -> Path:
    return lake.home / "runs" / f".{run_id}.unfinished"


@contextmanager
def _held(path: Path, run_id: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock on a run's folder; raise BadInput where another process does, or `wait`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError as exc:
        raise BadInput(f"run {run_id} was finished or dropped just now") from exc
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as exc:
            raise BadInput(
                f"run {run_id} is being written by another process; wait for it"
            ) from exc
        if not _is_at(path, descriptor):
            raise BadInput(f"run {run_id} was finished or dropped just now")
        yield
    finally:
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _written(plan: RunPlan) -> str:
    document = {"plan": plan.model_dump(mode="json"), "sha256": _digest(plan)}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _digest(plan: RunPlan) -> str:
    return sha256(json.dumps(plan.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
