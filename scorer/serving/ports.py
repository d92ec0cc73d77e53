"""What the service is given and knows only from outside: profiles, a log, what stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from scorer.serving.clicks import Click
from scorer.spec import Profile

Source = Literal["live", "unstamped"]
Decision = Literal["valid", "invalid", "undecided"]
SCORED = "scored"  # the reason of every decision that a model made


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service decided on one click, and all that its log needs to know.

    `ts` and `decided_at` are µs since the epoch, UTC. `live` clicks carry the live store's stamp
    and epoch; `unstamped` ones the service's own clock. `facts` and `reals` are in the order of
    the spec; null where there are none. `repeated` tells that the store had counted it before.
    """

    click: Click
    ts: int
    seq: int
    source: Source
    store_epoch: str | None
    repeated: bool
    decided_at: int
    decision: Decision
    reason: str
    model_version: str | None
    probability: float | None
    threshold: float | None
    slice: str | None
    spec_digest: str | None
    facts: list[int] | None
    reals: list[float] | None


class Decider(Protocol):
    """Decides clicks; what the HTTP layer calls."""

    async def decide(self, clicks: Sequence[Click]) -> list[Answer]:
        """Decide each click, in order; never raises for what a store or a model does."""
        ...


class DecisionLog(Protocol):
    """Takes answers in the background; the service never waits for it."""

    def has_room(self) -> bool:
        """Return whether it takes more; a service whose log has no room refuses requests."""
        ...

    def opened(self, arrived: int, count: int) -> None:
        """Hear that `count` clicks arrived at `arrived` (µs) and will be put, sooner or later."""
        ...

    def put(self, answers: Sequence[Answer], arrived: int) -> None:
        """Take the answers on clicks that arrived at `arrived`; keeps their order."""
        ...


class Profiles(Protocol):
    """Profile columns as of a time: the latest snapshot of a key with valid_from <= ts."""

    @property
    def loaded_at(self) -> int:
        """When it was last known to be up to date, µs since the epoch; 0 for never."""
        ...

    def value(self, profile: Profile, key: str | None, ts: int) -> float:
        """Return a profile column's value at `ts` (µs); its default where there is none."""
        ...


@dataclass(frozen=True)
class Standing:
    """Which version decides, and which others' counters are kept warm for a promotion.

    `production` is null where none ever was; `checked_at` (µs) is when this was last true.
    """

    production: str | None
    warm: tuple[str, ...]
    checked_at: int
