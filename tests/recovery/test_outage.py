"""From an outage of the live store over a replay to reconciled verdicts, as on-call types it."""

import json
from pathlib import Path

import pytest

from recovery.production import promote
from replay.span import iso, now_micros
from tests.lakes import make_lake
from tests.recovery.typed import FILE_SINK, GATES_OPEN, configured, typed
from tests.replay.live.services import CLICK, Service, service, until
from tests.servers import redis_server
from tests.versions import at_least

PRICE = int(CLICK["price_micros"])


def clicks(running: Service, name: str, count: int, user: str = "robot") -> list[tuple[str, str]]:
    """Send a user's clicks; return decision and reason of each."""
    found = [running.decide(f"{name}{n}", user_id=user) for n in range(count)]
    return [(each["decision"], each["reason"]) for each in found]


def test_an_outage_is_repaired_to_the_cent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = configured(make_lake(tmp_path / "lake"), GATES_OPEN + FILE_SINK)
    monkeypatch.setenv("REPLAY_HOME", str(lake.home))
    at_least(lake, "v1", 3)
    promote(lake, "v1", "test", "because", {}, now_micros())
    start = now_micros()
    patient = ("--deadline", "1000")  # ms: no slow machine makes a click late
    valid, invalid = ("valid", "scored"), ("invalid", "scored")
    with (
        redis_server() as redis,
        service(lake.home, "--redis", redis.url, "--workers", "2", *patient) as running,
    ):
        assert clicks(running, "before", 5) == [valid, valid, invalid, invalid, invalid]
        redis.stop()
        away = set(clicks(running, "during", 4) + clicks(running, "human", 2, "human"))
        assert away == {("undecided", "store_unavailable")}
        assert running.get("/readyz")[0] == 503
        redis.start()
        until(lambda: running.get("/readyz")[0] == 200, "the store is found again")
        until(lambda: all(running.get("/readyz")[0] == 200 for _ in range(9)), "by both workers")
        # What the store had counted is gone: the robot starts anew.
        assert clicks(running, "after", 4) == [valid, valid, invalid, invalid]
        assert running.stop() == 0

    replay = typed(capsys)
    span = ("--from", iso(start), "--to", iso(now_micros()))
    code, out, _ = replay("skew", *span)
    assert code == 0  # nothing differs that the flush does not explain
    assert "flush" in out

    code, out, err = replay("run", *span, "--model", "production", "--json")
    assert code == 0, err
    summary = json.loads(out)
    new_log = ("--override", "cold_start", "--reason", "the log began with the test")
    code, out, err = replay("verdicts", "publish", summary["run_id"], "--yes", *new_log)
    assert code == 0, out + err
    assert replay("verdicts", "reconcile")[0] == 0
    code, out, _ = replay(
        "sql",
        "SELECT click_id, adjustment_micros FROM verdicts WHERE decision = 'invalid' ORDER BY 1",
        "--json",
    )
    missed = ["after0", "after1", "during0", "during1", "during2", "during3"]
    assert json.loads(out) == [
        {"click_id": click_id, "adjustment_micros": -PRICE} for click_id in missed
    ]
