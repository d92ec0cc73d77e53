"""A service as a team would run it, and the clients that send it traffic."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import httpx

START_SECONDS, END_SECONDS, ANSWER_SECONDS = 120.0, 600.0, 60.0
REFUSED = 503  # with a full log; the clicks were not counted
AGAIN, TWICE = 20, 30  # every so many requests one is sent again, or twice at once

Row = dict[str, Any]
Stamp = tuple[str, int, str]  # ts, seq, decision


@contextmanager
def serving(home: Path, *options: str) -> Iterator[str]:
    """Run `replay serve` on a lake; give its URL, and end it well after the block."""
    command = [sys.executable, "-m", "replay.cli", "serve", "--home", str(home), "--json"]
    with TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [*command, "--port", "0", *options], stdout=subprocess.PIPE, stderr=said, text=True
        )
        try:
            assert process.stdout is not None
            started = "".join(takewhile(lambda line: line != "}\n", process.stdout))
            assert started, _all(said)
            url = str(json.loads(started + "}")["url"])
            _await_ready(url)
            yield url
            process.send_signal(signal.SIGTERM)
            assert process.wait(END_SECONDS) == 0, _all(said)
        finally:
            process.kill()
            process.communicate()


def _all(said: IO[str]) -> str:
    said.seek(0)
    return said.read()


def _await_ready(url: str) -> None:
    """Wait until whichever worker answers says that it is ready."""
    until, ready = time.monotonic() + START_SECONDS, 0
    while ready < 10:
        answer = httpx.get(f"{url}/readyz")  # over a new connection
        ready = ready + 1 if answer.status_code == httpx.codes.OK else 0
        assert time.monotonic() < until, answer.text
        time.sleep(0.02)


@dataclass
class Sent:
    """What clients were answered: click_id → stamp (where kept), and clicks by reason."""

    keep: bool
    stamps: dict[str, Stamp] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    retried: int = 0

    @property
    def clicks(self) -> int:
        return self.reasons.total()

    def heard(self, clicks: list[Row], answers: list[Row]) -> None:
        """Take the answers to one request."""
        assert [a["click_id"] for a in answers] == [c["click_id"] for c in clicks]
        self.reasons.update(answer["reason"] for answer in answers)
        if self.keep:
            self.stamps |= {a["click_id"]: (a["ts"], a["seq"], a["decision"]) for a in answers}


def send(
    url: str,
    requests: Iterator[list[Row]],
    *,
    callers: int,
    keep: bool = True,
    progress: Callable[[Sent], None] = lambda _: None,
) -> Sent:
    """Send the requests from several clients at once, and some of them again."""
    sent = Sent(keep)
    asyncio.run(_send(url, requests, callers, sent, progress))
    return sent


async def _send(
    url: str,
    requests: Iterator[list[Row]],
    callers: int,
    sent: Sent,
    progress: Callable[[Sent], None],
) -> None:
    left = enumerate(requests)

    async def call() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=ANSWER_SECONDS) as client:
            for number, clicks in left:
                copies = 2 if number % TWICE == 0 else 1
                answers = await asyncio.gather(*(_ask(client, clicks) for _ in range(copies)))
                if number % AGAIN == 0:
                    answers.append(await _ask(client, clicks))
                for answer in answers[1:]:
                    assert answer == answers[0], "a retry differs"
                sent.retried += (len(answers) - 1) * len(clicks)
                sent.heard(clicks, answers[0])
                progress(sent)

    await asyncio.gather(*(call() for _ in range(callers)))


async def _ask(client: httpx.AsyncClient, clicks: list[Row]) -> list[Row]:
    """Return the answers on the clicks; wait where the service's log is full."""
    body = {"clicks": clicks} if len(clicks) > 1 else clicks[0]
    while (answer := await client.post("/v1/decisions", json=body)).status_code == REFUSED:
        await asyncio.sleep(0.5)
    assert answer.status_code == httpx.codes.OK, answer.text
    said = answer.json()
    found: list[Row] = said["decisions"] if len(clicks) > 1 else [said]
    return found
