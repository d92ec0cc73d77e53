"""Why a logged feature value may differ from the recomputed one.

The live store saw live clicks, and from a flush on none of those before it; the log holds more. So
for each windowed feature the log gives a ladder of values: of the live clicks of the click's own
store epoch alone, of all live clicks, and of all clicks. A click more moves a count up and a gap
down, so a logged value between two rungs tells which clicks the store lacked. Below the lowest rung
it lacked clicks that it had counted; above the highest it had counted clicks that the log lacks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from replay.compiled import Int64s
from scorer.spec import Counts, Distincts, Flags, Gap, Spec

REASONS: Mapping[str, str] = {
    "unexplained": "nothing in the log accounts for it",
    "flush": "the store began a new epoch without clicks that the window holds",
    "unstamped": "the window holds clicks that were logged without the store's stamp",
    "late": "the window holds clicks that came into the log by an import",
    "retry": "the store counted an unstamped click at another moment than the log says",
    "profile": "the snapshot landed less than 5 minutes before it became valid",
    "cold": "the window reaches before the log's first click",
    "unsettled": "not all clicks up to then are known to be in the lake",
}
CODES = {name: code for code, name in enumerate(REASONS)}
EQUAL = len(REASONS)
SLACK = 60_000_000  # µs; how far the store's moment of an unstamped click may lie from the log's
EPOCH, SOURCE = "store_epoch", "source"
LIVE, UNSTAMPED = "live", "unstamped"
Group = TypeVar("Group", Counts, Distincts, Gap)


@dataclass(frozen=True)
class Windowed:
    """A feature that other clicks decide: of which entity, how far back, and which way.

    `sign` is 1 where a click more makes it larger, −1 where smaller (a gap).
    """

    name: str
    entity: tuple[str, ...]
    sign: int
    length: int
    resolution: int

    def first_seen(self, times: Int64s) -> Int64s:
        """Return the first moment that the window of a click at each time holds; µs.

        >>> import numpy as np
        >>> Windowed("clicks_user_1m", ("user_id",), 1, 60, 10).first_seen(np.array([69, 70]))
        array([10, 20])
        """
        buckets = self.length // self.resolution
        first: Int64s = (times // self.resolution - buckets + 1) * self.resolution
        return first


def windowed(spec: Spec) -> list[Windowed]:
    """Return the features of a spec that other clicks decide; they are the first of its facts.

    >>> from scorer.spec import load_spec
    >>> [feature.name for feature in windowed(load_spec("default"))][-2:]
    ['gap_ms_session', 'gap_ms_ip']
    """
    found = [
        Windowed(name, group.entity, 1, window.length, window.resolution)
        for groups in (spec.counts, spec.distincts)
        for group in groups
        for name, window in zip(group.names, group.parsed, strict=True)
    ]
    # A gap of the cap or more reads as the cap, so a click exactly so far back changes nothing.
    return found + [Windowed(gap.name, gap.entity, -1, gap.cap_us, 1) for gap in spec.gaps]


def apart(spec: Spec, column: str) -> Spec:
    """Return the windowed part of a spec with each entity kept apart by a column of the clicks.

    Its facts are those of `windowed(spec)`, in order, among clicks with the same value of the
    column alone; a click without a value counts nowhere.
    """
    # Not validated: no model may have such an entity.
    return Spec.model_construct(
        counts=tuple(_keyed(group, column) for group in spec.counts),
        distincts=tuple(_keyed(group, column) for group in spec.distincts),
        gaps=tuple(_keyed(gap, column) for gap in spec.gaps),
        flags=Flags(logged_in=False),
    )


def _keyed(group: Group, column: str) -> Group:
    return group.model_copy(update={"entity": (*group.entity, column)})
