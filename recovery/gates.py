"""Safety gates: what must hold before corrections are published.

`GATES` is the list, in the order in which they are shown; each is a pure function of the proposal.
A figure is held to its bound, of `[gates]` in the lake's `replay.toml` or else the default here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from recovery.proposal import AdvertiserMove, Proposal
from scorer.errors import BadInput, ReplayError, nearest

Unit = Literal["share", "clicks", "hours", "flag"]


class Judged(BaseModel):
    """A gate's answer: pass, object or overridden; `figure` is None where it is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    meaning: str
    figure: float | None
    bound: float
    verdict: Literal["pass", "object", "overridden"]


class GateObjects(ReplayError):
    """A gate objects, and nobody overrode it."""

    exit_code = 1


@dataclass(frozen=True)
class Gate:
    """One gate: it objects where its figure is above its bound, or is unknown.

    A bound of 100% of a share holds for every figure, the unknown too. One that is `fixed` can
    neither be overridden nor set. In `meaning` {top} stands for the advertiser whose spend moves
    most and {hours} for the billing window; `unknown` is said where there is no figure.
    """

    name: str
    meaning: str
    figure: Callable[[Proposal], float | None]
    bound: float
    unit: Unit = "share"
    fixed: bool = False
    unknown: str = ""

    def judge(self, proposal: Proposal, bound: float, overrides: Iterable[str]) -> Judged:
        """Hold the proposal's figure to `bound`."""
        figure = self.figure(proposal)
        everything = self.unit == "share" and bound >= 1
        passes = everything or (figure is not None and figure <= bound)
        verdict: Literal["pass", "object", "overridden"] = "pass"
        if not passes:
            verdict = "overridden" if self.name in overrides else "object"
        hours = f"{proposal.window_hours:,}"
        meaning = self.meaning if figure is not None else self.unknown
        return Judged(
            name=self.name,
            meaning=meaning.replace("{top}", _top(proposal)).replace("{hours}", hours),
            figure=figure,
            bound=bound,
            verdict=verdict,
        )


def _moved(row: AdvertiserMove) -> float:
    return _share(max(-row.credit_micros, row.rebill_micros), row.spend_micros)


def _top(proposal: Proposal) -> str:
    rows = proposal.advertisers
    return max(rows, key=_moved).advertiser_id if rows else "any advertiser"


def _share(part: int, whole: int) -> float:
    """Return part / whole; all of nothing is 0, and something of nothing is 1."""
    return part / whole if whole else float(part > 0)


def sampled(proposal: Proposal) -> float:
    """Return 1 where only a sample of the users was decided."""
    return float(proposal.sampled)


def unsettled(proposal: Proposal) -> float:
    """Return how much of the span the log may still gain, in hours."""
    return max(proposal.span.end - proposal.settled_until, 0) / 3_600_000_000


def cold_start(proposal: Proposal) -> float:
    """Return the share of clicks whose windows reach before the log's begin."""
    return _share(proposal.cold_start, proposal.clicks)


def log_gap(proposal: Proposal) -> float:
    """Return the share of clicks whose windows see an unexplained hour without clicks."""
    return _share(proposal.gap, proposal.clicks)


def changed(proposal: Proposal) -> float:
    """Return the share of clicks that get another decision."""
    return _share(proposal.verdicts, proposal.clicks)


def credit_clicks(proposal: Proposal) -> float:
    """Return the share of clicks that are credited."""
    return _share(proposal.credits.clicks, proposal.clicks)


def credit_money(proposal: Proposal) -> float:
    """Return the credits as a share of the clicks' price."""
    return _share(-proposal.credits.micros, proposal.spend_micros)


def rebill_clicks(proposal: Proposal) -> float:
    """Return the share of clicks that are billed again."""
    return _share(proposal.rebills.clicks, proposal.clicks)


def rebill_money(proposal: Proposal) -> float:
    """Return the re-bills as a share of the clicks' price."""
    return _share(proposal.rebills.micros, proposal.spend_micros)


