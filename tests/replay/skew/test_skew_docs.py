"""docs/skew.md shows what `replay skew` says of the sample lake, had its store been flushed."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from replay.cli import main
from replay.decision_log import _lists
from replay.engine import Features
from replay.features import stream_specs
from replay.lake import Lake
from replay.logged import has_features, logged_features
from replay.production import open_versions
from replay.skew.comparison import MISSING
from replay.skew.reasons import REASONS, apart, windowed
from replay.snapshot import Snapshot, connect
from replay.span import Span, parse_time
from tests.lakes import add_rows

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "skew.md").read_text()
FLUSHED = parse_time("2026-03-02T10:00", 0)
DAYS = Span(parse_time("2026-02-28", 0), parse_time("2026-03-03", 0))


def flush_sample(home: Path, *, new_epoch: bool) -> None:
    """Copy the sample lake to `home` as if its store had been flushed at FLUSHED.

    Without a new epoch, the log has none, as where somebody deleted the keys by hand.
    """
    shutil.copytree(ROOT / "data" / "samples" / "lake", home)
    clicks, decisions = _rows(home, "clicks"), _rows(home, "decisions")
    for name in ("clicks", "decisions"):
        shutil.rmtree(home / name)
    times = clicks["ts"].cast(pa.int64()).to_numpy()
    epochs = pa.array(np.where(times < FLUSHED, "e1-5f0c", "e2-91ab"))
    place = clicks.column_names.index("store_epoch")
    told = clicks.set_column(place, "store_epoch", epochs)
    lake = Lake.open(home)
    add_rows(lake, "clicks", told)
    add_rows(lake, "decisions", _as_counted(lake, decisions))
    if not new_epoch:
        shutil.rmtree(home / "clicks")
        add_rows(lake, "clicks", clicks)


def _rows(home: Path, name: str) -> pa.Table:
    with connect(1) as connection:
        source = Snapshot.take(Lake.open(home)).source(name)
        query = f"SELECT * FROM {source} ORDER BY ts, seq, click_id"
        return connection.sql(query).to_arrow_table()


def _as_counted(lake: Lake, decisions: pa.Table) -> pa.Table:
    """Return the decisions with the counters of each store epoch alone."""
    versions = open_versions(lake)
    specs = {s.digest: s for s in (versions.manifest(name).spec for name in versions.names())}
    asked = [apart(spec, "store_epoch") for spec in specs.values()]
    (piece,) = stream_specs(Snapshot.take(lake), asked, DAYS, slice_length=DAYS.length * 9)
    assert piece.clicks["click_id"].equals(decisions["click_id"])
    tables = []
    for spec, own in zip(specs.values(), asked, strict=True):
        places = np.flatnonzero(has_features(decisions, spec))
        rows = decisions.take(places)
        logged: Features = logged_features(rows, spec)
        logged.facts[: len(windowed(spec))] = piece.features[own.digest].facts[:, places]
        column = rows.column_names.index("facts")
        tables.append(rows.set_column(column, "facts", _lists(logged.facts)))
    return pa.concat_tables(tables)


def said(home: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Return the exit code and the output lines, without runs of spaces."""
    with pytest.raises(SystemExit) as stopped:
        main(["skew", "--from", "2026-03-02", "--to", "2026-03-03", "--home", str(home)])
    assert isinstance(stopped.value.code, int)
    lines = capsys.readouterr().out.splitlines()
    return stopped.value.code, [" ".join(line.split()) for line in lines]


def shown(after: str) -> list[str]:
    """Return the lines of the page's first block after some words."""
    block = PAGE.partition(after)[2].partition("```text\n")[2].partition("```")[0]
    lines = [" ".join(line.split()) for line in block.splitlines()]
    assert len(lines) > 5
    return [line for line in lines if line not in ("…", "")]


@pytest.mark.parametrize(
    ("after", "new_epoch", "code"),
    [("## A flush", True, 0), ("## Keys that somebody deleted", False, 1)],
)
def test_the_page_shows_what_skew_says(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    after: str,
    new_epoch: bool,
    code: int,
) -> None:
    flush_sample(tmp_path / "lake", new_epoch=new_epoch)
    exited, lines = said(tmp_path / "lake", capsys)
    assert exited == code
    assert [line for line in shown(after) if line not in lines] == []


def test_the_page_names_every_reason_and_what_may_be_missing() -> None:
    for name in (*REASONS, *MISSING):
        assert f"| `{name}` |" in PAGE
