"""What stands in production, read from the `promotions` table."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from replay.lake import Lake
from replay.snapshot import Snapshot, connect, reading
from replay.span import iso
from replay.tables import PROMOTIONS
from scorer.errors import Inconsistent
from scorer.versions import NAME, Versions

ACTIONS = ("promote", "rollback")


def models_folder(lake: Lake) -> Path:
    """Return the folder that holds a lake's model versions."""
    return lake.home / "models"


def open_versions(lake: Lake) -> Versions:
    """Return a lake's stored versions, for reading without torch."""
    return Versions(models_folder(lake))


def read_production(lake: Lake) -> "Production":
    """Read the history of production as it is now; raise Inconsistent where it makes no sense."""
    return Production.read(Snapshot.take(lake, tables=(PROMOTIONS,)))


@dataclass(frozen=True)
class Promotion:
    """One row of `promotions`; `at` is in µs, `metrics` is JSON."""

    at: int
    model_version: str
    action: str
    by: str
    reason: str
    metrics: str


@dataclass(frozen=True)
class Stood:
    """What stood in production for a time: from its row's `at` to `until` (µs, exclusive).

    `row` is None before the first promotion, `until` where nothing came after it.
    """

    row: Promotion | None
    until: int | None


@dataclass(frozen=True)
class Production:
    """The history of production, oldest first; a version stands from its row's `at` on.

    >>> rows = [("v1", "promote"), ("v2", "promote"), ("v1", "rollback"), ("v3", "promote")]
    >>> some = Production(tuple(Promotion(t, v, a, "", "", "") for t, (v, a) in enumerate(rows)))
    >>> some.production(), some.previous(), some.at(1), some.at(-1)
    ('v3', 'v1', 'v2', None)
    >>> some.stood(2).until, some.stood(3).until, list(some.left())
    (3, None, ['v2'])
    """

    history: tuple[Promotion, ...]

    @classmethod
    def read(cls, snapshot: Snapshot) -> "Production":
        """Read a snapshot's history; raise Inconsistent where a row makes no sense."""
        source = snapshot.source("promotions")
        with reading(snapshot), connect(1) as connection:
            rows = connection.sql(
                'SELECT epoch_us("at") AS "at", model_version, action, "by", reason, metrics '
                f'FROM {source} ORDER BY "at"'
            ).fetchall()
        history = tuple(Promotion(*row) for row in rows)
        _check(history)
        return cls(history)

    def production(self) -> str | None:
        """Return the version in production; None where none ever was."""
        return self.history[-1].model_version if self.history else None

    def previous(self) -> str | None:
        """Return the last version before the present one that was never rolled back from."""
        left = self.left()
        for row in reversed(self.history[:-1]):
            if row.model_version != self.production() and row.model_version not in left:
                return row.model_version
        return None

    def left(self) -> dict[str, Promotion]:
        """Return each version that was rolled back from, and the last rollback that left it.

        A rollback leaves all that stood since the version that it goes to, not only the last.
        """
        found: dict[str, Promotion] = {}
        for number, row in enumerate(self.history):
            if row.action == "rollback":
                found |= dict.fromkeys(_since(self.history[:number], row.model_version), row)
        return found

    def stood(self, ts: int) -> Stood:
        """Return what stood in production at `ts`."""
        number = bisect_right(self.history, ts, key=lambda row: row.at)
        later = self.history[number:]
        return Stood(self.history[number - 1] if number else None, later[0].at if later else None)

    def at(self, ts: int) -> str | None:
        """Return the version that stood in production at `ts`, or None."""
        row = self.stood(ts).row
        return row.model_version if row else None


def _since(history: tuple[Promotion, ...], version: str) -> Iterator[str]:
    """Yield what stood after the last row of a version, the newest first."""
    for row in reversed(history):
        if row.model_version == version:
            return
        yield row.model_version


def _check(history: tuple[Promotion, ...]) -> None:
    """Raise Inconsistent, naming the row, where a history has no one meaning."""
    before: int | None = None
    for row in history:
        if lacking := [name for name, value in vars(row).items() if value is None]:
            when = "" if row.at is None else f" of {iso(row.at)}"
            raise Inconsistent(f"promotions: a row{when} has no {lacking[0]}; {_RESTORE}")
        if row.action not in ACTIONS:
            raise Inconsistent(
                f"promotions: the row of {iso(row.at)} has the action {row.action!r}; "
                f"only {' and '.join(ACTIONS)} have a meaning; {_RESTORE}"
            )
        if not NAME.fullmatch(row.model_version):
            raise Inconsistent(
                f"promotions: the row of {iso(row.at)} names {row.model_version!r}, "
                f"which no version can be named; {_RESTORE}"
            )
        if row.at == before:
            raise Inconsistent(
                f"promotions: two rows are of {iso(row.at)}, and nothing tells which came last; "
                f"{_RESTORE}"
            )
        before = row.at


_RESTORE = "restore the table from a copy of the lake"
