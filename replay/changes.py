"""The words for what a replay finds: kinds of change, their causes, and what came of the clicks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

KINDS: Mapping[str, str] = {
    "to_invalid": "billed, and should not have been",
    "to_valid": "not billed, and should have been",
    "newly_decided": "production was undecided",
    "missing": "production never logged the click",
}
# In the order in which they are tried: the first that fits is the cause.
CAUSES: Mapping[str, str] = {
    "availability": "production was undecided or never logged the click",
    "verdict": "the replay agrees with production; a published verdict had changed it",
    "unattributable": "the log lacks the features or the model version behind the decision",
    "unreproducible": "the service did not run what the registry says",
    "model": "another model decides otherwise on the same features",
    "threshold": "the same weights with another threshold",
    "features": "production saw other features than the log gives",
    "either": "model and features, each alone",
    "joint": "model and features, only together",
}
# Of clicks that become invalid.
OUTCOMES: Mapping[str, str] = {
    "purchased": "a purchase followed: a human's click is lost",
    "not_purchased": "no purchase followed within the attribution window",
    "too_early": "the attribution window is still open",
}


@dataclass(frozen=True)
class Tally:
    """Some changes: how many clicks, and the sum of their adjustments in micros."""

    clicks: int
    micros: int


def total(tallies: Iterable[Tally]) -> Tally:
    """Add tallies up."""
    found = list(tallies)
    return Tally(sum(tally.clicks for tally in found), sum(tally.micros for tally in found))
