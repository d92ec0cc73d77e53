"""What stands in production, read from the `promotions` table."""

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.span import iso
from scorer.errors import Inconsistent
from scorer.versions import Versions

ACTIONS = ("promote", "rollback")


def models_folder(lake: Lake) -> Path:
    """Return the folder that holds a lake's model versions."""
    return lake.home / "models"


def open_versions(lake: Lake) -> Versions:
    """Return a lake's stored versions, for reading without torch."""
    return Versions(models_folder(lake))


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
class Production:
    """The history of production, oldest first; a version stands from its row's `at` on.

    >>> rows = [("v1", "promote"), ("v2", "promote"), ("v1", "rollback"), ("v3", "promote")]
    >>> some = Production(tuple(Promotion(t, v, a, "", "", "") for t, (v, a) in enumerate(rows)))
    >>> some.production(), some.previous(), some.at(1), some.at(-1)
    ('v3', 'v1', 'v2', None)
    """

    history: tuple[Promotion, ...]

    @classmethod
    def read(cls, snapshot: Snapshot) -> "Production":
        """Read a snapshot's history; raise Inconsistent where a row makes no sense."""
        source = snapshot.source("promotions")
        with connect(1) as connection:
            rows = connection.sql(
                'SELECT epoch_us("at") AS "at", model_version, action, "by", reason, metrics '
                f'FROM {source} ORDER BY "at"'
            ).fetchall()
        history = tuple(Promotion(*row) for row in rows)
        for row in history:
            if row.action not in ACTIONS:
                raise Inconsistent(
                    f"promotions: the row of {iso(row.at)} has the action {row.action!r}; "
                    f"only {' and '.join(ACTIONS)} have a meaning"
                )
        return cls(history)

    def production(self) -> str | None:
        """Return the version in production; None where none ever was."""
        return self.history[-1].model_version if self.history else None

    def previous(self) -> str | None:
        """Return the last version before the present one that was never rolled back from."""
        left = {
            before.model_version
            for before, row in zip(self.history, self.history[1:], strict=False)
            if row.action == "rollback"
        }
        for row in reversed(self.history[:-1]):
            if row.model_version != self.production() and row.model_version not in left:
                return row.model_version
        return None

    def at(self, ts: int) -> str | None:
        """Return the version that stood in production at `ts`, or None."""
        row = bisect_right(self.history, ts, key=lambda promotion: promotion.at)
        return self.history[row - 1].model_version if row else None
