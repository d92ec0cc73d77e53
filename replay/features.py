"""Point-in-time features of a span, exactly as the live store had them at each click.

The log is read once, in slices of time, from one look-back before the span; window state is
carried from slice to slice. The result depends neither on the slices' length nor on the number of
threads nor on how the rows lie in files.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replay.ahead import ahead
from replay.engine import FeatureEngine, Features, encoded_columns, plain_columns
from replay.reader import CHOSEN, ORDER_COLUMNS, ClickReader, choose_slice_length
from replay.snapshot import Snapshot
from replay.span import Span
from scorer.spec import Spec


@dataclass(frozen=True)
class ClickSlice:
    """The clicks of one slice of time, in log order, and their features under several specs.

    `clicks` holds ts (int64 µs), seq, click_id and the columns asked for; `features` is keyed by
    the specs' digests.
    """

    span: Span
    clicks: pa.Table
    features: Mapping[str, Features]


@dataclass(frozen=True)
class FeatureSlice:
    """The clicks of one slice of time, in log order, and their features under one spec.

    `facts` is int32 (facts of the spec, clicks), `reals` float32 (reals of the spec, clicks).
    """

    span: Span
    clicks: pa.Table
    facts: NDArray[np.int32]
    reals: NDArray[np.float32]


def stream(
    snapshot: Snapshot,
    spec: Spec,
    span: Span,
    *,
    columns: Sequence[str] = (),
    slice_length: int | None = None,
    threads: int = 2,
) -> Iterator[FeatureSlice]:
    """Yield the features of the clicks of `span` under one spec; see `stream_specs`."""
    for piece in stream_specs(
        snapshot, [spec], span, columns=columns, slice_length=slice_length, threads=threads
    ):
        found = piece.features[spec.digest]
        yield FeatureSlice(piece.span, piece.clicks, found.facts, found.reals)


def stream_specs(
    snapshot: Snapshot,
    specs: Sequence[Spec],
    span: Span,
    *,
    columns: Sequence[str] = (),
    chosen: str | None = None,
    slice_length: int | None = None,
    threads: int = 2,
    advance: Callable[[int], None] | None = None,
) -> Iterator[ClickSlice]:
    """Yield the features of the clicks of `span`, slice by slice, in log order.

    Slices are cut at whole multiples of `slice_length` µs (chosen by the log's density where it is
    None), and at the ends of the span and of the log. Slices without clicks are yielded too. Every
    click is yielded; where `chosen` is a checked SQL condition, a boolean column `chosen` says
    which meet it.
    `advance` hears how many clicks each slice has read, the look-back's too.
    """
    length = slice_length or choose_slice_length(snapshot, span)
    span = snapshot.clip(span) or span
    pieces = span.cut(length)
    if look_back := max(spec.look_back for spec in specs):
        before = snapshot.clip(Span(span.start - look_back, span.start))
        pieces = (before.cut(length) if before else []) + pieces
    engines = {spec.digest: FeatureEngine(snapshot, spec, threads) for spec in specs}
    keys = list(dict.fromkeys(key for spec in specs for key in encoded_columns(spec)))
    needed = [*columns, *(column for spec in specs for column in plain_columns(spec))]
    reader = ClickReader(snapshot, needed, keys, chosen, threads)
    shown = list(dict.fromkeys([*ORDER_COLUMNS, *columns, *([CHOSEN] if chosen else [])]))
    for piece, rows in zip(pieces, ahead(map(reader.read, pieces)), strict=True):
        wanted = piece.start >= span.start
        features = {
            digest: engine.advance(piece, rows, wanted=wanted) for digest, engine in engines.items()
        }
        if advance:
            advance(rows.clicks.num_rows)
        if wanted:
            yield ClickSlice(piece, rows.clicks.select(shown), features)
