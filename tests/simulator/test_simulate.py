"""A simulated lake: the same rows however it is made, in log order, with the truth apart."""

from pathlib import Path

import numpy as np
import pytest

from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.tables import LOG_TABLES, TRUTH_TABLES
from simulator.digest import digest_tables
from simulator.errors import BadScenario, DaysTaken
from simulator.scenario import Scenario, load_scenario
from simulator.write import simulate

SMALL = {"clicks_per_day": 3000, "seed": 11}
EVERYTHING = (*LOG_TABLES, *TRUTH_TABLES)


def small(**changes: object) -> Scenario:
    return load_scenario("burst", {**SMALL, **changes})


def make(
    home: Path, scenario: Scenario, chunk_hours: int | None = None, threads: int = 2
) -> Snapshot:
    lake = Lake.create(home, "USD")
    simulate(lake, scenario, chunk_hours=chunk_hours, threads=threads)
    return Snapshot.take(lake, tables=EVERYTHING)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return make(tmp_path_factory.mktemp("simulated") / "lake", small())


def ask(snapshot: Snapshot, query: str) -> list[tuple[object, ...]]:
    with connect() as connection:
        snapshot.create_views(connection)
        return connection.execute(query).fetchall()


@pytest.mark.parametrize(("chunk_hours", "threads"), [(1, 1), (5, 2), (24, 1)])
def test_chunks_and_threads_change_no_row(
    lake: Snapshot, tmp_path: Path, chunk_hours: int, threads: int
) -> None:
    again = make(tmp_path / "lake", small(), chunk_hours, threads)
    assert digest_tables(again) == digest_tables(lake)


def test_another_seed_makes_other_rows(lake: Snapshot, tmp_path: Path) -> None:
    other = digest_tables(make(tmp_path / "lake", small(seed=12)))
    ours = digest_tables(lake)
    assert all(other[name] != ours[name] for name in ("clicks", "purchases", "truth"))


def test_another_robot_leaves_the_people_as_they_are(lake: Snapshot, tmp_path: Path) -> None:
    fewer = make(tmp_path / "lake", small(robots=[{"kind": "background", "share": 0.07}]))
    query = "SELECT click_id, epoch_us(ts) FROM truth WHERE kind = 'human' ORDER BY ALL"
    assert ask(fewer, query) == ask(lake, query)


def test_click_ids_are_unique_and_sequence_numbers_follow_the_rule(lake: Snapshot) -> None:
    rows = ask(
        lake,
        "SELECT click_id, epoch_us(ts), seq FROM clicks ORDER BY ts, seq, click_id",
    )
    assert len({row[0] for row in rows}) == len(rows)
    last = 0
    for _, ts, seq in rows:
        last = max(last + 1, int(str(ts)))
        assert seq == last


def test_robots_share_whole_seconds(lake: Snapshot) -> None:
    [(ties,)] = ask(lake, "SELECT count(*) - count(DISTINCT ts) FROM clicks")
    assert int(str(ties)) > 20


def test_every_click_has_one_truth_and_nothing_else_does(lake: Snapshot) -> None:
    [(unmatched,)] = ask(
        lake, "SELECT count(*) FROM clicks FULL JOIN truth USING (click_id, ts) WHERE actor IS NULL"
    )
    assert unmatched == 0
    kinds = ask(lake, "SELECT DISTINCT kind, is_robot FROM truth ORDER BY kind")
    assert kinds == [("background", True), ("burst", True), ("human", False)]
    incident = ask(lake, "SELECT kind, epoch_us(to_ts) - epoch_us(from_ts) FROM incident_truth")
    assert incident == [("robot_burst", 5 * 3_600_000_000)]


def test_a_flash_sale_is_in_the_truth_as_people_s(tmp_path: Path) -> None:
    made = make(tmp_path / "lake", load_scenario("flash_sale", SMALL))
    [(kind,)] = ask(made, "SELECT kind FROM incident_truth")
    assert kind == "human_flash_sale"
    query = """
        SELECT count(*) FILTER (is_robot), count(*) FROM truth
        WHERE ts >= (SELECT from_ts FROM incident_truth) {}
    """
    robots, clicks = (int(str(n)) for n in ask(made, query.format(""))[0])
    assert robots < clicks / 10
    before = "AND ts < (SELECT from_ts + INTERVAL 30 MINUTE FROM incident_truth)"
    [(_, peak)] = ask(made, query.format(before))
    assert int(str(peak)) > 3 * SMALL["clicks_per_day"] / 48


