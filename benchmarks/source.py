"""What every engine starts from: the lake's own files, the spec and the span."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa

from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import Span
from scorer.spec import Spec, load_spec

THREADS = 2
PLACE = "rn"  # position in log order, from 1; in answers that do not come in log order


@dataclass(frozen=True)
class Source:
    """A lake, opened; the span is the whole log, or what is read of it."""

    snapshot: Snapshot
    spec: Spec
    span: Span

    @classmethod
    def open(cls, home: Path) -> "Source":
        """Open a lake that holds clicks, with the default spec."""
        snapshot = Snapshot.take(Lake.open(home))
        span = snapshot.log_span()
        if span is None:
            raise ValueError(f"the lake in {home} holds no clicks")
        return cls(snapshot, load_spec("default"), span)

    @property
    def clicks(self) -> int:
        """The number of clicks in the files that hold the span."""
        return self.snapshot.rows("clicks", self.span)

    def files(self, table: str) -> list[str]:
        """Paths of a table's Parquet files."""
        return self.snapshot.pinned[table].within(None)


class Engine(Protocol):
    """Something that computes features of every click of the source.

    `ties` says which later clicks of the same entity it wrongly counts: none, those with the same
    time, or those in the same bucket.
    """

    @property
    def form(self) -> str:
        """Which way of several this is, in a few words."""
        ...

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that it computes."""
        ...

    @property
    def ties(self) -> Literal["none", "time", "bucket"]:
        """Which later clicks it wrongly counts."""
        ...

    def pieces(self) -> Iterator[pa.Table]:
        """Read the files and yield a column for each feature, in log order or with PLACE."""
        ...
