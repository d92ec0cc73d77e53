"""Our own features, as the others' are: what they are held against."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from benchmarks.source import THREADS, Source
from replay.features import stream
from scorer.spec import Spec


@dataclass(frozen=True)
class Ours:
    """`replay.features.stream` over the lake."""

    source: Source
    spec: Spec
    ties: Literal["none"] = "none"
    form: str = "compiled windows"

    @property
    def features(self) -> tuple[str, ...]:
        """All features of the spec."""
        return self.spec.names

    def pieces(self) -> Iterator[pa.Table]:
        """Stream the span; the arrays become Arrow columns without a copy."""
        source, names = self.source, list(self.spec.names)
        for piece in stream(source.snapshot, self.spec, source.span, threads=THREADS):
            columns = [pa.array(row) for row in (*piece.facts, *piece.reals)]
            yield pa.Table.from_arrays(columns, names)
