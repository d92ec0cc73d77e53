"""Small lakes to publish in, and their ledgers beside the oracle's."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import pyarrow as pa
import pyarrow.parquet as pq

from recovery.gates import GATES
from recovery.ledger import Publication, head, read_ledger
from recovery.publishing import Terms
from replay.changes import CAUSES
from replay.lake import Lake
from replay.runs import MANIFEST, new_run_id
from replay.snapshot import Snapshot
from replay.span import Span, to_datetime
from replay.tables import VERDICTS
from tests.lakes import Row, add_rows, click, make_lake
from tests.oracles.ledger import Ledger, Outcome, Verdict
from tests.versions import HOUR, START, at_least, logged, run

SPANS = (
    Span(START, START + 48 * HOUR),
    Span(START, START + 24 * HOUR),
    Span(START + 12 * HOUR, START + 48 * HOUR),
)
MODELS = ("two", "three", "four")


@cache
def versions() -> Path:
    """Return a folder with the versions of MODELS: invalid from a user's 2nd, 3rd, 4th click on."""
    lake = make_lake(mkdtemp(prefix="versions"))
    for k, name in enumerate(MODELS, 2):
        at_least(lake, name, k)
    return lake.home / "models"


@dataclass(frozen=True)
class Base:
    """A lake without verdicts that is copied for every example, and what the oracle knows of it."""

    home: Path
    clicks: tuple[Row, ...]
    production: Mapping[str, str]

    def copy(self, home: Path) -> Lake:
        """Copy the lake."""
        shutil.copytree(self.home, home, symlinks=True)
        return Lake.open(home)

    def ledger(self) -> Ledger:
        """Return the oracle's ledger before any verdict."""
        return Ledger(self.clicks, self.production)


@cache
def base(seed: int, clicks: int = 12) -> Base:
    """Make a lake of clicks that collide: bursts of two users on two dates, three advertisers.

    One click in five costs nothing; production said valid, invalid, undecided or nothing.
    """
    draw = Random(seed)
    times = [START + day * 24 * HOUR + k * HOUR // 3 for day in (0, 1) for k in (0, 1, 1, 2)]
    rows = [
        click(
            draw.choice(times),
            draw.randrange(2),
            f"c{n:02}",
            user_id=draw.choice("uuv"),
            price_micros=draw.choice([0, 1, 250_000, 250_000, 3_000_001]),
            advertiser_id=(advertiser := draw.choice(["adv1", "adv2", "adv3"])),
            campaign_id=f"{advertiser}-{draw.choice('ab')}",
        )
        for n, _ in enumerate(range(clicks))
    ]
    rows.append(click(START + 30 * HOUR, 0, "alone", user_id="w"))  # a click in every span
    rows.append(click(START + 13 * HOUR, 0, "alone too", user_id="w"))
    said = {
        row["click_id"]: draw.choice(["valid", "valid", "invalid", "undecided", None])
        for row in rows
    }
    production = {click_id: word for click_id, word in said.items() if word}
    lake = make_lake(mkdtemp(prefix="base"))
    (lake.home / "models").symlink_to(versions())
    add_rows(
        lake,
        "decisions",
        [logged(r, None, production[r["click_id"]]) for r in rows if r["click_id"] in production],
    )
    add_rows(lake, "clicks", rows)
    return Base(lake.home, tuple(rows), production)


@dataclass(frozen=True)
class Said:
    """A finished run: rows of its decisions, and click id → cause of its changes."""

    run_id: str
    model: str
    folder: Path
    decisions: tuple[Row, ...]
    causes: Mapping[str, str]


_RUNS: dict[object, Said] = {}


def replayed(lake: Lake, origin: Base, oracle: Ledger, model: str, span: Span) -> Said:
    """Replay a span, once for a base and a state of its ledger.

    Parts hold neither wall time nor run id, so that a copy under a new id is what replaying
    the same again would write.
    """
    state = tuple((v.click_id, v.decision) for v in oracle.verdicts)
    key = (origin.home, model, span, state)
    if key not in _RUNS:
        done = run(lake, model, span)
        kept = Path(mkdtemp(prefix="run")) / done.manifest.run_id
        shutil.copytree(done.folder.path, kept)
        _RUNS[key] = Said(
            done.manifest.run_id,
            model,
            kept,
            tuple(done.rows("decisions")),
            done.by_click("changes", "cause"),
        )
        return _RUNS[key]
    return again(lake, _RUNS[key], Snapshot.take(lake).versions)


def again(lake: Lake, said: Said, table_versions: Mapping[str, int]) -> Said:
    """Put a run in a lake under a new id."""
    manifest = json.loads((said.folder / MANIFEST).read_text())
    run_id = new_run_id(to_datetime(START))
    folder = lake.home / "runs" / run_id
    shutil.copytree(said.folder, folder)
    manifest |= {"run_id": run_id, "table_versions": dict(table_versions)}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return replace(said, run_id=run_id)


def all_terms(*, rebill: bool) -> Terms:
    """Terms that override every gate that can be, as they object to anything on a tiny lake."""
    names = tuple(gate.name for gate in GATES if not gate.fixed)
    return Terms(rebill=rebill, overrides=names, reason="a test", by="tests")


def stored(lake: Lake) -> list[Row]:
    """Return the ledger's rows by ledger_seq, read from the table's files alone; times in µs."""
    delta = lake.delta("verdicts")
    if delta is None:
        return []
    tables = [pq.ParquetFile(uri).read() for uri in delta.file_uris()]
    rows = pa.concat_tables([VERDICTS.schema.empty_table(), *tables]).sort_by("ledger_seq")
    return plain(rows)


def plain(rows: pa.Table) -> list[Row]:
    """Return rows with their times as µs."""
    for name in ("ts", "issued_at"):
        rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(pa.int64()))
    found: list[Row] = rows.to_pylist()
    return found


