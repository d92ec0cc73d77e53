"""The writing of the production pointer: one more row in `promotions`, by one writer at a time.

A move of the pointer is one exclusive commit (design, 8): a crash leaves the pointer where it was
or where it was to go, and of two writers who read the same history one is told that the other was
first. It is told, too, where it began before the other's commit and read after it: a second
rollback of people who meant the same one would go a version too far.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import uuid4

import pyarrow as pa
from deltalake import DeltaTable

from replay.errors import LakeBusy
from replay.lake import Lake, writing
from replay.production import Production, Promotion, open_versions, read_production
from replay.snapshot import MILLISECOND
from replay.span import iso, now_micros
from replay.tables import PROMOTIONS
from scorer.errors import BadInput, BadModelFile, UnknownModel


@dataclass(frozen=True)
class Move:
    """A step of the pointer: the version that stood before it, and the row that it added."""

    before: str | None
    row: Promotion


def promote(
    lake: Lake,
    version: str,
    by: str,
    reason: str,
    metrics: Mapping[str, object],
    at: int,
    asked: int | None = None,
) -> Move:
    """Put a stored version into production from `at` (µs) on.

    The row comes after all others even where a clock stepped back. Raises UnknownModel or
    BadModelFile where the version can't be used, BadInput where it is in production already or the
    reason is empty, LakeBusy where another writer was first: since this one read the history, or
    since it was `asked` (µs).
    """
    if not reason.strip():
        raise BadInput("a promotion needs a reason: say why with --reason")
    open_versions(lake).verify(version)
    table, history = _head(lake, asked)
    if history.production() == version:
        raise BadInput(f"version {version!r} is in production already; nothing was changed")
    return _commit(lake, table, history, _row(version, "promote", by, reason, metrics, at))


def rollback(
    lake: Lake,
    by: str,
    at: int,
    reason: str | None = None,
    to: str | None = None,
    asked: int | None = None,
) -> Move:
    """Put back the version before the present one, or `to`, from `at` (µs) on.

    Never goes to a version that was rolled back from. Raises BadInput where there is nothing to go
    back to or `to` is no such version, or where it can't be used, and LakeBusy as `promote` does.
    """
    if lake.delta("promotions") is None:
        raise BadInput(_NOTHING)
    table, history = _head(lake, asked)
    target = _target(history, to)
    try:
        manifest = open_versions(lake).verify(target)
    except (UnknownModel, BadModelFile) as exc:
        raise BadInput(
            f"production can't go back to {target!r} (`replay models rollback --to VERSION` goes "
            f"further back): {exc}"
        ) from exc
    why = (reason or "").strip() or f"rolled back from {history.production()}"
    return _commit(lake, table, history, _row(target, "rollback", by, why, manifest.metrics, at))


def _head(lake: Lake, asked: int | None) -> tuple[DeltaTable, Production]:
    """Return the table to commit to, and the history that it held then or later."""
    with writing(lake.home):
        table = lake.ready("promotions")  # before the history: what comes between is a conflict
    history = read_production(lake)
    if asked is not None and history.history and _changed_since(table, asked):
        raise _overtaken(read_production(lake))  # the newest commit may be newer than `history`
    return table, history


def _changed_since(table: DeltaTable, asked: int) -> bool:
    """Tell whether the newest commit came since `asked`; one of a clock that ran ahead did not."""
    committed = int(table.history(1)[0]["timestamp"]) * MILLISECOND
    return asked <= committed <= now_micros()


def _target(history: Production, to: str | None) -> str:
    """Return the version that a rollback goes to; raise BadInput where there is none."""
    now, left = history.production(), history.left()
    if now is None:
        raise BadInput(_NOTHING)
    if to is None:
        if (previous := history.previous()) is not None:
            return previous
        others = f" that was not rolled back from ({', '.join(left)})" if left else ""
        raise BadInput(
            f"there is nothing to roll back to: no version{others} was in production before "
            f"{now!r}; `replay models promote VERSION --reason WHY` puts another one there"
        )
    if to == now:
        raise BadInput(f"version {to!r} is in production already; nothing was changed")
    if to in left:
        raise BadInput(
            f"version {to!r} was rolled back from at {iso(left[to].at)}, and no rollback returns "
            f"to such a version; promote it if it must be: `replay models promote {to} "
            "--reason WHY`"
        )
    if to not in {row.model_version for row in history.history}:
        raise BadInput(
            f"version {to!r} was never in production, so there is no way back to it; "
            "`replay models history` shows which were"
        )
    return to


def _row(
    version: str, action: str, by: str, reason: str, metrics: Mapping[str, object], at: int
) -> Promotion:
    text = json.dumps(dict(metrics), sort_keys=True, allow_nan=False)
    return Promotion(at, version, action, by, reason, text)


def _commit(lake: Lake, table: DeltaTable, history: Production, row: Promotion) -> Move:
    """Add a row after all that `history` has, or nothing where `table` is not at its head."""
    if history.history:
        row = replace(row, at=max(row.at, history.history[-1].at + 1))
    batch = pa.RecordBatch.from_pylist([vars(row)], schema=_UNSTAMPED).cast(PROMOTIONS.schema)
    try:
        lake.append("promotions", [batch], (f"{row.action}-{uuid4()}", 1), exclusive=table)
    except LakeBusy as exc:
        raise _overtaken(read_production(lake)) from exc
    return Move(history.production(), row)


def _overtaken(history: Production) -> LakeBusy:
    row = history.history[-1]
    return LakeBusy(
        f"another writer committed to promotions first: {row.action} to {row.model_version} by "
        f"{row.by!r} at {iso(row.at)}. This command changed nothing; look at "
        "`replay models history` before you run it again"
    )


_UNSTAMPED = PROMOTIONS.schema.set(0, pa.field("at", pa.int64(), nullable=False))
_NOTHING = (
    "nothing was ever in production, so there is nothing to roll back to; "
    "`replay models promote VERSION --reason WHY` puts a version there"
)
