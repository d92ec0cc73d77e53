"""The noise floor as people read it: pure functions of its figures."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from replay.changes import KINDS, Tally, total
from replay.floor_figures import Floor
from replay.formats import money, new_table
from replay.runs import RunManifest


def floor_report(
    manifest: RunManifest, changes: dict[str, Tally], floor: Floor, currency: str
) -> Iterator[RenderableType]:
    """Yield what a run's report says of the noise floor; `changes` are the run's by kind."""
    yield Text(f"\n{_sentence(manifest, changes, floor, currency)}")
    for part in (_kinds(changes, floor, currency), _sets(manifest, floor, currency)):
        if part.row_count:
            yield Text("")
            yield part


def floor_notes(floor: Floor) -> list[str]:
    """Say which clicks have no noise floor, and which are left out of it."""
    found = [
        f"noise floor: none for the {clicks:,} clicks of {name!r}, which is not stored"
        for name, clicks in floor.not_stored.items()
    ]
    if floor.unknown:
        found.append(
            f"noise floor: none for {floor.unknown:,} clicks: production logged no version, and "
            "the promotions know of none that stood then"
        )
    if floor.undecided:
        found.append(
            f"noise floor: production's own version could not score {floor.undecided:,} clicks"
        )
    if floor.withheld:
        found.append(
            f"noise floor: {floor.withheld:,} borderline clicks would have been changes of "
            "production's own version and are not"
        )
    return found


def _sentence(manifest: RunManifest, changes: dict[str, Tally], floor: Floor, currency: str) -> str:
    own, beyond = total(floor.own.values()), total(floor.beyond.values())
    said = (
        f"Noise floor: of {floor.compared:,} clicks, production's own version decides "
        f"{own.clicks:,} otherwise than it did ({money(own.micros, currency, signed=True)})."
    )
    if changed := total(changes.values()).clicks:
        said += (
            f" Of the changes by {manifest.model_version}, {beyond.clicks:,} "
            f"({beyond.clicks / changed:.2%}) are beyond it "
            f"({money(beyond.micros, currency, signed=True)})."
        )
    return said


def _kinds(changes: dict[str, Tally], floor: Floor, currency: str) -> Table:
    made = new_table(
        "what changes", ">replayed", ">money", ">production's own", ">money", ">beyond", ">money"
    )
    for kind in KINDS:
        row = (changes[kind], floor.own[kind], floor.beyond[kind])
        if any(tally.clicks for tally in row):
            made.add_row(kind, *_cells(row, currency))
    return made


def _sets(manifest: RunManifest, floor: Floor, currency: str) -> Table:
    """Tell the clicks in both sets apart."""
    version = manifest.model_version
    made = new_table("changed by", "meaning", ">clicks", ">money")
    for name, meaning, tallies in (
        ("both, alike", "skew or an outage, whatever the model", floor.alike),
        ("both, otherwise", f"moved anyway, and by {version} elsewhere", floor.otherwise),
        (f"{version} alone", f"what {version} does", floor.only_run),
        ("production's own alone", f"skew that does not move {version}", floor.only_own),
        (f"{version}, no floor", "production's own version can't be asked", floor.without),
    ):
        tally = total(tallies.values())
        if tally.clicks:
            made.add_row(name, meaning, *_cells((tally,), currency))
    return made


def _cells(tallies: tuple[Tally, ...], currency: str) -> Iterator[str]:
    for tally in tallies:
        yield f"{tally.clicks:,}"
        yield money(tally.micros, currency, signed=True)
