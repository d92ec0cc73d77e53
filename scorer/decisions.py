"""From probabilities to decisions: each click against the threshold of its slice."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scorer.registry import ModelVersion
from scorer.scoring import Facts, Reals
from scorer.slices import slice_codes

BORDERLINE = np.float32(1e-5)
VALID, INVALID, UNDECIDED = "valid", "invalid", "undecided"
WORDS = pa.array([VALID, INVALID, UNDECIDED])


@dataclass(frozen=True)
class Decisions:
    """One version's decisions on some clicks, an element per click.

    A NaN probability is a click that could not be scored. `unseen` marks the clicks of a slice that
    the calibration never saw, and which are held to the overall threshold.
    """

    probability: npt.NDArray[np.float32]
    threshold: npt.NDArray[np.float32]
    slices: pa.DictionaryArray
    unseen: npt.NDArray[np.bool_]

    def take(self, clicks: npt.NDArray[np.int64]) -> "Decisions":
        """Return the decisions of the clicks at these places."""
        return Decisions(
            self.probability[clicks],
            self.threshold[clicks],
            self.slices.take(pa.array(clicks)),
            self.unseen[clicks],
        )

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """Which clicks have a probability."""
        return ~np.isnan(self.probability)

    @property
    def invalid(self) -> npt.NDArray[np.bool_]:
        """Which clicks are robotic: probability >= threshold."""
        return self.probability >= self.threshold

    @property
    def borderline(self) -> npt.NDArray[np.bool_]:
        """Which probabilities lie within 1e-5 of their threshold."""
        distance: npt.NDArray[np.float32] = np.abs(self.probability - self.threshold)
        return distance <= BORDERLINE

    @property
    def codes(self) -> npt.NDArray[np.int8]:
        """Where each decision stands in WORDS; `undecided` where a click could not be scored."""
        codes: npt.NDArray[np.int8] = self.invalid.astype(np.int8)
        codes[~self.scored] = 2
        return codes

    @property
    def words(self) -> pa.DictionaryArray:
        """`valid`, `invalid` or `undecided`."""
        return pa.DictionaryArray.from_arrays(pa.array(self.codes), WORDS)


def decide(
    version: ModelVersion,
    clicks: pa.Table,
    facts: Facts,
    reals: Reals,
    device: str = "cpu",
    threads: int = 2,
) -> Decisions:
    """Score the clicks and hold each to its slice's threshold.

    `clicks` has the version's slice columns; `facts` and `reals` are (features, clicks), raw, in
    the order of the version's spec.
    """
    codes, keys = slice_codes(clicks, version.manifest.slice_columns)
    thresholds = version.calibration.thresholds(keys)
    known = version.calibration.slices
    unseen = np.array([bool(known) and key not in known for key in keys], np.bool_)
    return Decisions(
        version.probabilities(facts, reals, device, threads),
        thresholds[codes],
        pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(keys, pa.string())),
        unseen[codes],
    )
