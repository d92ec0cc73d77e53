"""The sample lake: 48 hours of clicks that end in an incident nobody has repaired yet.

It is the scenario `sample`. `v0` and `v1` were trained on the five days before the log begins. `v2`
was trained on the log itself while purchases made in the app had not landed, and it was made lean:
it has no features of addresses. So it takes nearly everybody who clicks in the app for a robot, and
does not see a burst of robots who share few addresses. It was promoted at 14:00 on the last day;
the log ends at 20:00.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import parse_time
from replay.tables import LOG_TABLES, TRUTH_TABLES, Table
from simulator.digest import digest_tables
from simulator.pointer import Pointer
from simulator.scenario import load_scenario
from simulator.write import simulate

EVERY_TABLE: tuple[Table, ...] = (*LOG_TABLES, *TRUTH_TABLES)
V2_PROMOTED = parse_time("2026-03-02T14:00", 0)
# Trained weights, and so probabilities, may differ in their last bits on another processor.
DIGESTED: Mapping[str, Sequence[str]] = {
    "decisions": ("click_id", "decision", "model_version"),
    "promotions": ("at", "model_version", "action"),
}


def build_sample(home: Path, pointer: Pointer) -> Lake:
    """Build the sample lake at `home`, which must not exist."""
    lake = Lake.create(home, "USD")
    simulate(lake, load_scenario("sample"), pointer)
    (home / ".lock").unlink(missing_ok=True)
    return lake


def digest_sample(home: Path) -> dict[str, str]:
    """Return the digest of each table's rows in a sample lake, but for what DIGESTED leaves out."""
    return digest_tables(Snapshot.take(Lake.open(home), tables=EVERY_TABLE), DIGESTED)
