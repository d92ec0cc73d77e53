"""The committer's batches: numbered lists of segments, written down before they are committed.

    SPOOL/batches/<number>.json   what the batch is made of; a crash finds it here, to try again
    SPOOL/batches/<number>.done   it is in the lake; its segments may be removed, or are already

Numbers only grow, so that a table knows by the last one that it holds which batches landed.
"""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from replay.durable import keep, put_whole
from replay.live.segments import Segment

FOLDER = "batches"
IDENTITY = "id"
MOST_BYTES = 32 << 20  # of segments in a batch, but for one that is larger


class Entry(BaseModel):
    """A segment of a batch; `name` is writer/file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size: int
    sha256: str


class Batch(BaseModel):
    """What goes to the lake in one commit to each table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    segments: tuple[Entry, ...]


def spool_id(spool: Path) -> str:
    """Return the spool's own name, which its transactions carry; make it where there is none."""
    path = spool / IDENTITY
    if not path.exists():
        put_whole(path, secrets.token_hex(8))
    return path.read_text().strip()


def pending(spool: Path) -> Batch | None:
    """Return the batch that a crash left unfinished, if any."""
    for path in sorted((spool / FOLDER).glob("*.json")):
        return Batch.model_validate_json(path.read_bytes())
    return None


def last_number(spool: Path) -> int:
    """Return the number of the newest batch that was begun; 0 for none."""
    folder = spool / FOLDER
    paths = [*folder.glob("*.json"), *folder.glob("*.done")]
    return max((int(path.stem) for path in paths), default=0)


def begin(spool: Path, number: int, segments: Sequence[Segment]) -> Batch:
    """Write down a new batch."""
    batch = Batch(number=number, segments=tuple(_entry(segment) for segment in segments))
    (spool / FOLDER).mkdir(exist_ok=True)
    put_whole(_path(spool, batch), batch.model_dump_json())
    return batch


def finish(spool: Path, batch: Batch) -> None:
    """Say that a batch is in the lake, then remove its segments."""
    done = _path(spool, batch).with_suffix(".done")
    _path(spool, batch).rename(done)
    keep([done])
    remove_done(spool)


def remove_done(spool: Path) -> None:
    """Remove the segments of finished batches, and of the batches all but the last."""
    done = sorted((spool / FOLDER).glob("*.done"))
    for path in done:
        for entry in Batch.model_validate_json(path.read_bytes()).segments:
            (spool / entry.name).unlink(missing_ok=True)
    for path in done[:-1]:
        path.unlink()


def choose(segments: Sequence[Segment]) -> list[Segment]:
    """Return the segments of the next batch: in order of their floors, unclosed ones last."""
    ordered = sorted(
        segments, key=lambda s: (s.floor is None, s.floor or 0, s.path.parent.name, s.number)
    )
    chosen: list[Segment] = []
    room = MOST_BYTES
    for segment in ordered:
        room -= size([segment])
        if chosen and room < 0:
            break
        chosen.append(segment)
    return chosen


def size(segments: Iterable[Segment]) -> int:
    """Return how many bytes segments have."""
    return sum(segment.path.stat().st_size for segment in segments)


def contents(spool: Path, entry: Entry) -> bytes | None:
    """Return a segment's bytes; None where it is not what the batch says."""
    try:
        data = (spool / entry.name).read_bytes()
    except FileNotFoundError:
        return None
    return data if _digest(data) == entry.sha256 else None


def _entry(segment: Segment) -> Entry:
    data = segment.path.read_bytes()
    return Entry(name=segment.name, size=len(data), sha256=_digest(data))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _path(spool: Path, batch: Batch) -> Path:
    return spool / FOLDER / f"{batch.number:010d}.json"
