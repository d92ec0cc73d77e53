"""`python -m benchmarks store-memory`: what the live store's Redis keeps for each entity and click.

Every figure is a real redis-server's, filled through the live store: the growth of used_memory from
empty, and beside it what MEMORY USAGE says of the keys. Remembered click_ids are removed while
entities are filled, and measured by themselves.
"""

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from statistics import mean

import click
from redis.asyncio import Redis

from benchmarks.machine import read_machine
from benchmarks.store_keys import (
    HABITS,
    Habit,
    StoreClick,
    clicks_of,
    mixed_day,
    nobodys_clicks,
    spec_of,
)
from benchmarks.store_report import Day, Kept, markdown
from scorer.spec import load_spec
from scorer.store.layout import Layout
from scorer.store.live_store import LiveStore

BATCH = 100
SAMPLE = 500  # keys that MEMORY USAGE is asked of
START_SECONDS = 10.0
SOON = 1_000  # ms


@asynccontextmanager
async def server(limit: int) -> AsyncIterator[Redis]:
    """Run a redis-server whose compact hashes hold values of up to `limit` bytes."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise click.ClickException("redis-server is not installed")
    with tempfile.TemporaryDirectory(prefix="redis") as folder:
        socket = Path(folder) / "redis.sock"
        place = ["--port", "0", "--unixsocket", str(socket), "--dir", folder, "--save", ""]
        options = ["--hash-max-listpack-value", str(limit), "--hz", "50"]
        process = subprocess.Popen([binary, *place, *options], stdout=subprocess.DEVNULL)
        try:
            await _appears(socket)
            async with Redis.from_url(f"unix://{socket}") as client:
                yield client
        finally:
            process.kill()
            process.wait()


async def _appears(socket: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not socket.exists():
        if time.monotonic() > until:
            raise click.ClickException("redis-server does not start")
        await asyncio.sleep(0.02)


async def fill(
    client: Redis, layout: Layout, clicks: Iterable[StoreClick], *, forget: bool
) -> tuple[int, float]:
    """Count clicks in; return how many, and Redis's processor time for them in seconds.

    With `forget`, their ids are removed after each batch.
    """
    store, before, count = LiveStore(client, layout), await _cpu(client), 0
    rest = iter(clicks)
    while batch := list(islice(rest, BATCH)):
        await store.observe(batch)
        count += len(batch)
        if forget and await client.delete(*map(_memory_key, batch)) != len(batch):
            raise click.ClickException("the store remembers clicks under other keys than expected")
    return count, await _cpu(client) - before


def _memory_key(taken: StoreClick) -> bytes:
    return b"slidr:click:" + blake2b(taken.click_id.encode(), digest_size=16).digest()


async def _cpu(client: Redis) -> float:
    info = await client.info("cpu")
    return float(info["used_cpu_user_main_thread"]) + float(info["used_cpu_sys_main_thread"])


async def _memory(client: Redis) -> tuple[int, int]:
    info = await client.info("memory")
    return int(info["used_memory"]), int(info["used_memory_rss"])


async def measure_habit(habit: Habit, limit: int) -> Kept:
    """Fill an empty server with one habit's keys."""
    async with server(limit) as client:
        layout = Layout.of([spec_of(habit.kind)])
        await fill(client, layout, nobodys_clicks(1), forget=True)
        before = (await _memory(client))[0]
        count, spent = await fill(client, layout, clicks_of(habit), forget=True)
        grown = (await _memory(client))[0] - before
        said, encodings, windows = await _look(client, habit)
    return Kept(
        kind=habit.kind,
        habit=habit.name,
        clicks=habit.clicks,
        limit=limit,
        grown=grown / habit.keys,
        said=said,
        encodings=encodings,
        windows=windows,
        cpu=spent / count * 1e6,
    )


async def _look(client: Redis, habit: Habit) -> tuple[float, str, dict[str, float]]:
    """Return MEMORY USAGE by entity, how its keys are kept, and its fields' mean lengths."""
    said = 0.0
    encodings: dict[str, str] = {}
    windows: dict[str, float] = {}
    for suffix in ("", ",user_id", ",session_id"):
        prefix = f"slidr:{habit.kind}{suffix}:"
        keys = [key async for key in client.scan_iter(match=f"{prefix}*", count=10_000)][:SAMPLE]
        if not keys:
            continue
        said += mean([await client.memory_usage(key, samples=0) or 0 for key in keys])
        forms = [str(await client.object("encoding", key), "ascii") for key in keys]
        encodings[prefix] = "/".join(sorted(set(forms)))
        if not suffix:
            held = [await client.hgetall(key) for key in keys]
            for name in sorted({name for fields in held for name in fields}):
                written = mean(len(fields.get(name, b"")) for fields in held)
                windows[name.decode() if isinstance(name, bytes) else name] = written
    return said, ", ".join(encodings.values()), windows


