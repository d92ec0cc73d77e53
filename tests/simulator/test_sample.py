"""The committed sample lake: what its digests say, and a story that holds."""

import json
import runpy
from pathlib import Path

import pytest

from replay.features import stream
from replay.lake import Lake
from replay.production import Production
from replay.snapshot import Snapshot, connect
from replay.span import Span, iso
from replay.training import open_registry
from simulator.digest import digest_table, digest_tables
from simulator.production import logged_rows
from simulator.sample import EVERY_TABLE, V2_PROMOTED, digest_sample
from simulator.scenario import load_scenario
from simulator.write import simulate

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
DIGESTS = json.loads((SAMPLES / "digest.json").read_text())


@pytest.fixture(scope="module")
def sample() -> Snapshot:
    return Snapshot.take(Lake.open(SAMPLES / "lake"), tables=EVERY_TABLE)


def ask(snapshot: Snapshot, query: str) -> list[tuple[object, ...]]:
    with connect() as connection:
        snapshot.create_views(connection)
        return connection.execute(query).fetchall()


def test_the_lake_is_what_its_digests_say() -> None:
    assert digest_sample(SAMPLES / "lake") == DIGESTS


def test_the_scenario_still_makes_its_rows(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", "USD")
    simulate(lake, load_scenario("sample", {"production": None, "incidents": []}))
    made = digest_tables(Snapshot.take(lake, tables=EVERY_TABLE))
    made.pop("incident_truth")  # the sample's has the model's incident as well
    assert made == {name: DIGESTS[name] for name in made}
    assert {"clicks", "purchases", "profiles_user", "profiles_ip", "truth"} <= set(made)


def test_it_stays_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 4_000_000


def test_every_click_has_one_decision_by_the_version_of_its_hour(sample: Snapshot) -> None:
    production = Production.read(sample)
    assert (production.production(), production.previous()) == ("v2", "v1")
    rows = ask(
        sample,
        """
        SELECT model_version, count(*), count(DISTINCT click_id), epoch_us(min(ts)),
               epoch_us(max(ts)), count(*) FILTER ((probability >= threshold) !=
                                                   (decision = 'invalid'))
        FROM decisions JOIN (SELECT click_id FROM clicks) USING (click_id) GROUP BY 1
        """,
    )
    [(clicks,)] = ask(sample, "SELECT count(*) FROM clicks")
    assert sum(int(str(row[1])) for row in rows) == clicks
    for version, count, distinct, first, last, wrong in rows:
        assert count == distinct
        assert production.at(int(str(first))) == production.at(int(str(last))) == version
        assert wrong == 0


def test_a_version_decides_again_what_was_logged(sample: Snapshot) -> None:
    """The registry's v2 on recomputed features gives the log's decisions, features included."""
    version = open_registry(sample.lake).load("v2")
    span = Span(V2_PROMOTED, load_scenario("sample").span.end)
    columns = version.manifest.slice_columns
    again = [
        logged_rows(version, piece) for piece in stream(sample, version.spec, span, columns=columns)
    ]
    logged = {
        row[0]: row[1:]
        for row in ask(
            sample,
            "SELECT click_id, decision, facts, reals FROM decisions WHERE model_version = 'v2'",
        )
    }
    seen = 0
    for batch in again:
        for row in batch.select(["click_id", "decision", "facts", "reals"]).to_pylist():
            assert logged[row["click_id"]] == (row["decision"], row["facts"], row["reals"])
            seen += 1
    assert seen == len(logged) > 5000


def test_v2_hurts_people_in_the_app_and_misses_the_burst(sample: Snapshot) -> None:
    rows = ask(
        sample,
        """
        SELECT kind, device = 'mobile_app' AS app, count(*),
               count(*) FILTER (decision = 'invalid') / count(*)
        FROM decisions JOIN (FROM truth SELECT click_id, kind) USING (click_id)
        JOIN (FROM clicks SELECT click_id, device) USING (click_id)
        WHERE model_version = 'v2' GROUP BY 1, 2
        """,
    )
    shares = {(str(kind), bool(app)): float(str(share)) for kind, app, _, share in rows}
    assert shares["human", True] > 0.85
    assert shares["human", False] < 0.07
    assert shares["burst", False] < 0.04


def test_the_truth_says_when(sample: Snapshot) -> None:
    rows = ask(sample, "SELECT kind, epoch_us(from_ts) FROM incident_truth ORDER BY 2")
    times = [(kind, iso(int(str(at)))) for kind, at in rows]
    assert times == [
        ("bad_model", "2026-03-02T14:00:00Z"),
        ("robot_burst", "2026-03-02T15:00:00Z"),
    ]


def test_a_digest_of_chosen_columns_sees_no_other(sample: Snapshot) -> None:
    table = sample.pinned["decisions"].table
    assert digest_table(sample, table, ["click_id"]) != digest_table(sample, table, ["decision"])


@pytest.mark.soak
def test_a_rebuild_gives_the_same_rows() -> None:
    assert runpy.run_path(str(SAMPLES / "build.py"))["differences"]() == []
