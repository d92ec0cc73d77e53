"""The robot that reads its bills, against a version that was trained and put into production."""

from pathlib import Path

from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from simulator.digest import digest_tables
from simulator.scenario import load_scenario
from simulator.write import simulate
from tests.simulator.production import EVERYTHING, POINTER

DELAY = 3
CHANGES = {
    "clicks_per_day": 10_000,
    "days": 1,
    "billing_delay_hours": DELAY,
    "production": {"history_days": 1, "architecture": "logistic"},
}
SHARES = """
SELECT hour(truth.ts) >= 2 * {delay}, avg((decision = 'invalid')::INT), count(*)
FROM decisions JOIN truth USING (click_id) WHERE kind = 'adaptive' GROUP BY 1 ORDER BY 1
"""


def test_production_catches_it_once(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", "USD")
    simulate(lake, load_scenario("adaptive", CHANGES), POINTER)
    snapshot = Snapshot.take(lake, tables=EVERYTHING)
    with connect() as connection:
        snapshot.create_views(connection)
        connection.execute("SET TimeZone='UTC'")
        before, after = connection.execute(SHARES.format(delay=DELAY)).fetchall()
    tolerance = 0.1  # the robot's own: it changes above, and means to stay under
    assert before[1] > 2 * tolerance
    assert after[1] < tolerance
    assert after[2] > 100


def test_what_it_reads_depends_neither_on_chunks_nor_on_threads(tmp_path: Path) -> None:
    scenario = load_scenario("adaptive", {**CHANGES, "clicks_per_day": 2000})
    digests = []
    for chunk_hours, threads in ((None, 2), (1, 1), (2, 2)):
        lake = Lake.create(tmp_path / f"{chunk_hours}", "USD")
        simulate(lake, scenario, POINTER, chunk_hours=chunk_hours, threads=threads)
        digests.append(digest_tables(Snapshot.take(lake, tables=EVERYTHING)))
    assert digests[0] == digests[1] == digests[2]
