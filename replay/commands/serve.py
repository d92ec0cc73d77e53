"""`replay serve`: the live service."""

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import click

from replay.config import FILE
from replay.console import home_option, json_option, open_lake, print_json
from replay.errors import BadInput
from replay.lake import Lake, writing
from replay.live.service import LEVELS, Settings, without_password
from replay.live.supervisor import Supervisor, address_of, listen

OWNER = "lake"  # in a spool: the home of the lake that it belongs to
SCHEMES = ("redis", "rediss", "unix")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes that answer; one for each core to spare.",
)
@click.option(
    "--redis",
    metavar="URL",
    help="The live store; else REPLAY_REDIS, else [serve] in replay.toml, else one in memory.",
)
@click.option(
    "--spool",
    metavar="DIR",
    help="Folder on a local disk for what is not in the lake yet; else `spool` in the lake.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(0.1, 60_000),
    default=4.0,
    show_default=True,
    metavar="MS",
    help="Milliseconds after which a click is answered `undecided`.",
)
@click.option(
    "--simulated-time", is_flag=True, help="Take a click's own `time` for the clock; for tests."
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to score batches; single clicks are scored on the CPU.",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="warning",
    show_default=True,
    help="What to say on stderr.",
)
@home_option
@json_option
def serve(
    host: str,
    port: int,
    workers: int,
    redis: str | None,
    spool: str | None,
    deadline: float,
    simulated_time: bool,
    device: str,
    log_level: str,
    home: str | None,
    as_json: bool,
) -> None:
    """Decide live clicks over HTTP.

    Counts each click in the live store, scores it with the version in production, and writes
    clicks and decisions to the lake in the background. A promotion takes effect within a second.
    SIGTERM or Ctrl-C ends it once all that was answered is in the lake. --json prints the address,
    once it serves.

    \b
    Example:
      replay serve --port 8080 --workers 2 --redis redis://localhost:6379/0
    """
    lake = open_lake(home)
    store = _store(redis, lake)
    if store is None and workers > 1:
        raise BadInput(
            "--workers above 1 needs a Redis server that they share: give --redis URL "
            "or set REPLAY_REDIS"
        )
    settings = Settings(
        home=lake.home,
        spool=_spool(spool, lake),
        redis=store,
        deadline=deadline / 1000,
        simulated_time=simulated_time,
        device=device,
        log_level=log_level,
    )
    listening = listen(host, port, workers)
    address = address_of(listening[0])
    shown = "one in memory, lost at the end" if store is None else without_password(store)
    if store is None:
        _say("no Redis is configured: the live store is in this process's memory and ends with it")

    def started() -> None:
        _say(f"listening on {address} with {_counted(workers)}; live store: {shown}")
        if as_json:
            print_json({"url": address, "workers": workers, "redis": store and shown})

    Supervisor(settings, listening).run(started, _say)


def _store(option: str | None, lake: Lake) -> str | None:
    """Return the live store's URL: `option`, else REPLAY_REDIS, else the lake's; null for none."""
    places = (
        ("--redis", option),
        ("REPLAY_REDIS", os.environ.get("REPLAY_REDIS")),
        (FILE, lake.config.serve.redis),
    )
    for place, url in places:
        if url:
            if not _is_redis(url):
                raise BadInput(
                    f"the Redis URL of {place} can't be read: write it as redis://host:6379/0, "
                    "rediss://host:6379/0 or unix:///path/redis.sock"
                )
            return url
    return None


def _is_redis(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises
    except ValueError:
        return False
    return parts.scheme in SCHEMES


def _spool(option: str | None, lake: Lake) -> Path:
    """Return the spool's folder, which can be written."""
    chosen = option or lake.config.serve.spool
    spool = Path(chosen).expanduser().absolute() if chosen else lake.home / "spool"
    with writing(spool):
        spool.mkdir(parents=True, exist_ok=True)
        probe = spool / f".probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
        if not spool.is_relative_to(lake.home):
            _claim(spool, lake)
    return spool


def _claim(spool: Path, lake: Lake) -> None:
    """Make a new spool this lake's; raise BadInput where it is another's."""
    with suppress(FileExistsError), (spool / OWNER).open("x") as file:
        file.write(str(lake.home))
    owner = (spool / OWNER).read_text()
    if owner != str(lake.home):
        raise BadInput(
            f"the spool {spool} belongs to the lake {owner}: choose another with --spool, "
            f"or remove {spool / OWNER} where that lake was moved to {lake.home}"
        )


def _say(message: str) -> None:
    click.echo(f"replay: {message}", err=True)


def _counted(workers: int) -> str:
    return "1 worker" if workers == 1 else f"{workers} workers"
