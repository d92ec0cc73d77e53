"""`replay serve` where something is missing, or wrong from the start."""

import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from recovery.production import promote
from replay.cli import main
from replay.span import now_micros
from tests.lakes import make_lake
from tests.replay.live.services import SLOW, Service, service, until
from tests.servers import redis_server
from tests.versions import at_least

Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Return the one line of a service that can't start."""

    def run(home: Path, *options: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["serve", "--home", str(home), "--port", "0", *options])
        assert ended.value.code == 2
        said = capsys.readouterr()
        assert said.out == ""
        (line,) = [line for line in said.err.splitlines() if "no Redis is configured" not in line]
        return line

    return run


def test_what_cannot_be_served_is_told_in_a_line(tmp_path: Path, refused: Refused) -> None:
    home = make_lake(tmp_path / "lake").home
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        spool = ("--spool", str(tmp_path / "spool"))
        assert "choose another with --port" in refused(home, "--port", port, *spool)
    assert f"belongs to the lake {home}" in refused(make_lake(tmp_path / "b").home, *spool)
    assert "--host nowhere.invalid" in refused(home, "--host", "nowhere.invalid")
    assert "needs a Redis server that they share" in refused(home, "--workers", "2")
    assert "is no lake" in refused(tmp_path)
    (tmp_path / "file").touch()
    assert "cannot be written" in refused(home, "--spool", str(tmp_path / "file"))


def test_a_url_is_taken_from_option_environment_or_lake_and_never_shown(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_lake(tmp_path / "lake").home
    for url in ("http://:s3cret@host", "s3cret", "redis://:s3cret@host:port"):
        line = refused(home, "--redis", url)
        assert "write it as redis://host:6379/0" in line
        assert "s3cret" not in line
    (home / "replay.toml").write_text('currency = "USD"\n[serve]\nredis = "what"\n')
    assert "the Redis URL of replay.toml" in refused(home)
    monkeypatch.setenv("REPLAY_REDIS", "what")
    assert "the Redis URL of REPLAY_REDIS" in refused(home)
    assert "the Redis URL of --redis" in refused(home, "--redis", "what")


def test_a_server_that_evicts_counters_is_refused(tmp_path: Path, refused: Refused) -> None:
    home = make_lake(tmp_path).home
    with redis_server("--maxmemory-policy", "allkeys-lru") as redis:
        assert "set maxmemory-policy noeviction" in refused(home, "--redis", redis.url)


def missing(running: Service) -> str:
    return running.get("/readyz")[1]


def test_a_service_starts_without_anything_and_recovers_by_itself(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "lake")
    at_least(lake, "v1", 2)
    with redis_server() as redis:
        url = redis.url
        redis.stop()
        (redis.folder / "redis.sock").unlink(missing_ok=True)
        with service(lake.home, "--redis", url, *SLOW, ready=False) as running:
            until(lambda: "no model is in production" in missing(running), "what is missing")
            assert "live store" in missing(running)
            assert running.decide("a")["reason"] == "store_unavailable"
            server = subprocess.Popen(
                [
                    "redis-server",
                    "--port",
                    "0",
                    "--unixsocket",
                    url.removeprefix("unix://"),
                    "--save",
                    "",
                ],
                stdout=subprocess.DEVNULL,
            )
            try:
                until(lambda: "live store" not in missing(running), "the store is found")
                until(lambda: running.decide("b")["reason"] == "no_model", "the store is used")
                promote(lake, "v1", "test", "because", {}, now_micros())
                until(lambda: running.get("/readyz")[0] == 200, "ready")
                assert running.decide("c")["reason"] == "scored"
            finally:
                server.kill()
                server.wait()
            until(lambda: running.decide("d")["reason"] == "store_unavailable", "the store is away")
            assert running.stop() == 0


def test_without_redis_it_says_so_and_ends_with_its_supervisor(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    at_least(lake, "v1", 2)
    promote(lake, "v1", "test", "because", {}, now_micros())
    with service(lake.home, *SLOW) as running:
        assert running.has_said("no Redis is configured")
        found = [running.decide(f"c{n}")["decision"] for n in range(2)]
        assert found == ["valid", "invalid"]
        children = [
            *running.processes("replay.live.worker"),
            *running.processes("replay.live.keeper"),
        ]
        assert len(children) == 2
        running.stop(signal.SIGKILL)
        until(lambda: not any(lives(pid) for pid in children), "the children end")


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
