"""The benchmark of the whole run, on a few clicks: equal decisions, and tables that add up."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest

from benchmarks.machine import read_machine
from benchmarks.run import peer
from benchmarks.run.floors import Floor, measure_floors, operations
from benchmarks.run.graph import graph
from benchmarks.run.growth import Grown, fit, forecast, growth_table
from benchmarks.run.lake import CANDIDATE, HOT_IP, Size, make_lake
from benchmarks.run.report import Results, Side, heading, markdown
from benchmarks.run.sides import Agreement, OtherDecisionsError, Peer, agree, run_ours
from benchmarks.run.stage_report import stage_table
from benchmarks.run.stages import NAMES, Stages, measure_stages
from benchmarks.timed import Timed
from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from scorer.decisions import BORDERLINE
from scorer.models.mlp import Mlp
from scorer.scoring import Scorer
from tests.scorer.models import features, module

SIZE = Size(4_000, 2, hot=300)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return make_lake(tmp_path_factory.mktemp("benchmark"), SIZE)


def test_the_graph_scores_as_the_network_does() -> None:
    made = module()
    assert isinstance(made, Mlp)
    facts, reals = features(2_000)
    facts[:, 0] = reals[:, 0] = 0
    session = onnxruntime.InferenceSession(graph(made))
    (p,) = session.run(["p"], {"facts": facts, "reals": reals})
    assert np.abs(p[:, 0] - Scorer(made).probabilities(facts, reals)).max() < 1e-6


@pytest.mark.soak
def test_both_find_the_same_changes(lake: Lake, tmp_path: Path) -> None:
    _, manifest = run_ours(lake, SIZE.span())
    other = Peer(lake, SIZE.span(), tmp_path)
    other.run()
    found = agree(lake, other.changes)
    changed = manifest.counts["changed"]
    assert changed / 2 < found.changes <= changed
    assert changed > 0.01 * manifest.counts["decided"]
    rows = pq.read_table(other.changes)
    assert set(rows["kind"].to_pylist()) == {"to_invalid", "to_valid"}
    sure = np.abs(rows["probability"].to_numpy() - rows["threshold"].to_numpy()) > 4 * BORDERLINE
    pq.write_table(rows.filter(np.arange(len(rows)) != np.argmax(sure)), other.changes)
    with pytest.raises(OtherDecisionsError, match="1 clicks"):
        agree(lake, other.changes)


def test_the_peer_has_our_borderline() -> None:
    assert np.float32(peer.BORDERLINE) == BORDERLINE


@pytest.mark.soak
def test_a_hot_address_has_its_clicks(lake: Lake) -> None:
    source = Snapshot.take(lake).source("clicks", SIZE.span(1))
    with connect() as connection:
        query = f"SELECT count(*), count(DISTINCT click_id) FROM {source} WHERE ip = '{HOT_IP}'"
        assert connection.sql(query).fetchall() == [(SIZE.hot, SIZE.hot)]


@pytest.mark.soak
def test_stages_and_floors_of_a_run(lake: Lake) -> None:
    found = measure_stages(lake.home, SIZE.span(), CANDIDATE)
    idle = {name for name, seconds in found.seconds.items() if seconds <= 0}
    assert (tuple(found.seconds), idle) == (NAMES, set())
    floors = measure_floors(lake, SIZE.span(), found.counts, CANDIDATE)
    assert floors.keys() < found.seconds.keys()
    lines = list(stage_table(found, floors))
    assert len(lines) == 3 + 2 + len(NAMES) + 1


def test_the_stage_table_has_shares_and_floors() -> None:
    stages = Stages(dict.fromkeys(NAMES, 1.0) | {"score": 5.0}, {"read": 1_000, "decided": 500})
    lines = list(stage_table(stages, {"score": Floor(2.0, "of this")}))
    share = f"{5 / (len(NAMES) + 4):.1%}"
    assert f"| score | 5.00 | {share} | 5,000,000 | 2.00 | 2.5 | of this |" in lines


def test_operations_of_the_products() -> None:
    made = module()
    assert isinstance(made, Mlp)
    assert operations(made) == 2 * (57 * 128 + 128 * 64 + 64)


def timed(*seconds: float) -> list[Timed]:
    return [Timed(0, each, each / 2, int(each * 2**20)) for each in seconds]


def test_the_report_has_medians_and_the_lead() -> None:
    sides = {"ours": Side("ours", timed(1, 3, 2), [1.0]), "peer": Side("peer", timed(7, 9, 8))}
    results = Results(4_000_000, 2_000_000, 50, Agreement(49, 1), sides)
    lines = list(markdown(results))
    peer_line = (
        "| peer | 8.00 s | 7.00 s | 9.00 s | 500,000 | 250,000 | 4.00 s | 9 MiB | 4.0 times |"
    )
    assert peer_line in lines
    assert "| ≥ 0.8 million clicks read/s | 2.00 million | yes |" in lines
    assert "| ≥ 4 times the peer | 4.0 times | yes |" in lines
    assert "  1 borderline clicks changed by one alone" in lines
    assert all("peer" not in line for line in _alone(results))
    assert any(line.startswith("- machine: ") for line in heading(read_machine()))


def _alone(results: Results) -> Iterator[str]:
    sides = {"ours": results.sides["ours"]}
    return markdown(Results(results.read, results.decided, results.changed, None, sides))


def grown(millions: float, seconds: float, mebibytes: int = 100) -> Grown:
    read = round(millions * 1e6)
    return Grown(f"{millions} million", read, read // 2, seconds, seconds, mebibytes * 2**20)


def test_a_line_through_what_was_measured() -> None:
    rows = [grown(1, 5), grown(10, 23, 110), grown(100, 203)]
    line = fit(rows)
    assert (round(line.fixed, 6), round(line.each * 1e6, 6)) == (3, 2)
    lines = list(forecast(rows))
    assert lines[0] == "Fitted: 3.00 s and 2.000 s for each million clicks read."
    assert lines[-2] == "- 1,000,000,000 clicks, by the line alone: 2,003 s (0.6 h)"
    table = list(growth_table(rows))
    assert table[-2].endswith("| 23.0 s | 434,783 | 23.0 s | 110 MiB | +10.0% |")


def test_one_size_alone_foretells_nothing() -> None:
    assert list(forecast([grown(1, 5)])) == ["One size alone: no line was fitted."]
