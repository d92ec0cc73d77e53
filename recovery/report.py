"""A preview of a publication, and its record, as people read them: pure functions of the data."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from recovery.gates import GATES, Judged
from recovery.ledger import Publication
from recovery.proposal import AdvertiserMove, Proposal
from recovery.publishing import Preview
from replay.changes import CAUSES, OUTCOMES
from replay.formats import money, new_table
from replay.span import iso, iso_local, to_micros
from replay.summary import Tally

ADVERTISERS_SHOWN = 5
SIGNS = {"pass": "✓ pass", "object": "✗ objects", "overridden": "! overridden"}
_UNITS = {gate.name: gate.unit for gate in GATES}


def preview_report(preview: Preview, currency: str) -> Iterator[RenderableType]:
    """Yield what a preview shows, in order; it fits one screen."""
    proposal = preview.proposal
    yield Text("\n".join(_head(proposal, currency)))
    if proposal.verdicts:
        yield Text("")
        yield _moves(proposal, currency)
        yield Text("")
        yield _advertisers(proposal, currency)
        yield Text("")
        yield gates_table(preview.gates)


def record_lines(record: Publication, currency: str) -> Iterator[str]:
    """Yield what a publication did, a sentence a line."""
    what = f"run {record.of} undone" if record.of else f"run {record.run_id} published"
    yield (
        f"{what} at {iso_local(to_micros(record.at))} by {record.by}: "
        f"{record.verdicts:,} verdicts, {record.first:,} to {record.last:,} of the ledger"
    )
    yield effects_line(record.credits, record.rebills, record.neutral, currency)
    if record.withheld.clicks:
        amount = money(record.withheld.micros, currency, signed=True)
        how = "revert it again" if record.of else "replay the span again and publish that run"
        yield (
            f"{record.withheld.clicks:,} re-bills ({amount}) were withheld: to have them too, "
            f"{how} with --rebill"
        )
    if record.overrides:
        yield f"overriding {', '.join(record.overrides)}"
    if record.reason:
        yield f"reason: {record.reason}"


def effects_line(credits: Tally, rebills: Tally, neutral: int, currency: str) -> str:  # noqa: A002
    """Say how much is credited, billed again and left, and the sum."""
    return (
        f"{credits.clicks:,} clicks credited ({money(credits.micros, currency, signed=True)}), "
        f"{rebills.clicks:,} billed again ({money(rebills.micros, currency, signed=True)}), "
        f"{neutral:,} without money; "
        f"net {money(credits.micros + rebills.micros, currency, signed=True)}"
    )


def gates_table(gates: Iterable[Judged]) -> Table:
    """Return the gates with their figures and bounds."""
    made = new_table("gate", ">figure", ">bound", "", "what the figure is")
    for gate in gates:
        figure, bound = (_figure(gate.name, value) for value in (gate.figure, gate.bound))
        if figure == bound and gate.verdict != "pass":
            figure = f"> {bound}"
        made.add_row(gate.name, figure, bound, SIGNS[gate.verdict], gate.meaning)
    return made


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    match _UNITS.get(name, "share"):
        case "share":
            return f"{value:.2%}"
        case "hours":
            return f"{value:,.1f} h"
        case "clicks":
            return f"{value:,.0f}"
        case "flag":
            return "yes" if value else "no"


def _head(proposal: Proposal, currency: str) -> Iterator[str]:
    span = f"{iso(proposal.span.start)} to {iso(proposal.span.end)}"
    model = f" ({proposal.model_version})" if proposal.model_version else ""
    yield (
        f"{proposal.action} of run {proposal.run_id}{model}, {proposal.clicks:,} clicks of {span}, "
        "against the decisions in effect now"
    )
    yield effects_line(proposal.credits, proposal.rebills, proposal.neutral, currency)
    if proposal.withheld.clicks:
        amount = money(proposal.withheld.micros, currency, signed=True)
        once = "; a run is published once" if proposal.action == "publish" else ""
        count = proposal.withheld.clicks
        yield f"{count:,} re-bills ({amount}) are withheld without --rebill{once}"
    if proposal.superseded:
        found = [f"{n:,} by {run_id}" for run_id, n in proposal.superseded.items()]
        more = [f"{len(found) - 2:,} more runs"] if len(found) > 3 else []
        others = ", ".join([*found[:2], *more] if more else found)
        yield f"superseded, and left as they are: {others}"


def _moves(proposal: Proposal, currency: str) -> Table:
    made = new_table("by", "", ">clicks", ">money", "meaning")
    groups: tuple[tuple[str, Mapping[str, Tally], Mapping[str, str]], ...] = (
        ("decision", proposal.moves, {}),
        ("cause", proposal.causes, CAUSES),
        ("outcome", proposal.outcomes, OUTCOMES),
    )
    for title, tallies, meaning in groups:
        for number, (name, tally) in enumerate(tallies.items()):
            amount = money(tally.micros, currency, signed=True)
            label = "" if number else title
            made.add_row(label, name, f"{tally.clicks:,}", amount, meaning.get(name, ""))
    return made


def _advertisers(proposal: Proposal, currency: str) -> Table:
    advertisers = proposal.advertisers
    made = new_table("advertiser", ">credited", ">billed again", ">credit", ">re-bill", ">of spend")
    shown, rest = advertisers[:ADVERTISERS_SHOWN], advertisers[ADVERTISERS_SHOWN:]
    rows = [*shown, _sum(f"{len(rest):,} others", rest)] if rest else list(shown)
    made.columns[0].no_wrap = True
    whole = replace(_sum("all", advertisers), spend_micros=proposal.spend_micros)
    for row in (*rows, whole):
        moved = max(-row.credit_micros, row.rebill_micros)
        made.add_row(
            row.advertiser_id,
            f"{row.credited:,}",
            f"{row.rebilled:,}",
            money(row.credit_micros, currency, signed=True),
            money(row.rebill_micros, currency, signed=True),
            f"{moved / row.spend_micros:.1%}" if row.spend_micros else "",
        )
    return made


def _sum(name: str, rows: Iterable[AdvertiserMove]) -> AdvertiserMove:
    figures = (
        (r.credited, r.rebilled, r.credit_micros, r.rebill_micros, r.spend_micros) for r in rows
    )
    return AdvertiserMove(name, *(sum(column) for column in zip(*figures, strict=True)))
