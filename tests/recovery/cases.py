"""A lake that is led through publish, deliver and revert, and what each must come to."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from recovery.gates import GATES
from recovery.reconcile import reconcile
from replay.lake import Lake
from replay.tables import VERDICTS
from tests.lakes import Row, make_lake
from tests.oracles.ledger import Ledger, Verdict
from tests.recovery.kills import Command
from tests.recovery.ledgers import versions
from tests.servers import Receiver, RedisServer
from tests.versions import HOUR, START, burst, run

SINK = "verdicts.ndjson"
FIXED = [name for name in Verdict.__dataclass_fields__ if name != "issued_at"]
TERMS = (
    "--yes",
    "--rebill",
    "--reason",
    "a test",
    "--override",
    ",".join(gate.name for gate in GATES if not gate.fixed),
)


@dataclass(frozen=True)
class Stage:
    """A command, and which of the ledger's states it leads from and to."""

    name: str
    command: Command
    before: int
    after: int


@dataclass(frozen=True)
class Servers:
    """Where verdicts go besides the file: one lake's at a time."""

    redis: RedisServer
    receiver: Receiver

    def settings(self, home: Path) -> str:
        """Return their tables of replay.toml; writes the secret that one of them takes."""
        (home / "secret").write_text("0123456789abcdef" * 2)
        return (
            f'[sinks.stream]\nkind = "redis"\nurl = "{self.redis.url}"\n'
            f'[sinks.hook]\nkind = "webhook"\nurl = "{self.receiver.url}"\n'
            'secret_file = "secret"\nbatch = 5\n'
        )

    def forget(self) -> None:
        """Begin with another lake."""
        self.receiver.taken.clear()
        with self.redis.client() as client:
            client.flushall()

    def check_part(self, known: Sequence[bytes]) -> set[str]:
        """Both have verdicts of the ledger alone, always in the same bytes; return those of each.

        The stream has each once, as its entries are numbered.
        """
        documents = {json.loads(text)["verdict_id"]: text for text in known}
        with self.redis.client() as client:
            entries: Any = client.xrange("verdicts")
        streamed = [fields[b"verdict_id"].decode() for _, fields in entries]
        assert [fields[b"verdict"] for _, fields in entries] == [documents[i] for i in streamed]
        assert len(streamed) == len(set(streamed))
        taken = list(self.receiver.taken)
        assert [event["data"] for event in taken] == [
            json.loads(documents[event["id"]]) for event in taken
        ]
        return set(streamed) & {event["id"] for event in taken}


@dataclass(frozen=True)
class Case:
    """A lake before any verdict, its stages, and the ledger's states by the oracle."""

    home: Path
    stages: tuple[Stage, ...]
    states: tuple[pa.Table, ...]
    servers: Servers | None = None

    def copy(self, home: Path) -> Path:
        """Copy the lake; data files are linked, as they are never written again."""
        if self.servers:
            self.servers.forget()
        return Path(shutil.copytree(self.home, home, symlinks=True, copy_function=link))

    def state(self, home: Path) -> int:
        """Return which state the ledger is in; fail where it is none of them."""
        rows = ledger(home).select(FIXED)
        for number, state in enumerate(self.states):
            if rows.equals(state):
                return number
        raise AssertionError(f"the ledger is in no state of the oracle: {rows.num_rows} rows")

    def check_part(self, home: Path) -> None:
        """Each sink has verdicts 1 to n, whole, and perhaps a line that the kill cut off."""
        sink = home / SINK
        lines = sink.read_bytes().split(b"\n")[:-1] if sink.exists() else []
        if lines:
            last = pj.read_json(pa.BufferReader(lines[-1])).to_pylist()[0]
            assert last["ledger_seq"] == len(lines)
            assert len(lines) <= ledger(home).num_rows

    def check_whole(self, home: Path) -> None:
        """The sink's file is the ledger, each verdict once; and everything adds up."""
        rows = ledger(home)
        options = pj.ParseOptions(
            explicit_schema=pa.schema(zip(rows.column_names, rows.schema.types, strict=True))
        )
        assert pj.read_json(home / SINK, parse_options=options).equals(rows)
        if self.servers:
            lines = (home / SINK).read_bytes().splitlines()
            assert self.servers.check_part(lines) == set(rows["verdict_id"].to_pylist())
        assert reconcile(Lake.open(home)).reconciles


def link(old: str, new: str) -> None:
    """Link a data file, copy another."""
    (os.link if old.endswith(".parquet") else shutil.copy2)(old, new)


def ledger(home: Path) -> pa.Table:
    """Return the ledger by ledger_seq, from the table's files alone."""
    delta = Lake.open(home).delta("verdicts")
    uris = [] if delta is None else delta.file_uris()
    files = [pq.ParquetFile(uri).read() for uri in uris]
    found = pa.concat_tables([VERDICTS.schema.empty_table(), *files]).sort_by("ledger_seq")
    return pa.table(found.columns, names=found.column_names).combine_chunks()


def make_case(
    home: Path,
    clicks: Sequence[Row],
    production: Mapping[str, str],
    model: str,
    servers: Servers | None = None,
) -> Case:
    """Add a run and a sink to a lake, and say what its stages must come to."""
    lake = Lake.open(home)
    done = run(lake, model)
    with (home / "replay.toml").open("a") as file:
        file.write(f'[sinks.file]\nkind = "ndjson"\npath = "{SINK}"\n')
        file.write(servers.settings(home) if servers else "")
    oracle, run_id = Ledger(clicks, production), done.manifest.run_id
    states = [state(oracle)]
    assert oracle.publish(run_id, done.rows("decisions"), 0, rebill=True).added
    states.append(state(oracle))
    assert oracle.revert(run_id, 0, rebill=True).added
    states.append(state(oracle))
    publish = Command(("verdicts", "publish", run_id, *TERMS))
    revert = Command(("verdicts", "revert", run_id, *TERMS))
    stages = (
        Stage("publish", publish, 0, 1),
        Stage("deliver", Command(("verdicts", "deliver")), 1, 1),
        Stage("revert", revert, 1, 2),
    )
    return Case(home, stages, tuple(states), servers)


def state(oracle: Ledger) -> pa.Table:
    """Return the oracle's ledger as a table of the columns that it fixes, without the clock's."""
    columns = {}
    for name in FIXED:
        kind = VERDICTS.schema.field(name).type
        values = [getattr(verdict, name) for verdict in oracle.verdicts]
        columns[name] = pa.array(values, pa.int64() if name == "ts" else kind).cast(kind)
    return pa.table(columns)


def large(home: Path, changed: int) -> Case:
    """A lake of two days on which a real run changes so many clicks."""
    each = 100
    clicks = [
        row
        for user in range(changed // (each - 1) + 1)
        for row in burst(
            each,
            f"u{user}-",
            START + (user % 36) * HOUR,
            advertiser_id=f"adv{user % 7}",
            campaign_id=f"camp{user % 23}",
            price_micros=user * 1_000 % 700_000,
        )
    ]
    lake = make_lake(home, clicks)
    (lake.home / "models").symlink_to(versions())
    return make_case(home, clicks, {}, "two")


def without_delivery(stage: Stage) -> Stage:
    """Return a stage that leaves delivering to `deliver`, whose steps are killed by themselves."""
    if stage.name == "deliver":
        return stage
    return replace(stage, command=Command((*stage.command.argv, "--no-deliver")))
