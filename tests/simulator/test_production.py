"""Production in a simulated lake: what it logged is what a live service logs in each incident."""

from pathlib import Path

import pytest

from replay.lake import Lake
from replay.production import read_production
from replay.skew.comparison import measure, prepare
from replay.snapshot import Snapshot
from replay.training import open_registry
from scorer.slices import slice_key
from simulator.columns import DEVICES
from simulator.digest import digest_tables
from simulator.fault import Incident
from simulator.scenario import Scenario
from simulator.write import simulate
from tests.simulator.production import EVERYTHING, HOUR, POINTER, ask, furnished, make, small
from tests.versions import ignore

# What `replay skew` finds: it knows nothing of incidents, and judges by the log alone.
SKEW = {
    "bad_model": set(),
    "threshold_mistyped": set(),
    "clock_step": set(),
    "service_down": {"unstamped"},
    "counters_flushed": {"flush"},
    "counters_stale": {"flush"},
    "log_late": {"late"},
    "log_twice": {"unexplained"},
}


def digests(lake: Lake) -> dict[str, str]:
    return digest_tables(Snapshot.take(lake, tables=EVERYTHING))


def incident(scenario: Scenario) -> Incident:
    [only] = scenario.timeline
    return only


@pytest.mark.parametrize(("name", "reasons"), SKEW.items())
def test_skew_finds_why_features_differ(tmp_path: Path, name: str, reasons: set[str]) -> None:
    scenario = small(name)
    found = measure(prepare(make(tmp_path / "lake", scenario), scenario.span), 0, ignore, None)
    assert found.compared > 5000
    assert {reason.name for reason in found.reasons if reason.clicks} == reasons


def test_without_an_incident_production_decides_as_it_should(tmp_path: Path) -> None:
    lake = make(tmp_path / "lake", small("service_down", incidents=[]))
    [(clicks, right, laid)] = ask(
        lake,
        "SELECT count(*), count(*) FILTER (d.decision = t.decision), count(t.incident_id) "
        "FROM clicks JOIN decisions d USING (click_id) JOIN decision_truth t USING (click_id)",
    )
    [(total, invalid)] = ask(
        lake, "SELECT count(*), count(*) FILTER (decision = 'invalid') FROM decisions"
    )
    assert clicks == right == total
    assert int(str(invalid)) > 100
    assert laid == 0


@pytest.mark.parametrize(
    "name",
    [
        "log_late",
        "clock_step",
        pytest.param("log_twice", marks=pytest.mark.soak),
        pytest.param("counters_stale", marks=pytest.mark.soak),
    ],
)
def test_rows_depend_neither_on_chunks_nor_on_threads(tmp_path: Path, name: str) -> None:
    scenario = small(name, clicks_per_day=500)
    by_itself = digests(make(tmp_path / "a", scenario))
    assert digests(make(tmp_path / "b", scenario, chunk_hours=5, threads=1)) == by_itself


def test_an_interrupted_production_goes_on(tmp_path: Path) -> None:
    scenario = small("bad_model", clicks_per_day=1000)
    whole = make(tmp_path / "whole", scenario)

    class Interrupted(Exception):
        pass

    done = 0

    def stop(clicks: int) -> None:
        nonlocal done
        done += clicks
        if done > 2500:
            raise Interrupted

    half = furnished(tmp_path / "half")
    with pytest.raises(Interrupted):
        simulate(half, scenario, POINTER, advance=stop)
    assert read_production(half).production() == "v2"
    simulate(half, scenario, POINTER)
    assert digests(half) == digests(whole)


def test_a_store_that_is_away_leaves_clicks_undecided(tmp_path: Path) -> None:
    scenario = small("service_down")
    lake, away = make(tmp_path / "lake", scenario), incident(scenario).span
    [(first, last, clicks, bare)] = ask(
        lake,
        """
        SELECT epoch_us(min(ts)), epoch_us(max(ts)), count(*),
          count(*) FILTER (model_version IS NULL AND probability IS NULL AND facts IS NULL
            AND source = 'unstamped' AND store_epoch IS NULL AND reason = 'store_unavailable')
        FROM decisions JOIN (SELECT click_id, source, store_epoch FROM clicks) USING (click_id)
        WHERE decision = 'undecided'
        """,
    )
    [(inside,)] = ask(
        lake,
        f"SELECT count(*) FROM clicks WHERE epoch_us(ts) >= {away.start} AND epoch_us(ts) < "
        f"{away.end}",
    )
    assert away.start <= int(str(first)) < int(str(last)) < away.end
    assert bare == clicks == inside


