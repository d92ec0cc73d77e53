"""Why a decision flipped: each change gets exactly one cause, the first that fits.

Two things may differ between production's decision and the replay's: the model that ran, and the
features that it saw. Each is exchanged alone, on the same click, to see which of them flips the
decision. Causes are found against the *production* decision.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replay.engine import Features
from replay.logged import has_features, logged_features, overlay
from scorer.decisions import UNDECIDED, WORDS, Decisions, decide
from scorer.registry import ModelVersion

Words = NDArray[np.str_]
Codes = NDArray[np.int8]
Places = NDArray[np.int64]
_UNDECIDED = WORDS.index(UNDECIDED).as_py()


class Attribution:
    """Finds causes for the changes of a run of `version`.

    `stored` gives a production version by name, or None where it is not stored.
    """

    def __init__(
        self, version: ModelVersion, stored: Callable[[str], ModelVersion | None], device: str
    ) -> None:
        self._version = version
        self._stored = stored
        self._device = device

    def causes(
        self, changed: pa.Table, clicks: pa.Table, features: Mapping[str, Features]
    ) -> list[str]:
        """Return a cause per row of `changed`.

        `changed` has the replayed `decision`, the `production` decision with its model_version,
        spec_digest, facts and reals (nulls where production logged none), and the `place` of the
        click in `clicks` and in the recomputed `features` (keyed by spec digest).
        """
        production = _codes(changed["production"])
        found = np.full(len(changed), "", dtype="<U16")
        found[production == _UNDECIDED] = "availability"
        replayed = _codes(changed["decision"])
        found[(found == "") & (production == replayed)] = "verdict"
        versions = changed["model_version"].combine_chunks()
        for name in pc.unique(versions).to_pylist():
            same = versions.is_null() if name is None else pc.equal(versions, name)
            mask = same.fill_null(False).to_numpy(zero_copy_only=False) & (found == "")
            places = np.flatnonzero(mask)
            found[places] = self._of_version(name, changed.take(places), clicks, features)
        return found.tolist()

    def _of_version(
        self,
        name: str | None,
        changed: pa.Table,
        clicks: pa.Table,
        features: Mapping[str, Features],
    ) -> Words:
        """Return the causes of changes that one production version decided."""
        found = np.full(len(changed), "unattributable", dtype="<U16")
        production = None if name is None else self._stored(name)
        if production is None:
            return found
        rows = np.flatnonzero(has_features(changed, production.spec))
        if len(rows):
            found[rows] = self._exchange(production, changed.take(rows), clicks, features)
        return found

    def _exchange(
        self,
        production: ModelVersion,
        changed: pa.Table,
        clicks: pa.Table,
        features: Mapping[str, Features],
    ) -> Words:
        """Exchange model and features one at a time."""
        version = self._version
        places = changed["place"].to_numpy()
        theirs = clicks.take(places)
        was = _codes(changed["production"])
        logged = logged_features(changed, production.spec)
        ours = features[version.spec.digest].take(places)
        again = self._decide(production, theirs, logged)
        on_logged = overlay(version.spec, ours, production.spec, logged)
        model = _flips(self._decide(version, theirs, on_logged), was)
        recomputed = features[production.spec.digest].take(places)
        features_alone = _flips(self._decide(production, theirs, recomputed), was)
        same_weights = version.weights_digest == production.weights_digest
        found = np.select(
            [model & features_alone, model, features_alone],
            ["either", "threshold" if same_weights else "model", "features"],
            "joint",
        ).astype("<U16")
        found[(again.codes != was) & ~again.borderline] = "unreproducible"
        return found

    def _decide(self, version: ModelVersion, clicks: pa.Table, features: Features) -> Decisions:
        return decide(version, clicks, features.facts, features.reals, self._device)


def _codes(words: pa.ChunkedArray) -> Codes:
    """Return where each decision stands in WORDS; a null is undecided."""
    found = pc.index_in(words.cast(pa.string()), value_set=WORDS).fill_null(_UNDECIDED)
    return np.asarray(found.to_numpy(), np.int8)


def _flips(decisions: Decisions, was: Codes) -> NDArray[np.bool_]:
    """Tell which clicks are now decided otherwise, and not merely borderline."""
    flipped: NDArray[np.bool_] = decisions.scored & (decisions.codes != was) & ~decisions.borderline
    return flipped
