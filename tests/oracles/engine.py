"""The engine's answer in the oracles' form, and the comparison, which is for equality."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from replay.features import stream
from replay.snapshot import Snapshot
from replay.span import Span
from scorer.spec import Spec
from tests.lakes import add_rows, make_lake
from tests.oracles import plain
from tests.strategies import Case

Column = NDArray[Any]


@dataclass(frozen=True)
class Answer:
    """The clicks of a span in log order, and feature name → one value for each."""

    ids: list[str]
    values: dict[str, Column]


def ask(
    snapshot: Snapshot,
    spec: Spec,
    span: Span,
    slice_length: int | None = None,
    threads: int = 2,
) -> Answer:
    """Ask the engine, and check the form of what it hands over."""
    slices = list(stream(snapshot, spec, span, slice_length=slice_length, threads=threads))
    ids: list[str] = []
    for piece in slices:
        rows = len(piece.clicks)
        assert piece.facts.shape == (len(spec.facts), rows)
        assert piece.reals.shape == (len(spec.reals), rows)
        assert piece.facts.dtype == np.int32
        assert piece.reals.dtype == np.float32
        times = piece.clicks.column("ts").to_pylist()
        assert all(piece.span.start <= ts < piece.span.end for ts in times)
        ids += piece.clicks.column("click_id").to_pylist()
    columns: list[Column] = [
        np.concatenate([np.zeros(0, kind), *rows])
        for kind, rows in [
            *((np.int32, [p.facts[k] for p in slices]) for k in range(len(spec.facts))),
            *((np.float32, [p.reals[k] for p in slices]) for k in range(len(spec.reals))),
        ]
    ]
    return Answer(ids, dict(zip(spec.names, columns, strict=True)))


class Ask(Protocol):
    """Whatever answers for a case: the engine, or one with a mistake seeded."""

    def __call__(
        self, case: Case, spec: Spec, slice_length: int | None = None, threads: int = 2
    ) -> Answer:
        """Return the features of the case's span."""
        ...


def ask_case(case: Case, spec: Spec, slice_length: int | None = None, threads: int = 2) -> Answer:
    """Write the case to a lake of its own, and ask the engine.

    A slice is at least a sixth of what is read: slices of a long span would take long.
    """
    if slice_length is not None:
        slice_length = max(slice_length, (case.span.length + spec.look_back) // 6)
    with TemporaryDirectory() as folder:
        snapshot = snapshot_of(Path(folder), case, spec)
        return ask(snapshot, spec, case.span, slice_length, threads)


def snapshot_of(home: Path, case: Case, spec: Spec) -> Snapshot:
    """Write the clicks, and the profiles that the spec asks for, to a lake at `home`; pin it."""
    lake = make_lake(home)
    for name in dict.fromkeys(profile.table for profile in spec.profiles):
        if case.profiles.get(name):
            add_rows(lake, f"profiles_{name}", case.profiles[name])
    add_rows(lake, "clicks", case.clicks, case.commits)
    return Snapshot.take(lake)


def expect(case: Case, spec: Spec) -> Answer:
    """Return what the brute-force oracle says."""
    inside = [c for c in case.clicks if case.span.start <= c["ts"] < case.span.end]
    ids = [click["click_id"] for click in sorted(inside, key=plain.order)]
    return answer(spec, ids, plain.features(spec, case.clicks, case.profiles, case.span))


def answer(spec: Spec, ids: list[str], values: Mapping[str, Sequence[float] | Column]) -> Answer:
    """Store an oracle's values as the spec stores them: facts as int32, reals as float32."""
    kinds: dict[str, type[np.generic]] = dict.fromkeys(spec.facts, np.int32)
    kinds |= dict.fromkeys(spec.reals, np.float32)
    return Answer(ids, {name: np.asarray(values[name], kinds[name]) for name in spec.names})


def assert_equal(got: Answer, expected: Answer) -> None:
    """Same clicks in the same order, and the same bits in every feature."""
    assert got.ids == expected.ids, f"other clicks: got {got.ids}, expected {expected.ids}"
    assert list(got.values) == list(expected.values)
    for name, wanted in expected.values.items():
        here = got.values[name]
        assert here.dtype == wanted.dtype, name
        wrong = np.flatnonzero(here.view(np.int32) != wanted.view(np.int32))
        assert not len(wrong), (
            f"{name} differs for {len(wrong)} of {len(wanted)} clicks; first at "
            f"{got.ids[wrong[0]]!r}: got {here[wrong[0]]}, expected {wanted[wrong[0]]}"
        )