@pytest.mark.parametrize("name", ["bad_model", "labels_missing", "threshold_mistyped"])
def test_a_wrong_version_is_promoted_and_rolled_back(tmp_path: Path, name: str) -> None:
    scenario = small(name)
    lake, span = make(tmp_path / "lake", scenario), incident(scenario).span
    history = [(row.at, row.model_version, row.action) for row in read_production(lake).history]
    assert history == [
        (scenario.span.start, "v1", "promote"),
        (span.start, "v2", "promote"),
        (span.end, "v1", "rollback"),
    ]
    [(first, last)] = ask(
        lake,
        "SELECT epoch_us(min(ts)), epoch_us(max(ts)) FROM decisions WHERE model_version = 'v2'",
    )
    assert span.start <= int(str(first)) < int(str(last)) < span.end


def test_a_mistyped_threshold_is_that_of_one_slice(tmp_path: Path) -> None:
    lake = make(tmp_path / "lake", small("threshold_mistyped", clicks_per_day=1000))
    right, wrong = (open_registry(lake).load(name) for name in ("v1", "v2"))
    keys = [slice_key({"device": d, "logged_in": b}) for d in DEVICES for b in (False, True)]
    differ = {
        key: wrong.calibration.threshold(key)
        for key in keys
        if wrong.calibration.threshold(key) != right.calibration.threshold(key)
    }
    assert differ == {slice_key({"device": "mobile_web", "logged_in": False}): 0.05}
    assert wrong.weights_digest == right.weights_digest


def test_nothing_in_the_log_names_the_incident(tmp_path: Path) -> None:
    lake = make(tmp_path / "lake", small("bad_model"))
    [(promotions,)] = ask(lake, 'SELECT string_agg("by" || reason || metrics) FROM promotions')
    manifest = open_registry(lake).manifest("v2").model_dump_json()
    assert "bad" not in str(promotions) + manifest


def test_purchases_that_were_missing_land_after_the_training(tmp_path: Path) -> None:
    scenario = small("labels_missing")
    lake = make(tmp_path / "lake", scenario)
    usual = make(tmp_path / "usual", small("labels_missing", incidents=[]))
    assert digests(lake)["purchases"] == digests(usual)["purchases"]
    end = incident(scenario).trained_at
    seen = open_registry(lake).manifest("v2").training
    assert seen is not None
    then = Snapshot.at_versions(lake, seen.table_versions)
    window = f"epoch_us(p.ts) >= {end - 24 * HOUR} AND epoch_us(p.ts) < {end}"
    query = (
        "SELECT device, count(*) FROM {purchases} p JOIN clicks USING (click_id) "
        f"WHERE {window} GROUP BY 1"
    )
    before, after = (
        {
            str(device): int(str(count))
            for device, count in ask(lake, query.format(purchases=source))
        }
        for source in (then.source("purchases"), "purchases")
    )
    assert "mobile_app" not in before
    assert after.pop("mobile_app") > 2
    assert before == after


def test_a_late_log_is_imported_hours_later_and_was_never_decided(tmp_path: Path) -> None:
    lake = make(tmp_path / "lake", small("log_late"))
    rows = ask(
        lake,
        """
        SELECT source, count(*), count(d.click_id), epoch_us(min(ingested_at - c.ts)) / 3.6e9
        FROM clicks c LEFT JOIN decisions d USING (click_id) GROUP BY 1 ORDER BY 1
        """,
    )
    (source, late, decided, hours), (live, _, _, _) = rows
    assert (source, live, decided) == ("import", "live", 0)
    assert int(str(late)) > 200
    assert float(str(hours)) >= 3
    [(begun,)] = ask(lake, "SELECT epoch_us(min(ts)) FROM clicks WHERE source = 'import'")
    delta = lake.delta("clicks")
    assert delta is not None
    landed = Snapshot.at_versions(lake, {"clicks": delta.version() - 1})
    assert landed.log_span() is not None
    assert int(str(begun)) < landed.log_span().end  # type: ignore[union-attr]


def test_a_clock_that_was_ahead_stops_time_when_it_is_set_right(tmp_path: Path) -> None:
    scenario = small("clock_step")
    lake, step = make(tmp_path / "lake", scenario), incident(scenario)
    [(most, at)] = ask(
        lake, "SELECT count(*), epoch_us(ts) FROM clicks GROUP BY ts ORDER BY count(*) DESC LIMIT 1"
    )
    last = step.span.end + step.fault.clock
    assert int(str(most)) > 100
    assert last - 60_000_000 < int(str(at)) < last
    [(back,)] = ask(
        lake,
        "SELECT count(*) FROM (SELECT ts < lag(ts) OVER (ORDER BY seq) AS b FROM clicks) WHERE b",
    )
    assert back == 0
