"""Simulated lakes for runs: production's decisions are recorded, and a candidate is stored."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pyarrow as pa

from benchmarks.serving.lake import replay
from replay.lake import Lake
from replay.production import models_folder
from replay.runs import RunFolder, run_folder, run_ids
from replay.snapshot import Snapshot, connect
from replay.span import Span, iso, to_micros
from replay.tables import CLICKS
from scorer.calibration import Calibration
from scorer.registry import Registry

START = datetime(2026, 3, 1, tzinfo=UTC)
LOOK_BACK = timedelta(days=1)
TRAINING_CLICKS = 300_000
PRODUCTION, CANDIDATE = "production-1", "candidate"
CHANGED = 0.03  # of each slice's clicks the candidate decides otherwise, about
HOT_IP = "198.51.100.7"


@dataclass(frozen=True)
class Size:
    """A log: people's clicks a day, days, and clicks of one address on the second day."""

    clicks_per_day: int
    days: int
    hot: int = 0

    @property
    def name(self) -> str:
        """The lake's folder."""
        hot = f"-hot-{self.hot}" if self.hot else ""
        return f"{self.clicks_per_day}-a-day-{self.days}-days{hot}"

    def span(self, days: int | None = None) -> Span:
        """Return what is decided: `days` from the second day on; the first is the look-back."""
        start = START + LOOK_BACK
        end = start + timedelta(days=self.days - 1 if days is None else days)
        return Span(to_micros(start), to_micros(end))


def make_lake(folder: Path, size: Size) -> Lake:
    """Make a lake, put in place when it is whole, or open the one made before."""
    home = folder / size.name
    if not home.exists():
        click.echo(f"lake: {home}", err=True)
        unfinished = home.with_name(f".{home.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _fill(unfinished, size)
        unfinished.rename(home)
    return Lake.open(home)


def forget_runs(lake: Lake) -> None:
    """Remove the lake's runs, so that rounds do not fill the disk."""
    for run_id in run_ids(lake):
        shutil.rmtree(lake.home / "runs" / run_id)


def _fill(home: Path, size: Size) -> None:
    volume = ("--clicks-per-day", str(size.clicks_per_day), "--days", str(size.days))
    replay(home, "simulate", "--scenario", "quiet", "--start", f"{START:%Y-%m-%d}", *volume)
    lake = Lake.open(home)
    if size.hot:
        lake.append("clicks", _hot_clicks(lake, size), ("benchmark/hot", 1))
    training = Span(to_micros(START), to_micros(START + _training_length(size)))
    replay(home, "train", *typed(training), "--name", PRODUCTION, "--device", "cpu")
    replay(home, "models", "promote", PRODUCTION, "--reason", "benchmark")
    whole = Span(to_micros(START), size.span().end)
    replay(home, "run", *typed(whole), "--model", PRODUCTION, "--device", "cpu")
    (run_id,) = run_ids(lake)
    replay(home, "import", "decisions", "--from-run", run_id)
    _store_candidate(lake, run_folder(lake, run_id))
    forget_runs(lake)


def _store_candidate(lake: Lake, recorded: RunFolder) -> None:
    """Store production's weights with a threshold per slice: one calls more invalid, one fewer."""
    query = f"""
        WITH shares AS (
          SELECT slice, avg((decision = 'invalid')::INTEGER) AS invalid,
            row_number() OVER (ORDER BY slice) % 2 = 0 AS more
          FROM {recorded.source("decisions")} GROUP BY slice
        ), wanted AS (
          SELECT slice, CASE WHEN more OR invalid < {CHANGED} THEN invalid + {CHANGED}
            ELSE invalid - {CHANGED} END AS invalid FROM shares
        ), places AS (
          SELECT slice, probability, cume_dist() OVER by_p AS place
          FROM {recorded.source("decisions")}
          WINDOW by_p AS (PARTITION BY slice ORDER BY probability)
        )
        SELECT slice, min(probability) FROM places JOIN wanted USING (slice)
        WHERE place > 1 - invalid GROUP BY slice ORDER BY slice
    """
    with connect() as connection:
        slices: dict[str, float] = dict(connection.sql(query).fetchall())
    registry = Registry(models_folder(lake))
    overall = registry.load(PRODUCTION).calibration.overall
    registry.recalibrate(CANDIDATE, PRODUCTION, Calibration(overall=overall, slices=slices), {})


def typed(span: Span) -> tuple[str, ...]:
    """Return a span as it is typed."""
    return ("--from", iso(span.start), "--to", iso(span.end))


def _hot_clicks(lake: Lake, size: Size) -> Iterator[pa.RecordBatch]:
    """Yield clicks of one address: those of the second day, with ids of their own."""
    given = {
        "seq": "seq + 1000000000000000",
        "click_id": "'hot-' || click_id",
        "user_id": "'hot-' || user_id",
        "session_id": "'hot-' || session_id",
        "ip": f"'{HOT_IP}'",
    }
    columns = ", ".join(f"{given.get(name, name)} AS {name}" for name in CLICKS.schema.names)
    source = Snapshot.take(lake).source("clicks", size.span(1))
    query = f"SELECT {columns} FROM {source} ORDER BY ts, seq, click_id LIMIT {size.hot}"
    with connect() as connection:
        rows = connection.sql(query).to_arrow_table()
    yield from rows.cast(CLICKS.schema).to_batches()


def _training_length(size: Size) -> timedelta:
    """Return the hours that hold enough clicks to learn from; a day of a small log."""
    hours = round(24 * TRAINING_CLICKS / size.clicks_per_day)
    return timedelta(hours=min(max(hours, 6), 24))
