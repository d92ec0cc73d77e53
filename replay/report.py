"""A run as people read it, and as JSON: pure functions of its manifest and summary."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from replay.changes import CAUSES, KINDS, OUTCOMES
from replay.floor_report import floor_notes, floor_report
from replay.formats import bar, money, new_table, percent
from replay.runs import RunManifest
from replay.span import iso, iso_local, to_datetime
from replay.summary import HOUR, AdvertiserMoney, HourChanges, Summary, Tally

ADVERTISERS_SHOWN = 10


def run_report(manifest: RunManifest, summary: Summary, currency: str) -> Iterator[RenderableType]:
    """Yield what `replay run` prints, in order."""
    yield Text("\n".join(_head(manifest, summary)))
    if not summary.changed.clicks:
        yield Text("\nNo decision changes.")
    else:
        yield Text(f"\n{_sentence(manifest, summary, currency)}")
        for part in (
            _tallies("what changes", summary.changes, KINDS, currency),
            _tallies("why", summary.causes, CAUSES, currency),
            _tallies("of what becomes invalid", summary.outcomes, OUTCOMES, currency),
            _advertisers(summary.advertisers, currency),
            _hours(summary.hours),
        ):
            if part.row_count:
                yield Text("")
                yield part
    if summary.floor:
        yield from floor_report(manifest, summary.changes, summary.floor, currency)
    yield Text("")
    yield _rates(summary)
    for note in notes(manifest, summary):
        yield Text(f"note: {note}")


def notes(manifest: RunManifest, summary: Summary) -> list[str]:
    """Return what a reader must know before trusting the figures."""
    found = list(manifest.notes)
    if summary.borderline:
        found.append(
            f"borderline: {summary.borderline:,} probabilities lie within 1e-5 of their threshold; "
            f"{summary.withheld:,} of them would have been changes and are not"
        )
    if summary.unseen_slice:
        found.append(
            f"{summary.unseen_slice:,} clicks are of slices that {manifest.model_version}'s "
            "calibration never saw; they were held to its overall threshold"
        )
    if summary.undecided:
        found.append(f"{summary.undecided:,} clicks could not be scored and are no changes")
    if summary.floor:
        found += floor_notes(summary.floor)
    if manifest.sample:
        found.append(f"only a sample of {manifest.sample} of the users was scored")
    return found


def run_json(manifest: RunManifest, summary: Summary) -> dict[str, Any]:
    """Return the run as one JSON document; times in UTC, money in micros."""
    return {
        **manifest.model_dump(mode="json"),
        "notes": notes(manifest, summary),
        "summary": summary.to_json(),
    }


def _head(manifest: RunManifest, summary: Summary) -> Iterator[str]:
    read = manifest.counts["read"]
    rate = 1 / max(manifest.pace, 1e-9)
    span = manifest.span
    yield f"run {manifest.run_id}: {manifest.model_version} on {manifest.features} features"
    yield f"from {iso_local(span.start)}"
    yield f"to   {iso_local(span.end)}"
    yield (
        f"read {read:,} clicks, look-back included; decided {summary.decided:,}, "
        f"undecided {summary.undecided:,}; {manifest.seconds:.1f} s, {rate:,.0f} clicks read/s "
        f"({manifest.device})"
    )
    if manifest.resumed:
        yield (
            f"resumed at slice {manifest.resumed.slice + 1:,} of {manifest.slices:,}: seconds and "
            f"rate are of the {manifest.resumed.read:,} clicks read since, the look-back again"
        )


def _sentence(manifest: RunManifest, summary: Summary, currency: str) -> str:
    """Say in one sentence what the run found."""
    changed = [hour for hour in summary.hours if hour.to_invalid + hour.to_valid + hour.other]
    first, last = changed[0].start, changed[-1].start + HOUR
    net = summary.changed.micros
    direction = "advertisers are owed" if net <= 0 else "advertisers owe"
    production = " and ".join(manifest.production_models) or "production"
    first_time = summary.changes["newly_decided"].clicks + summary.changes["missing"].clicks
    what = [
        f"{clicks:,} {becomes}"
        for clicks, becomes in (
            (summary.changes["to_invalid"].clicks, "become invalid"),
            (summary.changes["to_valid"].clicks, "become valid"),
            (first_time, "are decided for the first time"),
        )
        if clicks
    ]
    return (
        f"{manifest.model_version} decides {summary.changed.clicks:,} clicks "
        f"({summary.changed_share:.2%}) otherwise than {production} did, between {iso(first)} and "
        f"{iso(last)}: {', '.join(what)}; {direction} {money(abs(net), currency)}."
    )


def _tallies(
    title: str, tallies: Mapping[str, Tally], meaning: Mapping[str, str], currency: str
) -> Table:
    made = new_table(title, "meaning", ">clicks", ">money")
    for name, tally in tallies.items():
        if tally.clicks:
            amount = money(tally.micros, currency, signed=True)
            made.add_row(name, meaning[name], f"{tally.clicks:,}", amount)
    return made


def _advertisers(advertisers: tuple[AdvertiserMoney, ...], currency: str) -> Table:
    made = new_table("advertiser", ">now invalid", ">now valid", ">credit", ">re-bill", ">net")
    shown, rest = advertisers[:ADVERTISERS_SHOWN], advertisers[ADVERTISERS_SHOWN:]
    rows = [*shown, _sum(f"{len(rest):,} others", rest)] if rest else list(shown)
    for row in (*rows, _sum("all", advertisers)):
        amounts = (row.credit_micros, row.rebill_micros, row.credit_micros + row.rebill_micros)
        written = [money(amount, currency, signed=True) for amount in amounts]
        made.add_row(row.advertiser_id, f"{row.now_invalid:,}", f"{row.now_valid:,}", *written)
    return made


def _sum(name: str, rows: Iterable[AdvertiserMoney]) -> AdvertiserMoney:
    figures = ((r.now_invalid, r.now_valid, r.credit_micros, r.rebill_micros) for r in rows)
    return AdvertiserMoney(name, *(sum(column) for column in zip(*figures, strict=True)))


def _hours(hours: tuple[HourChanges, ...]) -> Table:
    """Draw the share of each hour's clicks that changed."""
    made = new_table("hour (UTC)", ">clicks", ">to invalid", ">to valid", ">other", "share changed")
    for hour in hours:
        changed = hour.to_invalid + hour.to_valid + hour.other
        counts = (hour.clicks, hour.to_invalid, hour.to_valid, hour.other)
        written = [f"{count:,}" for count in counts]
        start = f"{to_datetime(hour.start):%Y-%m-%d %H:%M}"
        made.add_row(start, *written, bar(changed, hour.clicks))
    return made


def _rates(summary: Summary) -> Table:
    made = new_table("decisions", "IVR: invalid clicks", "FPR: invalid purchasing clicks")
    for name, rates in (
        ("production", summary.production),
        ("effective", summary.effective),
        ("replayed", summary.replayed),
    ):
        made.add_row(name, percent(rates.ivr), percent(rates.fpr))
    return made
