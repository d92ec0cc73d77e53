"""An audit as people read it: a pure function of its figures."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from recovery.audit.figures import DECISIONS, Account, Audit, Part
from recovery.audit.tallies import EFFECTIVE, METRICS, PRODUCTION, total
from replay.changes import CAUSES
from replay.formats import money, new_table
from replay.span import iso_local
from scorer.metrics import Difference, Share

ADVERTISERS_SHOWN = 10
SLICES_SHOWN = 20
HEADINGS = {
    "ivr": "IVR, %",
    "fpr": "FPR, %",
    "robotic_coverage": "coverage, %",
    "decision_rate": "decided, %",
}


def audit_report(audit: Audit) -> Iterator[RenderableType]:
    """Yield what `replay audit` prints, in order."""
    voices = shown_voices(audit)
    yield Text("\n".join(_head(audit)))
    parts = [
        _metrics(audit.overall, voices),
        _pairs(audit.overall, voices),
        _agreement(audit, voices),
        *_slices(audit, voices),
        _decisions(audit.all_accounts, voices, audit.currency),
        _advertisers(audit, voices),
        _causes(audit),
    ]
    for part in parts:
        if part.row_count:
            yield Text("")
            yield part
    yield Text("")
    for note in notes(audit):
        yield Text(f"note: {note}")


def shown_voices(audit: Audit) -> tuple[str, ...]:
    """Return the voices; what is in effect only where a verdict made it differ from production."""
    for agreement in audit.agreements:
        if {agreement.first, agreement.second} == {PRODUCTION, EFFECTIVE}:
            same = agreement.same
            if same.part == same.whole:
                return tuple(voice for voice in audit.voices if voice != EFFECTIVE)
    return audit.voices


def notes(audit: Audit) -> list[str]:
    """Return what a reader must know before trusting the figures."""
    found = list(audit.notes)
    for version in audit.versions:
        if version.borderline:
            found.append(
                f"borderline: {version.borderline:,} probabilities of {version.name} lie within "
                f"1e-5 of their threshold; {version.withheld:,} of them are no changes and would be"
            )
        if version.unseen_slice:
            found.append(
                f"{version.unseen_slice:,} clicks are of slices that {version.name}'s calibration "
                "never saw; they were held to its overall threshold"
            )
    if audit.missing:
        found.append(f"production never logged {audit.missing:,} clicks; they count as undecided")
    if audit.sessionless:
        found.append(f"{audit.sessionless:,} clicks have no session and count for no coverage")
    return found


def _head(audit: Audit) -> Iterator[str]:
    yield f"audit of {', '.join(version.name for version in audit.versions)}"
    yield f"from {iso_local(audit.span.start)}"
    yield f"to   {iso_local(audit.span.end)}"
    yield f"{audit.clicks:,} clicks; two of the versions differ on {audit.differing:,}"


def _metrics(part: Part, voices: tuple[str, ...]) -> Table:
    made = new_table("decisions by", *HEADINGS.values())
    for voice in voices:
        counts = part.counts[voice]
        made.add_row(voice, *(_share(getattr(counts, name)) for name in METRICS))
    wholes = (getattr(part.counts[PRODUCTION], name).whole for name in METRICS)
    made.add_row("of", *(f"{whole:,}" for whole in wholes))
    return made


def _pairs(part: Part, voices: tuple[str, ...]) -> Table:
    names = ("ivr", "fpr", "robotic_coverage")
    made = new_table("difference, in points", *(HEADINGS[name].split(",")[0] for name in names))
    for pair in part.pairs:
        if pair.first in voices and pair.second in voices:
            written = (_difference(pair.differences[name]) for name in names)
            made.add_row(f"{pair.first} - {pair.second}", *written)
    return made


def _agreement(audit: Audit, voices: tuple[str, ...]) -> Table:
    made = new_table("decided alike", *(f">{voice}" for voice in voices))
    same = {(a.first, a.second): a.same for a in audit.agreements}
    for one in voices:
        cells = []
        for other in voices:
            share = same.get((one, other), same.get((other, one)))
            cells.append("" if share is None or share.rate is None else f"{share.rate:.2%}")
        made.add_row(one, *cells)
    return made


def _slices(audit: Audit, voices: tuple[str, ...]) -> Iterator[Table]:
    """Yield a table for each way in which versions cut the clicks into slices."""
    for columns in dict.fromkeys(part.columns for part in audit.slices):
        parts = [part for part in audit.slices if part.columns == columns]
        parts.sort(key=lambda part: (-part.counts[PRODUCTION].clicks, part.name))
        headings = list(HEADINGS.values())[:3]
        made = new_table(", ".join(columns), ">clicks", "by", *headings)
        for part in parts[:SLICES_SHOWN]:
            for number, voice in enumerate(voices):
                counts = part.counts[voice]
                named = ("", "") if number else (_values(part.name), f"{counts.clicks:,}")
                shares = (counts.ivr, counts.fpr, counts.robotic_coverage)
                made.add_row(*named, voice, *(_share(share) for share in shares))
        if len(parts) > SLICES_SHOWN:
            more = len(parts) - SLICES_SHOWN
            made.add_row(f"{more:,} smaller ones", "", "see audit.json", "", "", "")
        yield made


def _values(slice_key: str) -> str:
    """Write a slice's values without its columns, which stand in the heading.

    >>> _values("device=mobile_web,logged_in=true")
    'mobile_web, true'
    """
    return ", ".join(pair.partition("=")[2] for pair in slice_key.split(","))


def _decisions(account: Account, voices: tuple[str, ...], currency: str) -> Table:
    """Show that gross = valid + invalid + undecided, for each voice."""
    made = new_table("money by", ">gross", *(f">{word}" for word in DECISIONS), ">billed")
    for voice in voices:
        amounts = (account.voices[voice][word].micros for word in DECISIONS)
        written = (money(amount, currency) for amount in amounts)
        gross, billed = account.gross.micros, account.billed(voice)
        made.add_row(voice, money(gross, currency), *written, money(billed, currency))
    return made


def _advertisers(audit: Audit, voices: tuple[str, ...]) -> Table:
    made = new_table("advertiser", ">clicks", ">gross", *(f">billed by {v}" for v in voices))
    accounts = sorted(audit.accounts, key=lambda a: (-a.gross.micros, a.advertiser_id))
    shown, rest = accounts[:ADVERTISERS_SHOWN], accounts[ADVERTISERS_SHOWN:]
    rows = [*shown, *([_sum(f"{len(rest):,} others", rest)] if rest else []), audit.all_accounts]
    for account in rows:
        amounts = (account.gross.micros, *(account.billed(voice) for voice in voices))
        written = (money(amount, audit.currency) for amount in amounts)
        made.add_row(account.advertiser_id, f"{account.gross.clicks:,}", *written)
    return made


def _sum(name: str, accounts: list[Account]) -> Account:
    voices = {
        voice: {word: total(a.voices[voice][word] for a in accounts) for word in DECISIONS}
        for voice in accounts[0].voices
    }
    return Account(name, total(account.gross for account in accounts), voices)


def _causes(audit: Audit) -> Table:
    """Show why each version decides otherwise than what is in effect."""
    made = new_table("changes by", "cause", "meaning", ">clicks", ">money")
    for version in audit.versions:
        found = version.causes
        for number, (cause, tally) in enumerate(found.items()):
            amount = money(tally.micros, audit.currency, signed=True)
            named = "" if number else version.name
            made.add_row(named, cause, CAUSES[cause], f"{tally.clicks:,}", amount)
        if len(found) > 1:
            every = total(found.values())
            amount = money(every.micros, audit.currency, signed=True)
            made.add_row("", "all", "", f"{every.clicks:,}", amount)
    return made


def _share(share: Share) -> str:
    """Write a share with its interval, in percent.

    >>> _share(Share(1, 100)), _share(Share(0, 0))
    ('1.00 [0.18-5.45]', 'unknown')
    """
    if share.rate is None:
        return "unknown"
    low, high = (100 * end for end in share.interval)
    return f"{100 * share.rate:.2f} [{low:.2f}-{high:.2f}]"


def _difference(found: Difference) -> str:
    """Write a difference of rates in percentage points, with its interval.

    >>> _difference(Difference(12, 2, 36, 50)), _difference(Difference(0, 0, 0, 0))
    ('+20.00 [+5.69, +34.04]', 'unknown')
    """
    if found.value is None:
        return "unknown"
    low, high = (100 * end for end in found.interval)
    return f"{100 * found.value:+.2f} [{low:+.2f}, {high:+.2f}]"