def fixed(row: Row) -> Verdict:
    """Return the columns of a row that the oracle fixes."""
    return Verdict(**{name: row[name] for name in Verdict.__dataclass_fields__})


def assert_ledger(lake: Lake, oracle: Ledger) -> list[Row]:
    """Every column that is determined; what readers are given; and each click's balance."""
    rows = stored(lake)
    assert [fixed(row) for row in rows] == oracle.verdicts
    assert [row["ledger_seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert len({row["verdict_id"] for row in rows}) == len(rows)
    snapshot = Snapshot.take(lake)
    assert head(snapshot) == len(rows)
    given = [pa.Table.from_batches([b]) for b in read_ledger(snapshot)]
    assert [row for table in given for row in plain(table)] == rows
    for click_id in oracle.clicks:
        mine = sum(row["adjustment_micros"] for row in rows if row["click_id"] == click_id)
        assert mine == oracle.owed(click_id), click_id
    return rows


def assert_cause(row: Row, said: Said, oracle: Ledger) -> None:
    """Check what a verdict says of why, and of the run that it came from."""
    click_id = row["click_id"]
    (mine,) = (r for r in said.decisions if r["click_id"] == click_id)
    cause = row["reason"].partition("; overriding ")[0]
    if click_id in said.causes:
        assert cause == said.causes[click_id]
    elif oracle.first(click_id) == "undecided":
        assert cause == "availability"
    elif oracle.first(click_id) == row["decision"]:
        assert cause == "verdict"
    assert cause in CAUSES
    assert (row["model_version"], row["probability"]) == (said.model, mine["probability"])


def assert_record(record: Publication, outcome: Outcome) -> None:
    """The figures of a publication against the verdicts that the oracle added."""
    moved = {"credits": [0, 0], "rebills": [0, 0], "neutral": [0, 0]}
    for verdict in outcome.added:
        was, now = verdict.previous == "invalid", verdict.decision == "invalid"
        kind = "neutral" if was == now else "credits" if now else "rebills"
        moved[kind][0] += 1
        moved[kind][1] += verdict.adjustment_micros
    assert [record.credits.clicks, record.credits.micros] == moved["credits"]
    assert [record.rebills.clicks, record.rebills.micros] == moved["rebills"]
    assert [record.neutral, 0] == moved["neutral"]
    assert record.verdicts == len(outcome.added)
    numbers = [verdict.ledger_seq for verdict in outcome.added]
    assert [record.first, record.last] == [numbers[0], numbers[-1]]
    withheld = outcome.withheld
    assert (record.withheld.clicks, record.withheld.micros) == (
        len(withheld),
        sum(withheld.values()),
    )
    assert {v.run_id for v in outcome.added} == {record.run_id}
