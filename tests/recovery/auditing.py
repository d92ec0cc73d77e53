"""Audits of small lakes, for tests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from recovery.audit.auditing import execute
from recovery.audit.figures import Audit, Part
from recovery.audit.files import AUDIT, DIFFERENCES, AuditManifest
from recovery.audit.preparing import Request, prepare
from replay.lake import Lake
from replay.span import Span
from tests.versions import TWO_DAYS, ignore


@dataclass(frozen=True)
class Audited:
    """A finished audit and its folder."""

    manifest: AuditManifest
    audit: Audit
    folder: Path

    @property
    def data(self) -> dict[str, bytes]:
        """The files that must be the same for the same inputs."""
        return {name: (self.folder / name).read_bytes() for name in (AUDIT, DIFFERENCES)}

    @property
    def differences(self) -> list[dict[str, Any]]:
        """The rows on which two versions differ."""
        rows: list[dict[str, Any]] = pq.read_table(self.folder / DIFFERENCES).to_pylist()
        return rows

    def part(self, name: str) -> Part:
        """Return a slice or an hour by its name."""
        (found,) = [p for p in (*self.audit.slices, *self.audit.hours) if p.name == name]
        return found


def audited(
    lake: Lake, folder: Path, *models: str, span: Span = TWO_DAYS, as_of: int | None = None
) -> Audited:
    """Audit a span of a lake."""
    prepared = prepare(lake, Request(models, span, "cpu", as_of))
    return Audited(*execute(prepared, folder, ignore), folder)
