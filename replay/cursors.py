"""How far each sink is: one small file for each, `<home>/sinks/<name>.json`.

A sink is a place that verdicts are delivered to. Its cursor is written after the sink has a batch,
never before: a crash between the two sends the batch again.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
from pydantic import AwareDatetime, BaseModel, ConfigDict, NonNegativeInt, ValidationError

from replay.durable import put_whole
from replay.errors import BadCursor
from replay.lake import Lake, writing
from replay.snapshot import Snapshot
from replay.span import to_datetime, to_micros
from scorer.errors import BadInput

FOLDER = "sinks"
_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_STRICT = ConfigDict(frozen=True, extra="forbid")


class Failure(BaseModel):
    """What stopped the last delivery, and since when nothing got through."""

    model_config = _STRICT

    message: str
    since: AwareDatetime


class DeadLetter(BaseModel):
    """Verdicts first <= ledger_seq <= last that a sink refused while it took others."""

    model_config = _STRICT

    first: int
    last: int
    attempts: int
    error: str
    at: AwareDatetime

    @property
    def verdicts(self) -> int:
        """How many there are."""
        return self.last - self.first + 1


class Cursor(BaseModel):
    """A sink surely has every verdict up to `ledger_seq` (0: none), except for its dead letters."""

    model_config = _STRICT

    sink: str
    kind: str
    ledger_seq: NonNegativeInt = 0
    delivered_at: AwareDatetime | None = None
    error: Failure | None = None
    dead_letters: tuple[DeadLetter, ...] = ()

    def at_place(self, ledger_seq: int) -> "Cursor":
        """Stand where the sink itself says that it is."""
        return self.model_copy(update={"ledger_seq": ledger_seq})

    def delivered(self, last: int, at: int) -> "Cursor":
        """The sink took a batch that ends with `last`, at `at` (µs)."""
        return self.model_copy(
            update={"ledger_seq": last, "delivered_at": to_datetime(at), "error": None}
        )

    def failed(self, message: str, at: int) -> "Cursor":
        """Keep what went wrong; an error that goes on keeps its beginning."""
        since = self.error.since if self.error else to_datetime(at)
        return self.model_copy(update={"error": Failure(message=message, since=since)})

    def without(self, first: int, last: int) -> "Cursor":
        """Leave first to last out of the dead letters; what stands beside them stays."""
        left = [
            letter.model_copy(update={"first": low, "last": high})
            for letter in self.dead_letters
            for low, high in (
                (letter.first, min(letter.last, first - 1)),
                (max(letter.first, last + 1), letter.last),
            )
            if low <= high
        ]
        return self.model_copy(update={"dead_letters": tuple(left)})

    def beyond(self, *letters: DeadLetter) -> "Cursor":
        """Leave dead letters behind."""
        kept = tuple(sorted((*self.dead_letters, *letters), key=lambda one: one.first))
        place = max((self.ledger_seq, *(letter.last for letter in letters)))
        return self.model_copy(update={"ledger_seq": place, "dead_letters": kept})


@dataclass(frozen=True)
class Lag:
    """What a configured sink does not have yet.

    `verdicts` stand after its cursor, the first of them published `micros` (µs) ago; both are None
    where the cursor can't be read. Dead letters come on top. `problem` is the last error, which
    goes on since `failing_since`, or says that the cursor stands beyond the ledger's end; that
    moment and `delivered_at` are in µs.
    """

    sink: str
    kind: str
    ledger_seq: int | None = None
    verdicts: int | None = None
    micros: int | None = None
    dead_letters: tuple[DeadLetter, ...] = ()
    delivered_at: int | None = None
    problem: str | None = None
    failing_since: int | None = None

    @property
    def refused(self) -> int:
        """How many verdicts the dead letters are."""
        return sum(letter.verdicts for letter in self.dead_letters)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        letters = [letter.model_dump(mode="json") for letter in self.dead_letters]
        return {**vars(self), "dead_letters": letters}


def check_name(name: str) -> str:
    """Return a sink's name; raise BadInput where it could not name a file.

    >>> check_name("billing-2")
    'billing-2'
    """
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{name!r} is no sink's name: write small letters, digits, - and _ in [sinks.NAME]"
        )
    return name


def cursor_path(lake: Lake, name: str) -> Path:
    """Return where a sink's cursor is kept."""
    return lake.home / FOLDER / f"{check_name(name)}.json"


def read_cursor(lake: Lake, name: str, kind: str) -> Cursor:
    """Read a sink's cursor; one at 0 where there is none, or where it was of another kind.

    Raises BadCursor where the file is damaged.
    """
    path = cursor_path(lake, name)
    fresh = Cursor(sink=name, kind=kind)
    try:
        found = Cursor.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return fresh
    except OSError as exc:
        raise BadCursor(f"{path} cannot be read: {exc.strerror}") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadCursor(
            f"{path} is damaged ({place + ': ' if place else ''}{first['msg']}); remove it, and "
            f"sink {name!r} gets every verdict again under the same ids"
        ) from exc
    if found.sink != name:
        raise BadCursor(f"{path} is the cursor of sink {found.sink!r}; remove it")
    return found if found.kind == kind else fresh


def write_cursor(lake: Lake, cursor: Cursor) -> None:
    """Put a cursor in place whole and lasting; raise LakeUnwritable where that fails."""
    path = cursor_path(lake, cursor.sink)
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        put_whole(path, cursor.model_dump_json(indent=2) + "\n")


def lags(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, now: int) -> tuple[Lag, ...]:
    """Say how far each configured sink is behind the ledger; `now` in µs.

    Looks at the cursors and the ledger, and asks no sink.
    """
    config = snapshot.lake.config.sinks
    if not config:
        return ()
    ledger = snapshot.source("verdicts")
    (head,) = connection.sql(f"SELECT coalesce(max(ledger_seq), 0) FROM {ledger}").fetchall()[0]
    return tuple(
        _lag(connection, snapshot, head, name, str(options.get("kind")), now)
        for name, options in config.items()
    )


def _lag(
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    head: int,
    name: str,
    kind: str,
    now: int,
) -> Lag:
    try:
        cursor = read_cursor(snapshot.lake, name, kind)
    except BadInput as exc:
        return Lag(name, kind, problem=str(exc))
    behind = max(head - cursor.ledger_seq, 0)
    waiting = 0
    if behind:
        issued = connection.execute(
            f"SELECT epoch_us(issued_at) FROM {snapshot.source('verdicts')} WHERE ledger_seq = ?",
            [cursor.ledger_seq + 1],
        ).fetchone()
        waiting = max(now - issued[0], 0) if issued else 0
    return Lag(
        name,
        kind,
        cursor.ledger_seq,
        behind,
        waiting,
        cursor.dead_letters,
        _micros(cursor.delivered_at),
        _problem(snapshot.lake, cursor, head),
        _micros(cursor.error.since) if cursor.error else None,
    )


def _problem(lake: Lake, cursor: Cursor, head: int) -> str | None:
    if cursor.error is not None:
        return cursor.error.message
    if cursor.ledger_seq <= head:
        return None
    return (
        f"its cursor is at verdict {cursor.ledger_seq:,} and the ledger ends at {head:,}: the lake "
        f"is an older copy, or {cursor_path(lake, cursor.sink)} is of another lake"
    )


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def in_words(micros: int) -> str:
    """Write a length of time (µs) for people, in its largest unit that fits.

    >>> in_words(0), in_words(90_000_000), in_words(26 * 3_600_000_000)
    ('0 s', '90 s', '26 h')
    """
    seconds = micros // 1_000_000
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
