"""Up to when each machine's services have logged: `<home>/writers/<spool id>.json`.

Every click that a machine's services stamped before its `flushed_until` is in the lake, or was
lost, as its spool's page says. The log is settled up to the lowest of them; a machine whose
services were shut down with nothing left says `closed` and holds nothing open.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from replay.cursors import in_words
from replay.durable import put_whole
from replay.errors import BadInput
from replay.lake import Lake, writing
from replay.span import iso

FOLDER = "writers"
SILENT = 60_000_000  # µs without a word after which a machine may be gone


class Flushed(BaseModel):
    """What one machine's committer last said, at `at`; both times in µs."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    spool: str = Field(pattern=r"^[0-9a-f]{1,64}$")
    host: str
    flushed_until: int = Field(ge=0)
    at: int = Field(ge=0)
    closed: bool = False


@dataclass(frozen=True)
class LogLag:
    """How far a machine's log is behind, in µs (0 where it is closed), and what to do about it."""

    spool: str
    host: str
    flushed_until: int
    at: int
    closed: bool
    micros: int
    hint: str | None = None

    @property
    def brief(self) -> str:
        """Say how far it is behind."""
        return f"{self.host}: {in_words(self.micros)} behind"

    def __str__(self) -> str:
        return f"{self.brief}; {self.hint}" if self.hint else self.brief


def path_of(home: Path, spool: str) -> Path:
    """Return where a machine's committer says how far it is."""
    return home / FOLDER / f"{spool}.json"


def write_flushed(home: Path, flushed: Flushed) -> None:
    """Put it in place whole; raise LakeUnwritable where that fails."""
    path = path_of(home, flushed.spool)
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        put_whole(path, flushed.model_dump_json() + "\n", lasting=flushed.closed)


def read_flushed(path: Path) -> Flushed:
    """Read what a committer said; raise BadInput where the file is damaged."""
    try:
        return Flushed.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise BadInput(f"{path} cannot be read: {exc.strerror}") from exc
    except ValidationError as exc:
        raise BadInput(
            f"{path} is damaged ({exc.errors()[0]['msg']}): its machine's service writes it anew; "
            "if machine and spool are gone for good, remove it"
        ) from exc


def log_lags(lake: Lake, now: int) -> tuple[LogLag, ...]:
    """Say how far each machine's log is behind `now` (µs); one that can't be read is at 0."""
    return tuple(_lag(path, now) for path in sorted((lake.home / FOLDER).glob("*.json")))


def settled_until(lags: Sequence[LogLag], now: int) -> int:
    """Return the moment (µs) before which the log is whole: now, where no service writes."""
    return min([now, *(lag.flushed_until for lag in lags if not lag.closed)])


def unsettled_notes(lags: Sequence[LogLag], until: int) -> list[str]:
    """Name the machines that may still log a click stamped before `until` (µs)."""
    return [
        f"unsettled: {lag}; it has logged all up to {iso(lag.flushed_until)}"
        for lag in lags
        if not lag.closed and lag.flushed_until < until
    ]


def _lag(path: Path, now: int) -> LogLag:
    try:
        said = read_flushed(path)
    except BadInput as exc:
        return LogLag(path.stem, path.stem, 0, 0, closed=False, micros=now, hint=str(exc))
    hint = None
    if not said.closed and now - said.at > SILENT:
        hint = (
            f"not heard of since {iso(said.at)}: start its service, to log what its spool holds, "
            f"or, if machine and spool are gone for good, remove {path}"
        )
    micros = 0 if said.closed else max(now - said.flushed_until, 0)
    return LogLag(**said.model_dump(), micros=micros, hint=hint)
