"""The features that production logged with its decisions, and how two specs share them."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replay.engine import Features
from scorer.spec import Spec

Values = TypeVar("Values", NDArray[np.int32], NDArray[np.float32])


def has_features(rows: pa.Table, spec: Spec) -> NDArray[np.bool_]:
    """Tell which logged rows carry features of this spec, of the right widths."""
    fits = pc.equal(rows["spec_digest"], spec.digest)
    for column, names in (("facts", spec.facts), ("reals", spec.reals)):
        fits = pc.and_kleene(fits, pc.equal(pc.list_value_length(rows[column]), len(names)))
    return np.asarray(pc.fill_null(fits, fill_value=False).to_numpy(), np.bool_)


def logged_features(rows: pa.Table, spec: Spec) -> Features:
    """Return the logged features of rows that all have them, (features, rows)."""
    facts = rows["facts"].combine_chunks().flatten().to_numpy().astype(np.int32)
    reals = rows["reals"].combine_chunks().flatten().to_numpy().astype(np.float32)
    return Features(
        np.ascontiguousarray(facts.reshape(len(rows), len(spec.facts)).T),
        np.ascontiguousarray(reals.reshape(len(rows), len(spec.reals)).T),
    )


def overlay(spec: Spec, recomputed: Features, other: Spec, logged: Features) -> Features:
    """Return `spec`'s features: logged where `other` defines the same, recomputed elsewhere."""
    return Features(
        _replaced(recomputed.facts, spec.facts, logged.facts, other.facts, _shared(spec, other)),
        _replaced(recomputed.reals, spec.reals, logged.reals, other.reals, _shared(spec, other)),
    )


def _shared(spec: Spec, other: Spec) -> frozenset[str]:
    """Names of the features that both specs define alike."""
    theirs: Mapping[str, str] = other.definitions
    return frozenset(n for n, what in spec.definitions.items() if theirs.get(n) == what)


def _replaced(
    own: Values,
    names: tuple[str, ...],
    logged: Values,
    logged_names: tuple[str, ...],
    shared: frozenset[str],
) -> Values:
    result = own.copy()
    for row, name in enumerate(names):
        if name in shared and name in logged_names:
            result[row] = logged[logged_names.index(name)]
    return result
