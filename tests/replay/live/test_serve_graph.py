"""`replay serve` with a version that was imported: a graph in ONNX decides live clicks."""

from pathlib import Path

import pytest

from recovery.production import promote
from replay.model_import import Request, import_version
from replay.span import now_micros
from scorer.models.logistic import Logistic
from scorer.scoring import Scorer
from tests.lakes import make_lake
from tests.replay.live.services import SLOW, service
from tests.scorer.foreign.graphs import exported
from tests.servers import redis_server
from tests.versions import USER, at_least, probability


def test_an_imported_version_decides_live_clicks(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "lake")
    original = at_least(lake, "b", 2)
    assert isinstance(original.scorer, Scorer)
    module = original.scorer._modules["cpu"]
    assert isinstance(module, Logistic)
    graph, thresholds = tmp_path / "m.onnx", tmp_path / "t.toml"
    graph.write_bytes(exported(module, USER).SerializeToString())
    thresholds.write_text("overall = 0.5\n")
    import_version(lake, Request(graph, USER, thresholds, "x"))
    promote(lake, "x", "test", "because", {}, now_micros())
    spool = str(tmp_path / "spool")
    with (
        redis_server() as redis,
        service(lake.home, "--spool", spool, "--redis", redis.url, "--workers", "1", *SLOW) as made,
    ):
        found = [made.decide(f"c{n}") for n in range(3)]
    assert [each["decision"] for each in found] == ["valid", "invalid", "invalid"]
    assert {each["model_version"] for each in found} == {"x"}
    expected = [probability(original, count) for count in (1, 2, 3)]
    assert [each["probability"] for each in found] == pytest.approx(expected, abs=1e-6)
