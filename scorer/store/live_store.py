"""The live store: stamps clicks and keeps their windowed features on Redis, a round trip per call.

Redis keeps only digests of users, addresses and ids, so that its memory does not follow the length
of anybody's text. What a click's counters are is decided by time stamps alone; keys expire once no
window can see them, which frees memory and changes nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import blake2b, sha1
from secrets import token_hex
from typing import NamedTuple, Protocol, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from scorer.errors import BadInput
from scorer.store.connecting import PATIENCE, Argument, server_of
from scorer.store.layout import Layout

REMEMBERED = 600_000  # ms that a click_id is known for
OLDEST = (6, 2)
DIGEST = 16  # bytes: no two of a billion ids share one, but for one chance in 10^20


class Stamped(NamedTuple):
    """A click's place in the log and its features.

    `ts` is in µs since the epoch; `values` follow the layout's names. `repeated` clicks were
    counted before and have their first stamp and features; their values are null where they were
    counted under another layout.
    """

    ts: int
    seq: int
    epoch: str
    repeated: bool
    values: list[int] | None


class StoredClick(Protocol):
    """What the store reads of a click, beside the columns of its layout's entities and members.

    `time`, in µs since the epoch, stands for the server's clock where it is given.
    """

    @property
    def click_id(self) -> str:
        """What the click is remembered by."""
        ...

    @property
    def time(self) -> int | None:
        """A time that stands for the server's clock, or null."""
        ...


class LiveStore:
    """The counters of one layout on one Redis server, whose clock and order they share.

    Stores of several processes and layouts may work on one server: a counter that two layouts have
    is kept once. Where a layout has counters that the click before did not keep up, where the
    server was flushed, restarted or failed over, a new epoch begins with the next click.
    """

    def __init__(
        self,
        client: Redis,
        layout: Layout,
        namespace: str = "slidr",
        patience: float = PATIENCE,
    ) -> None:
        """`patience` is how long an answer is waited for, in s."""
        self.layout = layout
        self._patience = patience
        self._client = client
        self._server = server_of(client)
        self._clock = f"{namespace}:clock".encode()
        self._probe = f"{namespace}:probe".encode()
        self._memory = f"{namespace}:click:".encode()
        columns = (*(c for e in layout.entities for c in (*e.columns, *e.members)),)
        self._columns = tuple(dict.fromkeys(columns))
        at = self._columns.index
        self._plan = [
            (
                _prefix(namespace, entity.columns),
                [at(column) for column in entity.columns],
                [(_prefix(namespace, (*entity.columns, m)), at(m)) for m in entity.members],
            )
            for entity in layout.entities
        ]
        self._layout = layout.digest.encode()
        self._script = layout.script
        self._sha = sha1(self._script.encode(), usedforsecurity=False).hexdigest()

    async def check(self) -> None:
        """Raise BadInput where the server is too old or may evict counters.

        Raises redis.RedisError or OSError where there is no server.
        """
        async with asyncio.timeout(PATIENCE):
            found = await _info(self._client)
        version = found.get("valkey_version") or found.get("redis_version")
        if version and _parsed(version) < OLDEST:
            raise BadInput(
                f"the live store needs Redis 6.2 or newer, or Valkey; the server is {version}"
            )
        policy = found.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise BadInput(
                f"the Redis server evicts keys (maxmemory-policy {policy}), and with them counts; "
                "set maxmemory-policy noeviction"
            )

    async def observe(self, clicks: Sequence[StoredClick]) -> list[Stamped]:
        """Count clicks in, in order and in one step; return the stamp and features of each.

        Raises redis.RedisError or OSError; the clicks may then have been counted or not. A repeat
        within ten minutes finds out.
        """
        line = await self._server.line(self._patience)
        # Only now is it known which server hears this, and in which of its lives.
        call = self._call(clicks, line.server)
        try:
            answers = await line.ask(*call, patience=self._patience)
        except NoScriptError:
            await line.ask("SCRIPT", "LOAD", self._script, patience=self._patience)
            answers = await line.ask(*call, patience=self._patience)
        return [self._stamped(answer) for answer in cast("list[bytes]", answers)]

    async def probe(self) -> None:
        """Write to the server; raises redis.RedisError where it can't be reached or is full."""
        await self._client.set(self._probe, "1", px=1000)

    def _call(self, clicks: Sequence[StoredClick], server: str) -> list[Argument]:
        keys: list[Argument] = [self._clock]
        arguments: list[Argument] = [token_hex(8), server, REMEMBERED]
        for click in clicks:
            self._add(click, keys, arguments)
        return ["EVALSHA", self._sha, len(keys), *keys, *arguments]

    def _add(self, click: StoredClick, keys: list[Argument], arguments: list[Argument]) -> None:
        """Append a click's keys and arguments, as `observe.lua` reads them."""
        values = [getattr(click, column) for column in self._columns]
        digests = [b"" if value is None else _digest(value) for value in values]
        keys.append(self._memory + _digest(click.click_id))
        arguments.append("" if click.time is None else click.time)
        for prefix, columns, members in self._plan:
            parts = [digests[column] for column in columns]
            entity = b"".join(parts) if all(parts) else b""
            keys.append(prefix + entity if entity else b"")
            for member_prefix, member in members:
                keys.append(member_prefix + entity if entity else b"")
                arguments.append(digests[member])

    def _stamped(self, answer: bytes) -> Stamped:
        repeated, layout, ts, seq, epoch, *values = answer.split()
        here = [*map(int, values)] if layout == self._layout else None
        return Stamped(int(ts), int(seq), epoch.decode(), repeated == b"1", here)


async def _info(client: Redis) -> Mapping[str, str]:
    """Return what the server says of itself; nothing where it is an embedded one."""
    found: dict[str, str] = {}
    try:
        for section in ("server", "memory"):
            found |= {key: str(value) for key, value in (await client.info(section)).items()}
    except ResponseError:
        return {}
    return found


def _parsed(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _prefix(namespace: str, columns: Sequence[str]) -> bytes:
    return f"{namespace}:{','.join(columns)}:".encode()


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=DIGEST).digest()
