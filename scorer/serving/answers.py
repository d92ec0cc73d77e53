"""From a click, its stamp and a model to the answer: what is told and what is logged."""

import time
from collections.abc import Sequence
from dataclasses import replace
from math import isnan

from scorer.serving.clicks import Click
from scorer.serving.models import Featured, Scored, ServedModel
from scorer.serving.ports import SCORED, Answer, Decision
from scorer.store.live_store import Stamped

UNAVAILABLE, LATE, FULL = "store_unavailable", "store_timeout", "store_full"
NO_MODEL, NO_FEATURES, NO_PROBABILITY = "no_model", "no_features", "no_probability"
UNDECIDED_REASONS = (UNAVAILABLE, LATE, FULL, NO_MODEL, NO_FEATURES, NO_PROBABILITY)


def now() -> int:
    """The present, µs since the epoch."""
    return time.time_ns() // 1000


class Unstamped:
    """Answers to clicks without a stamp of the store: the service's own clock, no seq twice."""

    def __init__(self) -> None:
        self._seq = 0

    def answers(self, clicks: Sequence[Click], reason: str) -> list[Answer]:
        """Return `undecided` for each click."""
        return [self._answer(click, reason) for click in clicks]

    def _answer(self, click: Click, reason: str) -> Answer:
        at = now()
        ts = at if click.time is None else click.time
        self._seq = max(self._seq + 1, ts)
        stamp = Stamped(ts, self._seq, "", False, None)
        return replace(_undecided(click, stamp, reason), source="unstamped", store_epoch=None)


def stamped_answers(
    model: ServedModel | None, clicks: Sequence[Click], stamps: Sequence[Stamped]
) -> list[Answer]:
    """Decide stamped clicks; `undecided` where there is no model, features or probability."""
    pairs = zip(clicks, stamps, strict=True)
    if model is None:
        return [_undecided(click, stamp, NO_MODEL) for click, stamp in pairs]
    featured = [model.featured(click, stamp.values, stamp.ts) for click, stamp in pairs]
    scored = iter(model.score([each for each in featured if each is not None]))
    return [
        _decided(model, each, stamp, next(scored))
        if each is not None
        else _undecided(click, stamp, NO_FEATURES)
        for click, stamp, each in zip(clicks, stamps, featured, strict=True)
    ]


def late(answer: Answer) -> Answer:
    """Return what the log says of a click whose caller was told `undecided` before."""
    return replace(
        answer,
        decision="undecided",
        reason=LATE,
        model_version=None,
        probability=None,
        threshold=None,
        slice=None,
    )


def _undecided(click: Click, stamp: Stamped, reason: str) -> Answer:
    return Answer(
        click=click,
        ts=stamp.ts,
        seq=stamp.seq,
        source="live",
        store_epoch=stamp.epoch,
        repeated=stamp.repeated,
        decided_at=now(),
        decision="undecided",
        reason=reason,
        model_version=None,
        probability=None,
        threshold=None,
        slice=None,
        spec_digest=None,
        facts=None,
        reals=None,
    )


def _decided(model: ServedModel, featured: Featured, stamp: Stamped, scored: Scored) -> Answer:
    unknown = isnan(scored.probability)
    decided: Decision = "invalid" if scored.probability >= scored.threshold else "valid"
    return Answer(
        click=featured.click,
        ts=stamp.ts,
        seq=stamp.seq,
        source="live",
        store_epoch=stamp.epoch,
        repeated=stamp.repeated,
        decided_at=now(),
        decision="undecided" if unknown else decided,
        reason=NO_PROBABILITY if unknown else SCORED,
        model_version=model.name,
        probability=None if unknown else scored.probability,
        threshold=scored.threshold,
        slice=scored.slice,
        spec_digest=model.spec_digest,
        facts=featured.facts,
        reals=featured.reals,
    )
