"""The live store: stamps clicks and keeps their windowed features on Redis, a round trip per call.

Redis keeps only digests of users, addresses and ids, so that its memory does not follow the length
of anybody's text. What a click's counters are is decided by time stamps alone; keys expire once no
window can see them, which frees memory and changes nothing.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from secrets import token_hex
from typing import Any, NamedTuple, Protocol

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError

from scorer.errors import BadInput
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

    def __init__(self, client: Redis, layout: Layout, namespace: str = "slidr") -> None:
        self.layout = layout
        self._client = client
        self._clock = f"{namespace}:clock".encode()
        self._probe = f"{namespace}:probe".encode()
        self._memory = f"{namespace}:click:".encode()
        self._plan = [
            (
                _prefix(namespace, entity.columns),
                entity.columns,
                [(_prefix(namespace, (*entity.columns, m)), m) for m in entity.members],
            )
            for entity in layout.entities
        ]
        self._layout = layout.digest.encode()
        self._sha = "0" * 40
        self._server = "embedded"
        client.connection_pool.connection_kwargs["redis_connect_func"] = self._connected

    async def check(self) -> None:
        """Raise BadInput where the server is too old or may evict counters.

        Raises redis.RedisError where there is no server.
        """
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

        Raises redis.RedisError; the clicks may then have been counted or not. A repeat within ten
        minutes finds out.
        """
        keys, arguments = [self._clock], [token_hex(8), self._server, str(REMEMBERED)]
        for click in clicks:
            self._add(click, keys, arguments)
        try:
            answers = await self._client.evalsha(self._sha, len(keys), *keys, *arguments)
        except NoScriptError:
            self._sha = await self._client.script_load(self.layout.script)
            answers = await self._client.evalsha(self._sha, len(keys), *keys, *arguments)
        return [self._stamped(answer) for answer in answers]

    async def probe(self) -> None:
        """Write to the server; raises redis.RedisError where it can't be reached or is full."""
        await self._client.set(self._probe, b"1", px=1000)

    def _add(self, click: StoredClick, keys: list[bytes], arguments: list[Any]) -> None:
        """Append a click's keys and arguments, as `observe.lua` reads them."""
        digests: dict[str, bytes] = {}

        def digest(column: str) -> bytes:
            if column not in digests:
                value: str | None = getattr(click, column)
                digests[column] = b"" if value is None else _digest(value)
            return digests[column]

        keys.append(self._memory + _digest(click.click_id))
        arguments.append("" if click.time is None else str(click.time))
        for prefix, columns, members in self._plan:
            parts = [digest(column) for column in columns]
            entity = b"".join(parts) if all(parts) else b""
            keys.append(prefix + entity if entity else b"")
            for member_prefix, member in members:
                keys.append(member_prefix + entity if entity else b"")
                arguments.append(digest(member))

    def _stamped(self, answer: bytes) -> Stamped:
        repeated, layout, ts, seq, epoch, *values = answer.split()
        here = [*map(int, values)] if layout == self._layout else None
        return Stamped(int(ts), int(seq), epoch.decode(), repeated == b"1", here)

    async def _connected(self, connection: AbstractConnection) -> None:
        """Learn which start of which server a new connection leads to."""
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        try:
            text = await connection.read_response()
        except ResponseError:
            return  # an embedded server tells nothing, and starts with its process
        self._server = _fields(text).get("run_id", "unknown")


async def _info(client: Redis) -> Mapping[str, str]:
    """Return what the server says of itself; nothing where it is an embedded one."""
    found: dict[str, str] = {}
    try:
        for section in ("server", "memory"):
            found |= {key: str(value) for key, value in (await client.info(section)).items()}
    except ResponseError:
        return {}
    return found


def _fields(info: bytes | str) -> Mapping[str, str]:
    text = info.decode() if isinstance(info, bytes) else info
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _parsed(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _prefix(namespace: str, columns: Sequence[str]) -> bytes:
    return f"{namespace}:{','.join(columns)}:".encode()


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=DIGEST).digest()
