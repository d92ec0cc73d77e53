"""What a publication would do: frozen figures, which gates judge and a preview shows."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from replay.span import Span, iso
from replay.summary import Tally
from scorer.metrics import Share

Action = Literal["publish", "revert"]


@dataclass(frozen=True)
class AdvertiserMove:
    """What moves for one advertiser, micros: credits are negative, re-bills positive.

    `spend_micros` is the price of all its clicks that were looked at, billed or not.
    """

    advertiser_id: str
    credited: int
    rebilled: int
    credit_micros: int
    rebill_micros: int
    spend_micros: int


@dataclass(frozen=True)
class Proposal:
    """Corrections netted against the decisions in effect, before they are published.

    `run_id` is the run that is published, or the one that a revert undoes. Everything but
    `withheld` and `superseded` counts what would be published: `moves` by decision before and
    after, `late` the re-bills of clicks that are older than `window_hours` at `at` (µs).
    `clicks` and `spend_micros` are what the run decided and the price of that; `fpr` is None for a
    revert.
    """

    action: Action
    run_id: str
    model_version: str | None
    span: Span
    at: int
    clicks: int
    spend_micros: int
    moves: dict[str, Tally]
    causes: dict[str, Tally]
    outcomes: dict[str, Tally]
    credits: Tally
    rebills: Tally
    neutral: int
    withheld: Tally
    late: Tally
    superseded: dict[str, int]
    advertisers: tuple[AdvertiserMove, ...]
    fpr: Share | None
    cold_start: int
    gap: int
    sampled: bool
    settled_until: int
    window_hours: int

    @property
    def verdicts(self) -> int:
        """How many verdicts would be published."""
        return self.credits.clicks + self.rebills.clicks + self.neutral

    @property
    def net_micros(self) -> int:
        """Sum of the adjustments that would be published."""
        return self.credits.micros + self.rebills.micros

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data; times in UTC, money in micros."""
        times = {"at": iso(self.at), "settled_until": iso(self.settled_until)}
        span = {"span": {"from": iso(self.span.start), "to": iso(self.span.end)}}
        fpr = None if self.fpr is None else self.fpr.rate
        sums = {"verdicts": self.verdicts, "net_micros": self.net_micros}
        return {**asdict(self), **times, **span, "fpr": fpr, **sums}
