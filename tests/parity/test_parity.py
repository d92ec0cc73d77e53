"""What the live service logged, the replay computes from the log: equal, with no exception.

Three days of simulated traffic go through `replay serve`, from several clients to several workers
on one Redis; then `replay features` reads the log that came of it.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import click
import pytest

from replay.lake import Lake
from replay.snapshot import Snapshot, connect, quoted
from replay.span import iso, parse_time
from scorer.spec import Spec, parse_spec
from tests.lakes import make_lake
from tests.parity.service import Sent, send, serving
from tests.parity.traffic import DEVICES, LENGTH, SECOND, START, clicks, requests
from tests.servers import redis_server
from tests.versions import at_least

SPEC: Spec = parse_spec(
    {
        "counts": [
            {"entity": entity, "windows": ["1m@1s", "10m@10s", "1h@1m", "24h@15m"]}
            for entity in ("user_id", "session_id", "ip", "ip, user_agent")
        ],
        "distincts": [
            {"entity": "ip", "member": "user_id", "windows": ["1h@1m", "24h@15m"]},
            {"entity": "ip", "member": "session_id", "windows": ["1m@1s", "24h@15m"]},
            {"entity": "user_id", "member": "user_agent", "windows": ["24h@24h"]},
        ],
        "gaps": [
            {"entity": "user_id"},
            {"entity": "session_id", "cap": "10m"},
            {"entity": "ip"},
        ],
        "flags": {"logged_in": True, "devices": list(DEVICES[:4])},
        "time": {"zone": "America/New_York"},
        "profiles": [
            {"table": "user", "column": "account_age_days", "default": 0.5},
            {"table": "ip", "column": "is_datacenter", "default": False},
        ],
    },
    "parity",
)
CLICKS, MANY = 100_000, 10_000_000
COMPARED = ("ts", "seq", *SPEC.names)


def replay(*arguments: str) -> str:
    """Run a command; return its standard output, and fail unless its exit code is 0."""
    done = subprocess.run(
        [sys.executable, "-m", "replay.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def furnished(home: Path) -> Lake:
    """Make a lake with a version in production, and profiles that change at the times of clicks."""
    some = list(islice(clicks(100_000), 0, None, 20))
    users = {(c["user_id"], c["time"]) for c in some if c["user_id"]}
    ips = {(c["ip"], c["time"]) for c in some if c["ip"]}
    lake = make_lake(
        home,
        profiles_user=[
            {"key": key, "valid_from": time, "account_age_days": (time // SECOND) % 9973 / 7}
            for key, time in users
        ],
        profiles_ip=[
            {"key": key, "valid_from": time, "is_datacenter": time % 2 == 1} for key, time in ips
        ],
        promotions=[
            {
                "at": START,
                "model_version": "v1",
                "action": "promote",
                "by": "test",
                "reason": "parity",
                "metrics": "{}",
            }
        ],
    )
    at_least(lake, "v1", 5, spec=SPEC)
    return lake


@contextmanager
def service(lake: Lake) -> Iterator[str]:
    """Run two workers on a Redis of their own."""
    with redis_server() as server:
        options = ["--workers", "2", "--redis", server.url, "--simulated-time"]
        with serving(lake.home, *options, "--deadline", "60000") as url:
            yield url


def check(lake: Lake, sent: Sent, count: int) -> None:
    """Hold the log against the replay, and against what the clients were told."""
    assert sent.reasons == {"scored": count}
    assert sent.retried > count // 50
    features = lake.home / "features.parquet"
    span = ("--home", str(lake.home), "--from", iso(START), "--to", iso(START + LENGTH))
    replay("features", *span, "--model", "v1", "--out", str(features))
    assert differing(lake, features) == {"clicks": count, **dict.fromkeys(COMPARED, 0)}
    if sent.keep:
        assert stamps(lake) == {
            click_id: (parse_time(ts, 0), seq, decision)
            for click_id, (ts, seq, decision) in sent.stamps.items()
        }
    skew = json.loads(replay("skew", *span, "--json"))
    assert (skew["clicks"], skew["compared"], skew["equal"]) == (count, count, count)
    assert (skew["different"], skew["outside"], skew["flushes"]) == (0, 0, [])


def differing(lake: Lake, features: Path) -> dict[str, int]:
    """Return how many clicks there are, and how many differ in their stamp and each feature."""
    logged = [("facts", SPEC.facts), ("reals", SPEC.reals)]
    pairs = {
        **{stamp: f"d.{stamp} IS DISTINCT FROM f.{stamp}" for stamp in ("ts", "seq")},
        **{
            name: f'd.{kind}[{n}] IS DISTINCT FROM f."{name}"'
            for kind, names in logged
            for n, name in enumerate(names, 1)
        },
    }
    counts = ", ".join(f'count(*) FILTER ({pair}) AS "{name}"' for name, pair in pairs.items())
    source = Snapshot.take(lake).source("decisions")
    with connect(memory_limit="4GB") as connection:
        found = connection.sql(
            f"SELECT count(*) AS clicks, {counts} FROM {source} d "
            f"FULL JOIN read_parquet({quoted(str(features))}) f USING (click_id)"
        )
        return dict(zip(found.columns, found.fetchall()[0], strict=True))


def stamps(lake: Lake) -> dict[str, tuple[int, int, str]]:
    """Return click_id → (ts, seq, decision) of the log."""
    source = Snapshot.take(lake).source("decisions")
    with connect() as connection:
        rows = connection.sql(f"SELECT click_id, epoch_us(ts), seq, decision FROM {source}")
        return {click_id: (ts, seq, decision) for click_id, ts, seq, decision in rows.fetchall()}


def test_live_features_equal_replayed_ones(tmp_path: Path) -> None:
    lake = furnished(tmp_path / "lake")
    with service(lake) as url:
        sent = send(url, requests(CLICKS), callers=4)
    check(lake, sent, CLICKS)


@pytest.mark.soak
def test_live_features_equal_replayed_ones_at_length(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake, began, told = furnished(tmp_path / "lake"), time.monotonic(), 0

    def progress(sent: Sent) -> None:
        nonlocal told
        if sent.clicks >= told + 100_000:
            told = sent.clicks
            rate = told / (time.monotonic() - began)
            with capsys.disabled():
                click.echo(f"{told:,} clicks, {rate:,.0f} a second", err=True)

    with service(lake) as url:
        sent = send(url, requests(MANY, seed=1), callers=4, keep=False, progress=progress)
    check(lake, sent, MANY)
