"""A run as people read it, and as JSON: pure functions of its manifest and summary."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from replay.causes import CAUSE_MEANING
from replay.diff import KIND_MEANING
from replay.runs import RunManifest
from replay.span import iso, iso_local, to_datetime
from replay.summary import HOUR, AdvertiserMoney, HourChanges, Summary, Tally
from scorer.metrics import Share

ADVERTISERS_SHOWN = 10
BAR_WIDTH = 40
MICROS = 1_000_000


def money(micros: int, currency: str, *, signed: bool = False) -> str:
    """Write micros as units with two decimals; the only place where money is rounded.

    >>> money(-1_234_565_000, "USD"), money(5_000_000, "EUR", signed=True)
    ('-1,234.57 USD', '+5.00 EUR')
    """
    hundredths = (abs(micros) + 5_000) // 10_000
    sign = "-" if micros < 0 and hundredths else "+" if signed and hundredths else ""
    return f"{sign}{hundredths // 100:,}.{hundredths % 100:02d} {currency}"


def percent(share: Share) -> str:
    """Write a share with its 95% interval, or say that it is unknown.

    >>> percent(Share(1, 100)), percent(Share(0, 0))
    ('1.00% [0.18%, 5.45%] of 100', 'unknown (none known)')
    """
    if share.rate is None:
        return "unknown (none known)"
    low, high = share.interval
    return f"{share.rate:.2%} [{low:.2%}, {high:.2%}] of {share.whole:,}"


def run_report(manifest: RunManifest, summary: Summary, currency: str) -> Iterator[RenderableType]:
    """Yield what `replay run` prints, in order."""
    yield Text("\n".join(_head(manifest, summary)))
    if not summary.changed.clicks:
        yield Text("\nNo decision changes.")
    else:
        yield Text(f"\n{_sentence(manifest, summary, currency)}")
        yield _tallies("what changes", summary.changes, KIND_MEANING, currency)
        yield _tallies("why", summary.causes, CAUSE_MEANING, currency)
        yield _outcomes(summary, currency)
        yield _advertisers(summary.advertisers, currency)
        yield _hours(summary.hours)
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
    rate = read / max(manifest.seconds, 1e-9)
    span = manifest.span
    yield f"run {manifest.run_id}: {manifest.model_version} on {manifest.features} features"
    yield f"from {iso_local(span.start)}"
    yield f"to   {iso_local(span.end)}"
    yield (
        f"read {read:,} clicks, look-back included; decided {summary.decided:,}, "
        f"undecided {summary.undecided:,}; {manifest.seconds:.1f} s, {rate:,.0f} clicks read/s "
        f"({manifest.device})"
    )


def _sentence(manifest: RunManifest, summary: Summary, currency: str) -> str:
    """Say in one sentence what the run found."""
    changed = [hour for hour in summary.hours if hour.to_invalid + hour.to_valid + hour.other]
    first, last = changed[0].start, changed[-1].start + HOUR
    net = summary.changed.micros
    direction = "advertisers are owed" if net <= 0 else "advertisers owe"
    production = " and ".join(manifest.production_models) or "production"
    return (
        f"{manifest.model_version} decides {summary.changed.clicks:,} clicks "
        f"({summary.changed_share:.2%}) otherwise than {production} did, between {iso(first)} and "
        f"{iso(last)}: {summary.changes['to_invalid'].clicks:,} become invalid, "
        f"{summary.changes['to_valid'].clicks:,} become valid; "
        f"{direction} {money(abs(net), currency)}."
    )


def _tallies(
    title: str, tallies: dict[str, Tally], meaning: Mapping[str, str], currency: str
) -> Table:
    table = _table(title, "meaning", "clicks", "money")
    for name, tally in tallies.items():
        if tally.clicks:
            table.add_row(
                name, meaning[name], f"{tally.clicks:,}", money(tally.micros, currency, signed=True)
            )
    return table


def _outcomes(summary: Summary, currency: str) -> Table:
    table = _table("of those that become invalid", "clicks", "money")
    for name, tally in summary.outcomes.items():
        amount = money(tally.micros, currency, signed=True)
        table.add_row(name.replace("_", " "), f"{tally.clicks:,}", amount)
    return table


def _advertisers(advertisers: tuple[AdvertiserMoney, ...], currency: str) -> Table:
    table = _table("advertiser", "to invalid", "to valid", "credit", "re-bill", "net")
    shown, rest = advertisers[:ADVERTISERS_SHOWN], advertisers[ADVERTISERS_SHOWN:]
    for row in shown:
        _add_advertiser(table, row, currency)
    if rest:
        _add_advertiser(table, _sum(f"{len(rest):,} others", rest), currency)
    table.add_section()
    _add_advertiser(table, _sum("all", advertisers), currency)
    return table


def _add_advertiser(table: Table, row: AdvertiserMoney, currency: str) -> None:
    amounts = (row.credit_micros, row.rebill_micros, row.credit_micros + row.rebill_micros)
    written = [money(amount, currency, signed=True) for amount in amounts]
    table.add_row(row.advertiser_id, f"{row.to_invalid:,}", f"{row.to_valid:,}", *written)


def _sum(name: str, rows: Iterable[AdvertiserMoney]) -> AdvertiserMoney:
    columns = zip(
        *((r.to_invalid, r.to_valid, r.credit_micros, r.rebill_micros) for r in rows), strict=True
    )
    return AdvertiserMoney(name, *(sum(column) for column in columns))


def _hours(hours: tuple[HourChanges, ...]) -> Table:
    """Draw the share of each hour's clicks that changed."""
    table = _table("hour (UTC)", "clicks", "to invalid", "to valid", "share changed")
    table.columns[-1].justify = "left"
    for hour in hours:
        changed = hour.to_invalid + hour.to_valid + hour.other
        share = changed / hour.clicks if hour.clicks else 0.0
        bar = "█" * round(share * BAR_WIDTH) or ("▏" if changed else "")
        table.add_row(
            f"{to_datetime(hour.start):%Y-%m-%d %H:%M}",
            f"{hour.clicks:,}",
            f"{hour.to_invalid:,}",
            f"{hour.to_valid:,}",
            f"{share:7.2%} {bar}",
        )
    return table


def _rates(summary: Summary) -> Table:
    table = _table("decisions", "IVR: invalid clicks", "FPR: invalid purchasing clicks")
    for name in ("production", "effective", "replayed"):
        rates = getattr(summary, name)
        table.add_row(name, percent(rates.ivr), percent(rates.fpr))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(title_justify="left", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="left" if name == "meaning" else "right")
    return table