def test_a_log_of_a_share_of_the_clicks_is_a_sample_of_them_all(
    lake: Snapshot, tmp_path: Path
) -> None:
    thin = ask(
        make(tmp_path / "lake", small(logged=0.1)), "SELECT click_id, epoch_us(ts), kind FROM truth"
    )
    whole = set(ask(lake, "SELECT click_id, epoch_us(ts), kind FROM truth"))
    assert set(thin) < whole
    assert abs(len(thin) / len(whole) - 0.1) < 5 * (0.09 / len(whole)) ** 0.5


def test_the_truth_cannot_be_reached_from_what_readers_pin(lake: Snapshot) -> None:
    seen = Snapshot.take(lake.lake)
    assert not {table.name for table in TRUTH_TABLES} & set(seen.pinned)
    columns = {name for pin in seen.pinned.values() for name in pin.schema.names}
    assert not {"is_robot", "actor"} & columns


def test_the_burst_drains_few_campaigns_from_data_centres(lake: Snapshot) -> None:
    [(campaigns, hosts, first, last)] = ask(
        lake,
        """
        SELECT count(DISTINCT campaign_id), count(DISTINCT ip), min(clicks.ts)::VARCHAR,
               max(clicks.ts)::VARCHAR
        FROM clicks JOIN truth USING (click_id) WHERE kind = 'burst'
        """,
    )
    assert campaigns == 4
    assert int(str(hosts)) > 1
    assert "2026-03-02 14:30" <= str(first) < str(last) < "2026-03-02 19:30"
    [(known,)] = ask(
        lake,
        """
        SELECT count(*) FROM clicks JOIN truth USING (click_id)
        LEFT JOIN profiles_ip ON ip = key WHERE kind = 'burst' AND is_datacenter IS NOT TRUE
        """,
    )
    assert known == 0


def test_purchases_are_people_s_and_lie_in_the_span(lake: Snapshot) -> None:
    [(named, of_robots, too_early, total)] = ask(
        lake,
        """
        SELECT count(p.click_id), count(*) FILTER (is_robot), count(*) FILTER (p.ts <= c.ts),
               count(*) FROM purchases p
        LEFT JOIN clicks c USING (click_id) LEFT JOIN truth USING (click_id)
        """,
    )
    assert 0 < int(str(named)) < int(str(total))
    assert int(str(of_robots)) <= 2
    assert too_early == 0
    [(nameless,)] = ask(
        lake,
        "SELECT count(*) FROM purchases WHERE click_id IS NULL "
        "AND (user_id IS NULL OR advertiser_id IS NULL)",
    )
    assert nameless == 0


def test_some_clicks_show_no_user_and_none_of_them_is_logged_in(lake: Snapshot) -> None:
    [(hidden, wrong)] = ask(
        lake,
        "SELECT count(*) FILTER (user_id IS NULL), "
        "count(*) FILTER (user_id IS NULL AND logged_in) FROM clicks",
    )
    assert int(str(hidden)) > 0
    assert wrong == 0


def test_days_that_a_lake_has_are_refused_and_nothing_is_written(lake: Snapshot) -> None:
    with pytest.raises(DaysTaken, match=r"already has .* clicks in \[2026-03-01"):
        simulate(lake.lake, small(seed=99, days=1, robots=[]))
    assert Snapshot.take(lake.lake, tables=EVERYTHING).versions == lake.versions


def test_later_days_can_follow(tmp_path: Path) -> None:
    first = make(tmp_path / "lake", small(days=1, robots=[], clicks_per_day=500))
    simulate(first.lake, small(days=1, robots=[], clicks_per_day=500, start="2026-03-02T00:00Z"))
    [(clicks, ids)] = ask(
        Snapshot.take(first.lake), "SELECT count(*), count(DISTINCT click_id) FROM clicks"
    )
    assert clicks == ids


def test_an_interrupted_simulation_goes_on(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole", small(), chunk_hours=12)

    class Interrupted(Exception):
        pass

    def stop(_: int) -> None:
        raise Interrupted

    half = Lake.create(tmp_path / "half", "USD")
    with pytest.raises(Interrupted):
        simulate(half, small(), chunk_hours=12, advance=stop)
    simulate(half, small(), chunk_hours=12)
    assert digest_tables(Snapshot.take(half, tables=EVERYTHING)) == digest_tables(whole)


def test_robots_after_the_end_are_refused() -> None:
    with pytest.raises(BadScenario, match=r"robot 2 \(burst\): begins_hour 38.5 is not before"):
        small(days=1)


def test_spend_is_in_whole_micros_and_heavy_tailed(lake: Snapshot) -> None:
    prices = np.array([int(str(p)) for (p,) in ask(lake, "SELECT price_micros FROM clicks")])
    assert (prices >= 20_000).all()
    assert np.quantile(prices, 0.99) > 2 * np.median(prices)