async def measure_remembered(clicks: int) -> float:
    """Return the bytes that a remembered click_id takes for its ten minutes."""
    async with server(64) as client:
        layout = Layout.of([load_spec("default")])
        await fill(client, layout, nobodys_clicks(1), forget=True)
        before = (await _memory(client))[0]
        await fill(client, layout, nobodys_clicks(clicks), forget=False)
        return ((await _memory(client))[0] - before) / clicks


async def measure_day(clicks: int, limit: int) -> Day:
    """Fill a server with a mixed day, fork it while clicks come, and let everything expire."""
    async with server(limit) as client:
        layout = Layout.of([load_spec("default")])
        day = mixed_day(clicks)
        most = islice(day, clicks - clicks // 20)
        count, spent = await fill(client, layout, most, forget=True)
        await client.bgsave()
        await fill(client, layout, islice(day, clicks // 40), forget=True)
        saved = await _saved(client)
        used, resident = await _memory(client)
        sent = await _sent(client, layout, day)
        entities = {
            kind: await _count(client, f"slidr:{kind}:*")
            for kind in ("user_id", "session_id", "ip")
        }
        seconds = await _expire(client)
        used_after, resident_after = await _memory(client)
    return Day(
        clicks=clicks,
        limit=limit,
        entities=entities,
        used=used,
        resident=resident,
        cpu=spent / count * 1e6,
        fork=saved["latest_fork_usec"],
        copied=saved["rdb_last_cow_size"],
        sent=sent,
        file=saved["file"],
        expired_in=seconds,
        used_after=used_after,
        resident_after=resident_after,
    )


async def _saved(client: Redis) -> dict[str, int]:
    """Wait for the snapshot; return what it took."""
    while True:
        info = await client.info("persistence")
        if not info["rdb_bgsave_in_progress"]:
            break
        await asyncio.sleep(0.05)
    folder = str((await client.config_get("dir"))["dir"])
    info |= await client.info("stats")
    info["file"] = (Path(folder) / "dump.rdb").stat().st_size
    return {name: int(info[name]) for name in ("latest_fork_usec", "rdb_last_cow_size", "file")}


async def _sent(client: Redis, layout: Layout, clicks: Iterable[StoreClick]) -> float:
    """Return the bytes that a click sends to replicas, or writes to an append-only file."""
    await client.config_set("appendonly", "yes")
    while not (before := await client.info("persistence"))["aof_enabled"] or any(
        before[f"aof_rewrite_{state}"] for state in ("in_progress", "scheduled")
    ):
        await asyncio.sleep(0.05)
    count, _ = await fill(client, layout, clicks, forget=False)
    after = await client.info("persistence")
    await client.config_set("appendonly", "no")
    return float(after["aof_current_size"] - before["aof_current_size"]) / count


async def _count(client: Redis, pattern: str) -> int:
    return sum([1 async for _ in client.scan_iter(match=pattern, count=10_000)])


async def _expire(client: Redis) -> float:
    """Let every key expire in a second; return how long Redis then takes to free them."""
    async with client.pipeline(transaction=False) as pipeline:
        async for key in client.scan_iter(count=10_000):
            pipeline.pexpire(key, SOON)
        await pipeline.execute()
    started = time.monotonic()
    while await client.dbsize():
        await asyncio.sleep(0.05)
    return time.monotonic() - started


async def _version() -> str:
    async with server(64) as client:
        return str((await client.info("server"))["redis_version"])


@click.command("store-memory")
@click.option(
    "--limits", default="64,256,1024", show_default=True, help="Limits of compact hashes."
)
@click.option("--clicks", default=500_000, show_default=True, help="Clicks of the mixed day.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
def store_memory(limits: str, clicks: int, json_file: Path | None) -> None:
    """Measure what the live store keeps in Redis for each user, session, address and click.

    Example: python -m benchmarks store-memory --clicks 100000 --limits 64,256
    """
    machine, kept, days = read_machine(), [], []
    wanted = [int(limit) for limit in limits.split(",")]
    for habit in HABITS:
        for limit in wanted:
            kept.append(asyncio.run(measure_habit(habit, limit)))
            click.echo(f"{habit.kind}, {habit.name}, {limit}: {kept[-1].grown:,.0f} B", err=True)
    remembered = asyncio.run(measure_remembered(100_000))
    for limit in wanted:
        days.append(asyncio.run(measure_day(clicks, limit)))
        click.echo(f"mixed day, {limit}: {days[-1].used:,} B", err=True)
    if json_file:
        figures = {
            "kept": [*map(asdict, kept)],
            "remembered": remembered,
            "days": [*map(asdict, days)],
            "machine": asdict(machine),
        }
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    click.echo("\n".join(markdown(machine, asyncio.run(_version()), kept, remembered, days)))
