"""Redis by itself: `python -m benchmarks.serving.redis_alone URL MODELS VERSION SECONDS`.

One client, 1,000 commands a second: a PING, then the live store's own script on one click each,
both over a plain socket, then the latter as the service calls it. From the command's first byte to
its answer. The counters are those of another namespace, which the service does not see.
"""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import hiredis
import uvloop
from redis import Redis

from benchmarks.serving.latency import Latency, latency
from benchmarks.serving.traffic import draw
from scorer.registry import Registry
from scorer.serving.clicks import Click
from scorer.store.connecting import connect
from scorer.store.layout import Layout
from scorer.store.live_store import LiveStore

RATE = 1000
NAMESPACE = "alone"


@dataclass(frozen=True)
class Alone:
    """Each kind of call; `server` is what the script takes by Redis's own account, ms."""

    ping: Latency
    script: Latency
    store: Latency
    server: float

    @classmethod
    def read(cls, text: str) -> "Alone":
        """Read what a process of this module printed."""
        found = json.loads(text)
        return cls(**found | {name: Latency(**found[name]) for name in ("ping", "script", "store")})


class Plain:
    """A Unix socket that blocks."""

    def __init__(self, url: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(urlsplit(url).path)
        self._reader = hiredis.Reader()

    def ask(self, command: bytes) -> object:
        """Return the answer to a command; raise where it is an error."""
        self._socket.sendall(command)
        while (answer := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(1 << 16))
        if isinstance(answer, Exception):
            raise answer
        return answer


def paced(commands: Sequence[bytes], ask: Callable[[bytes], object]) -> Iterator[int]:
    """Ask on schedule; yield how long each answer took, ns."""
    begin = time.monotonic()
    for number, command in enumerate(commands):
        if (wait := begin + number / RATE - time.monotonic()) > 0:
            time.sleep(wait)
        before = time.perf_counter_ns()
        ask(command)
        yield time.perf_counter_ns() - before


async def paced_calls(
    clicks: Sequence[Click], observe: Callable[[Sequence[Click]], Awaitable[object]]
) -> list[int]:
    """Count clicks in on schedule; return how long each call took, ns."""
    took = []
    begin = time.monotonic()
    for number, click in enumerate(clicks):
        if (wait := begin + number / RATE - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        before = time.perf_counter_ns()
        await observe([click])
        took.append(time.perf_counter_ns() - before)
    return took


async def alone(url: str, layout: Layout, seconds: float) -> Alone:
    """Ask all of it."""
    count = round(RATE * seconds)
    clicks = [Click(**click) for click in draw(2 * count, 5, uuid4().hex[:8])]
    client = connect(url)
    store = LiveStore(client, layout, NAMESPACE)
    await store.observe(clicks[:1])
    plain = Plain(url)
    pings = [_packed(["PING"])] * count
    calls = [_packed(store._call([click], "benchmark")) for click in clicks[:count]]
    ping = latency(paced(pings, plain.ask))
    before = _script_time(url)
    script = latency(paced(calls, plain.ask))
    after = _script_time(url)
    spent = (after[0] - before[0]) / (after[1] - before[1]) / 1000
    through = latency(await paced_calls(clicks[count:], store.observe))
    await client.aclose()
    return Alone(ping, script, through, spent)


def _packed(command: Iterable[object]) -> bytes:
    """Write a command as it goes over the wire."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def _script_time(url: str) -> tuple[float, int]:
    """Return the µs and the calls of all scripts so far."""
    with Redis.from_url(url) as client:
        found = client.info("commandstats")["cmdstat_evalsha"]
    return float(found["usec"]), int(found["calls"])


def _main(url: str, models: str, version: str, seconds: str) -> None:
    layout = Layout.of([Registry(Path(models)).load(version).spec])
    print(json.dumps(asdict(uvloop.run(alone(url, layout, float(seconds))))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
