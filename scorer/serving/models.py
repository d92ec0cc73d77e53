"""The version that decides: its features, weights and thresholds, ready for single clicks."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from scorer.registry import ModelVersion, Registry, common_device
from scorer.serving.clicks import Click
from scorer.serving.features import LiveFeatures
from scorer.serving.ports import Profiles
from scorer.slices import slice_key
from scorer.spec import Spec
from scorer.store.layout import Layout


class Featured(NamedTuple):
    """A click with its features, raw, in the spec's order."""

    click: Click
    facts: list[int]
    reals: list[float]


class Scored(NamedTuple):
    """A version's word on one click; the probability is NaN where it has none."""

    probability: float
    threshold: float
    slice: str


class ServedModel:
    """A loaded version, with the features that a store's layout gives it."""

    def __init__(
        self, version: ModelVersion, layout: Layout, profiles: Profiles, device: str = "cpu"
    ) -> None:
        """Take `device` (auto, cpu, cuda) for batches; a single click is scored on the CPU."""
        self.name = version.name
        self.spec_digest = version.spec.digest
        self.on_accelerator = common_device(device, [version]) == "cuda"
        self._version = version
        self._features = LiveFeatures(version.spec, layout, profiles)
        self._columns = version.manifest.slice_columns
        calibration = version.calibration
        self._overall = float(np.float32(calibration.overall))
        self._thresholds = {s: float(np.float32(t)) for s, t in calibration.slices.items()}

    def featured(self, click: Click, values: Sequence[int] | None, ts: int) -> Featured | None:
        """Return a click with its features; null where the store has no values of it."""
        if values is None:
            return None
        return Featured(
            click, self._features.facts(click, values, ts), self._features.reals(click, ts)
        )

    def score(self, featured: Sequence[Featured]) -> list[Scored]:
        """Score clicks: a single one on this thread's CPU, several on the accelerator if any."""
        if not featured:
            return []
        rows = [each.facts for each in featured], [each.reals for each in featured]
        if self.on_accelerator and len(featured) > 1:
            facts, reals = np.array(rows[0], np.int32).T, np.array(rows[1], np.float32).T
            found = self._version.probabilities(facts, reals, device="cuda")
        else:
            found = self._version.scorer.served(*(np.array(part, np.float64).T for part in rows))
        return [
            self._held(each.click, probability)
            for each, probability in zip(featured, found.tolist(), strict=True)
        ]

    def warm_up(self) -> None:
        """Score nothing, twice over: the first use of each size and device is slow."""
        spec = self._version.spec
        facts, reals = np.zeros((len(spec.facts), 1)), np.zeros((len(spec.reals), 1))
        for _ in range(2):
            self._version.scorer.served(facts, reals)
            if self.on_accelerator:
                on_device = facts.astype(np.int32), reals.astype(np.float32)
                self._version.probabilities(*on_device, device="cuda")

    def _held(self, click: Click, probability: float) -> Scored:
        """Hold a probability to the threshold of the click's slice."""
        found = slice_key({column: getattr(click, column) for column in self._columns})
        return Scored(probability, self._thresholds.get(found, self._overall), found)


def serve_version(
    registry: Registry, name: str, warm: Iterable[Spec], profiles: Profiles, device: str = "cpu"
) -> tuple[ServedModel, Layout]:
    """Load a version, and the layout that serves it and keeps the `warm` specs' counters up.

    Raises UnknownModel or BadModelFile where anything in the version is not right.
    """
    version = registry.load(name)
    layout = Layout.of([version.spec, *warm])
    model = ServedModel(version, layout, profiles, device)
    model.warm_up()
    return model, layout
