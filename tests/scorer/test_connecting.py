"""The line to a Redis server: answers in turn, errors told apart, and what a lost server means."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import InvalidResponse, NoScriptError, OutOfMemoryError, ResponseError

from scorer.store.connecting import Line, Server, connect, embedded, server_of
from tests.scorer.live import run
from tests.servers import RedisServer, free_port, redis_server

PATIENCE = 10.0  # s


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as found:
        yield found


@asynccontextmanager
async def asked(server: RedisServer) -> AsyncIterator[tuple[Server, Line]]:
    async with connect(server.url) as client:
        found = server_of(client)
        yield found, await found.line(PATIENCE)


def test_answers_come_in_the_order_of_the_questions(server: RedisServer) -> None:
    async def many() -> list[object]:
        async with asked(server) as (_, line):
            return await asyncio.gather(*(line.ask("ECHO", f"e{n}") for n in range(500)))

    assert run(many()) == [b"e%d" % n for n in range(500)]


def test_a_refusal_says_which_and_the_line_goes_on(server: RedisServer) -> None:
    async def refused() -> object:
        async with asked(server) as (_, line):
            with pytest.raises(NoScriptError):
                await line.ask("EVALSHA", "0" * 40, 0)
            with pytest.raises(ResponseError, match="unknown command"):
                await line.ask("NONSENSE")
            assert line.is_open
            return await line.ask("ECHO", "on")

    assert run(refused()) == b"on"


def test_a_question_that_is_given_up_leaves_the_others_their_answers(server: RedisServer) -> None:
    async def given_up() -> list[object]:
        async with asked(server) as (_, line):
            first, second, third = (asyncio.ensure_future(line.ask("ECHO", n)) for n in "123")
            second.cancel()
            return [await first, await third]

    assert run(given_up()) == [b"1", b"3"]


def test_an_answer_that_is_overdue_ends_the_line(server: RedisServer) -> None:
    async def overdue() -> object:
        async with asked(server) as (found, line):
            with server.client() as client:
                client.client_pause(300, all=True)
            before = time.monotonic()
            late = [line.ask("PING", patience=0.05), line.ask("PING", patience=PATIENCE)]
            for each in late:  # what is behind it on the line is lost with it
                with pytest.raises(TimeoutError):
                    await each
            assert 0.05 <= time.monotonic() - before < 0.3
            assert not line.is_open
            with pytest.raises(TimeoutError):
                await line.ask("PING")
            again = await found.line(PATIENCE)
            assert again is not line
            return await again.ask("ECHO", "back")

    assert run(overdue()) == b"back"


def test_a_lost_server_is_told_to_all_who_wait_and_named_anew() -> None:
    async def lost(server: RedisServer) -> None:
        async with asked(server) as (found, line):
            assert (await found.line(PATIENCE)) is line
            with server.client() as client:
                client.client_pause(60_000, all=True)
            waiting = [asyncio.ensure_future(line.ask("PING", patience=PATIENCE)) for _ in "12"]
            await asyncio.sleep(0.05)
            server.stop()
            for each in waiting:
                with pytest.raises(ConnectionError):
                    await each
            with pytest.raises((OSError, ConnectionError)):
                await line.ask("PING")
            server.start()
            assert (await found.line(PATIENCE)).server != line.server

    with redis_server() as server:
        run(lost(server))


def test_closing_the_client_takes_no_time(server: RedisServer) -> None:
    async def close() -> float:
        async with asked(server) as (_, line):
            await line.ask("PING")
            before = time.monotonic()
        assert not line.is_open
        return time.monotonic() - before

    assert run(close()) < 0.5


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n", b"+nobody asked\r\n"])
def test_what_does_not_speak_as_redis_does_is_hung_up_on(said: bytes, tmp_path: object) -> None:
    async def rude() -> None:
        path = f"{tmp_path}/socket"
        told = asyncio.Event()

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while not told.is_set():  # redis-py's greeting, and the look at the server's life
                commands = (await reader.read(65536)).count(b"*")
                writer.write(b"+OK\r\n" * commands)
                if commands == 0:
                    return
                await asyncio.sleep(0)
                if told_off.is_set():
                    writer.write(said)
                    told.set()
            await reader.read()
            writer.close()

        told_off = asyncio.Event()
        listening = await asyncio.start_unix_server(hear, path)
        async with Redis(unix_socket_path=path, protocol=2) as client:
            line = await server_of(client).line(PATIENCE)
            told_off.set()
            assert await line.ask("PING") == b"OK"
            async with asyncio.timeout(5):
                while line.is_open:
                    await asyncio.sleep(0.005)
            with pytest.raises(InvalidResponse, match="does not speak as Redis does"):
                await line.ask("PING")
        listening.close()

    run(rude())


def test_the_store_inside_the_process_is_asked_the_same_way() -> None:
    async def inside() -> list[object]:
        async with embedded() as client:
            line = await server_of(client).line(PATIENCE)
            assert line.server == "embedded"
            return await asyncio.gather(*(line.ask("ECHO", f"e{n}") for n in range(20)))

    assert run(inside()) == [b"e%d" % n for n in range(20)]


@pytest.mark.parametrize("run_on", [run, uvloop.run])
def test_a_server_behind_tls_is_asked_the_same_way(
    run_on: Callable[[Coroutine[Any, Any, object]], object], tmp_path: Path
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *curve, *name, *made], check=True, timeout=60)
    port = free_port()
    files = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key)]

    async def some() -> object:
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}"
        async with connect(url) as client:
            line = await server_of(client).line(PATIENCE)
            assert len(line.server) == 40
            return await asyncio.gather(*(line.ask("ECHO", "x" * 20_000 + f"{n}") for n in "123"))

    with redis_server("--tls-port", str(port), "--tls-auth-clients", "no", *files):
        assert run_on(some()) == [b"x" * 20_000 + n for n in (b"1", b"2", b"3")]


@pytest.mark.parametrize(
    "message",
    [
        "OOM command not allowed when used memory > 'maxmemory'. script: 7d89, on @user_script:81.",
        "ERR Error running script (call to f_7d89): @user_script:81: @user_script: 81: -OOM "
        "command not allowed when used memory > 'maxmemory'. ",  # Redis 6.2
    ],
)
def test_a_full_server_is_told_apart_whatever_its_words(message: str, tmp_path: Path) -> None:
    async def full() -> None:
        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while asked := (await reader.read(65536)).count(b"*"):
                writer.write(f"-{message}\r\n".encode() if "asked" in told else b"+OK\r\n" * asked)
            writer.close()

        told: set[str] = set()
        listening = await asyncio.start_unix_server(hear, tmp_path / "socket")
        async with Redis(unix_socket_path=str(tmp_path / "socket"), protocol=2) as client:
            line = await server_of(client).line(PATIENCE)
            told.add("asked")
            with pytest.raises(OutOfMemoryError):
                await line.ask("EVALSHA", "0" * 40, 0)
        listening.close()

    run(full())
