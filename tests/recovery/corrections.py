"""A small lake with a known outcome for every way that a correction can go, and what to look at.

Of six clicks of user u, a second apart, version `two` calls all but the first invalid, `three` all
but two, `four` all but three, and `none` none. Production said of them:

    click   u0      u1      u2        u3              u4          u5
    price   0.25    0.25    0.50      0               0.25        1.00
    said    valid   valid   invalid   valid           undecided   nothing
    of      adv1    adv1    adv1      adv2            adv2        adv2
"""

import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from replay.lake import Lake
from replay.span import Span
from tests.lakes import Row, add_rows, click, make_lake
from tests.oracles.ledger import Ledger
from tests.versions import HOUR, START, at_least, burst, logged, run

SPAN = Span(START, START + HOUR)
MODELS = ("two", "three", "four", "none")
SOON = START + 24 * HOUR
PRICES = (250_000, 250_000, 500_000, 0, 250_000, 1_000_000)
SAID = {"u0": "valid", "u1": "valid", "u2": "invalid", "u3": "valid", "u4": "undecided"}
# Click → (decision before, after, adjustment) of what publishing a run of `two` does first.
BY_TWO = {
    "u1": ("valid", "invalid", -250_000),
    "u3": ("valid", "invalid", 0),
    "u4": ("undecided", "invalid", -250_000),
    "u5": ("undecided", "invalid", -1_000_000),
}


def known_clicks() -> list[dict[str, Any]]:
    """Return the six clicks, after one of another user that warms the windows."""
    rows = burst(6)
    for number, row in enumerate(rows):
        advertiser = "adv1" if number < 3 else "adv2"
        campaign = f"{advertiser}-{'ab'[number % 2]}"
        row |= {
            "price_micros": PRICES[number],
            "advertiser_id": advertiser,
            "campaign_id": campaign,
        }
    return [click(START - 2 * HOUR, 0, "warm", user_id="w"), *rows]


def known_lake(folder: Path | None = None, said: Mapping[str, str] | None = None) -> Lake:
    """Make the lake, with the versions; `said` is what production decided."""
    home = Path(mkdtemp(prefix="known")) if folder is None else folder
    lake = make_lake(home / "lake")
    for k, name in ((2, "two"), (3, "three"), (4, "four"), (100, "none")):
        at_least(lake, name, k)
    rows = known_clicks()
    said = SAID if said is None else said
    decided = [logged(r, None, said[r["click_id"]]) for r in rows if r["click_id"] in said]
    if decided:
        add_rows(lake, "decisions", decided)
    add_rows(lake, "clicks", rows)
    return lake


def known_ledger() -> Ledger:
    """Return the oracle's ledger of the lake."""
    return Ledger(known_clicks(), SAID)


def copied(lake: Lake, folder: Path) -> Lake:
    """Copy a lake into a folder."""
    return Lake.open(Path(shutil.copytree(lake.home, folder / "lake", symlinks=True)))


def contents(lake: Lake) -> dict[str, str]:
    """Return every file and folder of a lake with its digest."""
    return dict(_contents(lake.home))


def _contents(home: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(home.rglob("*")):
        name = str(path.relative_to(home))
        yield name, sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def moves(rows: list[Row]) -> dict[str, tuple[str, str, int]]:
    """Return click → (decision before, after, adjustment); every click once."""
    found = {r["click_id"]: (r["previous"], r["decision"], r["adjustment_micros"]) for r in rows}
    assert len(found) == len(rows)
    return found


def effective(rows: list[Row], said: Mapping[str, str] = SAID) -> dict[str, str]:
    """Return click → decision now, by the ledger's rows in order."""
    return {**said, **{row["click_id"]: row["decision"] for row in rows}}


class Known:
    """The known lake with runs that were all made before anything was published."""

    def __init__(self) -> None:
        self.lake = known_lake()
        self.runs = {name: run(self.lake, name, SPAN) for name in MODELS}

    def copy(self, folder: Path) -> Lake:
        """Copy the lake and its runs."""
        return copied(self.lake, folder)

    def id(self, name: str) -> str:
        """Return a run's id, by its model."""
        return self.runs[name].manifest.run_id


@cache
def known() -> Known:
    """Return the lake and its runs, made once; copy it to publish in it."""
    return Known()
