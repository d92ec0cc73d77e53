"""An audit in figures: frozen data, made of the tallies, that adds up or is refused."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from recovery.audit.preparing import Prepared
from recovery.audit.tallies import (
    EFFECTIVE,
    METRICS,
    PRODUCTION,
    Cells,
    Tallies,
    counts_of,
    crossed,
    difference,
    total,
)
from replay.changes import CAUSES, KINDS
from replay.span import Span, iso
from replay.summary import Tally
from scorer.counts import Counts
from scorer.decisions import INVALID, UNDECIDED, VALID
from scorer.errors import Inconsistent
from scorer.metrics import Difference, Share

DECISIONS = (VALID, INVALID, UNDECIDED)


@dataclass(frozen=True)
class Pair:
    """Two voices on the same clicks: the difference of each metric, the first's − the second's."""

    first: str
    second: str
    differences: dict[str, Difference]


@dataclass(frozen=True)
class Part:
    """Some of the clicks: what each voice's metrics are made of, and each two voices' difference.

    `columns` are what the part is a slice of, none for all clicks and for an hour (its start, UTC).
    """

    columns: tuple[str, ...]
    name: str
    counts: dict[str, Counts]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Agreement:
    """Clicks by the decision of one voice, then by that of another."""

    first: str
    second: str
    table: dict[str, dict[str, int]]

    @property
    def same(self) -> Share:
        """The clicks that the two decide alike, of all."""
        alike = sum(self.table[decision][decision] for decision in DECISIONS)
        return Share(alike, sum(sum(row.values()) for row in self.table.values()))


@dataclass(frozen=True)
class Account:
    """An advertiser's clicks and money: `gross`, and by voice and decision."""

    advertiser_id: str
    gross: Tally
    voices: dict[str, dict[str, Tally]]

    def billed(self, voice: str) -> int:
        """What a voice bills, micros: all that is not invalid."""
        return sum(tally.micros for word, tally in self.voices[voice].items() if word != INVALID)

    def check(self) -> None:
        """Raise Inconsistent unless gross = valid + invalid + undecided for each voice."""
        for voice, decisions in self.voices.items():
            if (found := total(decisions.values())) != self.gross:
                raise Inconsistent(
                    f"the audit does not reconcile: advertiser {self.advertiser_id} has "
                    f"{self.gross} in gross, and {found} by the decisions of {voice}. Nothing was "
                    "kept; please report this with the command that you ran"
                )


@dataclass(frozen=True)
class Version:
    """One audited version: what it is, and what it changes of the effective decisions.

    `changes` are by kind and `causes` by cause, of the same clicks; their money is what the version
    bills more. `borderline` clicks are no changes, and `withheld` would have been.
    """

    name: str
    digest: str
    spec_digest: str
    slice_columns: tuple[str, ...]
    borderline: int
    withheld: int
    unseen_slice: int
    changes: dict[str, Tally]
    causes: dict[str, Tally]


@dataclass(frozen=True)
class Audit:
    """What an audit found; everything in it follows from what was read."""

    span: Span
    known_until: int
    currency: str
    voices: tuple[str, ...]
    versions: tuple[Version, ...]
    overall: Part
    slices: tuple[Part, ...]
    hours: tuple[Part, ...]
    agreements: tuple[Agreement, ...]
    accounts: tuple[Account, ...]
    all_accounts: Account
    missing: int
    sessionless: int
    differing: int
    notes: tuple[str, ...]

    @property
    def clicks(self) -> int:
        """All clicks of the span."""
        return self.all_accounts.gross.clicks

    def check(self) -> None:
        """Raise Inconsistent unless the figures add up, click by click and micro by micro."""
        for account in (*self.accounts, self.all_accounts):
            account.check()
        columns = {version.slice_columns for version in self.versions}
        parted = [self.hours, *([p for p in self.slices if p.columns == c] for c in columns)]
        for voice in self.voices:
            whole = self.overall.counts[voice]
            for parts in parted:
                if sum((part.counts[voice] for part in parts), Counts()) != whole:
                    raise Inconsistent(f"the audit's parts do not add up to all clicks ({voice})")
        for version in self.versions:
            if total(version.changes.values()) != total(version.causes.values()):
                raise Inconsistent(f"the changes by {version.name} and their causes do not add up")
        if self.overall.counts[PRODUCTION].clicks != self.clicks:
            raise Inconsistent("the audit's clicks and those of its advertisers do not add up")


def figures(prepared: Prepared, tallies: Tallies, differing: int) -> Audit:
    """Say what the tallies hold; raise Inconsistent where it does not add up."""
    plan = prepared.plan
    voices = (PRODUCTION, EFFECTIVE, *(version.name for version in plan.versions))
    overall = tallies.overall
    gross = total(tallies.gross.values())
    found = Audit(
        span=plan.span,
        known_until=prepared.known_until,
        currency=prepared.lake.config.currency,
        voices=voices,
        versions=tuple(_versions(prepared, tallies)),
        overall=_part(voices, overall),
        slices=tuple(
            _part(voices, cells, columns, name)
            for (columns, name), cells in sorted(tallies.slices.items())
        ),
        hours=tuple(
            _part(voices, cells, name=iso(hour)) for hour, cells in sorted(tallies.hours.items())
        ),
        agreements=tuple(_agreements(voices, overall)),
        accounts=tuple(
            _account(voices, name, tally, tallies.advertisers[name])
            for name, tally in sorted(tallies.gross.items())
        ),
        all_accounts=_account(voices, "all", gross, overall),
        missing=tallies.counts["missing", -1],
        sessionless=tallies.counts["sessionless", -1],
        differing=differing,
        notes=prepared.notes,
    )
    found.check()
    return found


def _versions(prepared: Prepared, tallies: Tallies) -> Iterator[Version]:
    for number, version in enumerate(prepared.plan.versions):
        counts = tallies.counts
        yield Version(
            name=version.name,
            digest=version.digest,
            spec_digest=version.spec.digest,
            slice_columns=version.manifest.slice_columns,
            borderline=counts["borderline", number],
            withheld=counts["withheld", number],
            unseen_slice=counts["unseen_slice", number],
            changes=_named(tallies.changes, number, KINDS),
            causes=_named(tallies.causes, number, CAUSES),
        )


def _named(
    found: Mapping[tuple[int, str], Tally], number: int, names: Iterable[str]
) -> dict[str, Tally]:
    """Return what was found of a version, in the order of the names."""
    return {name: found[number, name] for name in names if (number, name) in found}


def _part(
    voices: tuple[str, ...], cells: Cells, columns: tuple[str, ...] = (), name: str = "all"
) -> Part:
    counts = {voice: counts_of(cells, number) for number, voice in enumerate(voices)}
    pairs = tuple(
        Pair(
            voices[one],
            voices[other],
            {name: difference(cells, metric, one, other) for name, metric in METRICS.items()},
        )
        for one, other in combinations(range(len(voices)), 2)
    )
    return Part(columns, name, counts, pairs)


def _agreements(voices: tuple[str, ...], cells: Cells) -> Iterator[Agreement]:
    for one, other in combinations(range(len(voices)), 2):
        clicks = crossed(cells, one, other)
        table = {a: {b: clicks.get((a, b), 0) for b in DECISIONS} for a in DECISIONS}
        yield Agreement(voices[one], voices[other], table)


def _account(voices: tuple[str, ...], name: str, gross: Tally, cells: Cells) -> Account:
    by = {
        voice: {
            word: total(t for outcome, t in cells.items() if outcome.decisions[number] == word)
            for word in DECISIONS
        }
        for number, voice in enumerate(voices)
    }
    return Account(name, gross, by)