def advertiser(proposal: Proposal) -> float:
    """Return the largest share of one advertiser's spend that moves, either way."""
    return max(map(_moved, proposal.advertisers), default=0.0)


def fpr(proposal: Proposal) -> float | None:
    """Return the share of purchasing clicks that the run calls invalid; None where none is."""
    return None if proposal.fpr is None else proposal.fpr.rate


def billing_window(proposal: Proposal) -> float:
    """Return how many clicks older than the billing window would be billed again."""
    return float(proposal.late.clicks)


# What a re-bill must pass, by a run or by a revert.
REBILL_GATES: tuple[Gate, ...] = (
    Gate("rebill_clicks", "of the clicks are billed again", rebill_clicks, 0.02),
    Gate("rebill_money", "of the clicks' price is billed again", rebill_money, 0.02),
    Gate(
        "billing_window", "re-bills are of clicks older than {hours} h", billing_window, 0, "clicks"
    ),
)
GATES: tuple[Gate, ...] = (
    Gate("sampled", "only a sample of the users was decided", sampled, 0, "flag", fixed=True),
    Gate("unsettled", "of the span the log may still gain", unsettled, 0, "hours", fixed=True),
    Gate("cold_start", "of the clicks: windows reach before the log", cold_start, 0),
    Gate("log_gap", "of the clicks: windows see a gap in the log", log_gap, 0),
    Gate("changed", "of the clicks are decided otherwise", changed, 0.10),
    Gate("credit_clicks", "of the clicks are credited", credit_clicks, 0.10),
    Gate("credit_money", "of the clicks' price is credited", credit_money, 0.10),
    *REBILL_GATES,
    Gate("advertiser", "of the spend of {top} moves, the largest share", advertiser, 0.25),
    Gate(
        "fpr",
        "of purchasing clicks are called invalid (FPR)",
        fpr,
        0.05,
        unknown="no click led to a purchase; [gates] fpr = 1 accepts that",
    ),
)
_NAMES = tuple(gate.name for gate in GATES)
FIXED = frozenset(gate.name for gate in GATES if gate.fixed)


def judge(
    gates: Iterable[Gate],
    proposal: Proposal,
    bounds: Mapping[str, float],
    overrides: Iterable[str],
) -> tuple[Judged, ...]:
    """Hold a proposal to every gate; `bounds` replace the defaults."""
    named = set(overrides)
    return tuple(g.judge(proposal, bounds.get(g.name, g.bound), named) for g in gates)


def check_bounds(bounds: Mapping[str, float], where: str) -> None:
    """Raise BadInput where a lake's settings name no gate, a fixed one, or no bound."""
    for name, bound in bounds.items():
        _known(name, f"{where}: [gates]")
        if not 0 <= bound < float("inf"):
            raise BadInput(f"{where}: [gates] {name} = {bound} is no bound: 0 or more is")
        if _gate(name).unit == "share" and bound > 1:
            raise BadInput(f"{where}: [gates] {name} = {bound}: write 10% as 0.1")


def check_overrides(overrides: Iterable[str], reason: str | None) -> None:
    """Raise BadInput where an override names no gate or one that can't be, or has no reason."""
    names = tuple(overrides)
    for name in names:
        _known(name, "--override")
    if names and not (reason or "").strip():
        raise BadInput(f"overriding {', '.join(names)} needs a reason: say why with --reason")


def _known(name: str, where: str) -> None:
    if name not in _NAMES:
        hint = nearest(name, _NAMES, f"The gates are {', '.join(_NAMES)}.")
        raise BadInput(f"{where} names no gate {name!r}. {hint}")
    if _gate(name).fixed:
        raise BadInput(f"{where}: gate {name!r} can't be overridden or set; it always holds")


def _gate(name: str) -> Gate:
    return next(gate for gate in GATES if gate.name == name)
