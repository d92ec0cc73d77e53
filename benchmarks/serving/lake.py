"""A lake for a service: two trained versions, one in production, profiles of 150,000 users."""

import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pyarrow as pa

from benchmarks.serving.traffic import ADDRESSES, USERS, address, user
from replay.lake import Lake
from replay.tables import TIMESTAMP

REPLAY = str(Path(sys.executable).with_name("replay"))
FIRST, SECOND = "first", "second"
SPAN = ("--from", "2026-03-01", "--to", "2026-03-03")
VALID_FROM = 1_772_323_200_000_000  # 2026-03-01T00:00Z


def make_lake(home: Path) -> Lake:
    """Make the lake, put in place when it is whole, or open the one made before."""
    if not home.exists():
        click.echo(f"lake: {home}", err=True)
        unfinished = home.with_name(f".{home.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _fill(unfinished)
        unfinished.rename(home)
    return Lake.open(home)


def promote(home: Path, version: str) -> None:
    """Put a version into production as on-call would, in idle time: they sit elsewhere."""
    replay(home, "models", "promote", version, "--reason", "benchmark", idle=True)


def replay(home: Path, *words: str, idle: bool = False) -> None:
    """Run one of the project's commands; raise ClickException where it fails."""
    line = [*(["chrt", "--idle", "0"] if idle else []), REPLAY, *words, "--home", str(home)]
    done = subprocess.run(line, check=False, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(f"replay {' '.join(words)}: {done.stderr.strip()}")


def _fill(home: Path) -> None:
    days = ("--days", "2", "--clicks-per-day", "30000")
    replay(home, "simulate", "--scenario", "quiet", *days)
    for seed, name in enumerate((FIRST, SECOND), start=1):
        replay(home, "train", *SPAN, "--name", name, "--seed", str(seed), "--device", "cpu")
    rng = np.random.default_rng(3)
    ages = pa.array(rng.integers(0, 3000, USERS)).cast(pa.float32())
    centres = pa.array(rng.random(ADDRESSES) < 0.05)
    _profiles(home, "profiles_user", [user(k) for k in range(USERS)], "account_age_days", ages)
    _profiles(home, "profiles_ip", [address(k) for k in range(ADDRESSES)], "is_datacenter", centres)
    promote(home, FIRST)


def _profiles(home: Path, name: str, keys: list[str], column: str, values: pa.Array) -> None:
    rows = {
        "key": keys,
        "valid_from": pa.array(np.full(len(keys), VALID_FROM)).cast(TIMESTAMP),
        column: values,
    }
    Lake.open(home).append(name, pa.table(rows).to_batches(), ("benchmark", 1))
