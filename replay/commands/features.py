"""`replay features`: point-in-time features as a Parquet file."""

from collections.abc import Iterator
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq

from replay.console import (
    Advance,
    home_option,
    json_option,
    open_lake,
    print_json,
    progress,
)
from replay.coverage import cover
from replay.features import FeatureSlice, stream
from replay.lake import Lake, writing
from replay.production import Production, open_versions
from replay.snapshot import Snapshot, connect, reading
from replay.span import Span, now_micros, parse_time
from replay.tables import TIMESTAMP
from scorer.errors import BadInput
from scorer.spec import Spec, load_spec
from scorer.versions import resolve


@click.command()
@click.option("--from", "from_", required=True, metavar="TIME", help="First moment, inclusive.")
@click.option("--to", required=True, metavar="TIME", help="Last moment, exclusive.")
@click.option("--model", metavar="V", help="Use the spec of this model version.")
@click.option("--spec", metavar="NAME|FILE", help="A shipped spec, or a TOML file.")
@click.option("--out", required=True, metavar="FILE", help="The Parquet file to write.")
@click.option("--as-of", metavar="TIME", help="Read the lake as it was known then.")
@home_option
@json_option
def features(
    from_: str,
    to: str,
    model: str | None,
    spec: str | None,
    out: str,
    as_of: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Write point-in-time features.

    One row per click of [from, to), in log order: seq, click_id, ts, then a column per feature of
    the spec, raw.

    \b
    Example:
      replay features --from 2026-03-02 --to 2026-03-03 --spec default --out build/features.parquet
    """
    if model is not None and spec is not None:
        raise BadInput("give --model or --spec, not both")
    now = now_micros()
    span = Span(parse_time(from_, now), parse_time(to, now))
    lake = open_lake(home)
    snapshot = Snapshot.take(lake, None if as_of is None else parse_time(as_of, now))
    wanted = _spec(lake, snapshot, model, spec)
    path = _out(out)
    with reading(snapshot):
        with connect() as connection:
            coverage = cover(connection, snapshot, span, wanted.look_back)
        with progress("features", coverage.clicks) as advance:
            rows = write_features(path, wanted, stream(snapshot, wanted, span), advance)
    if as_json:
        print_json({"file": out, "rows": rows, "spec_digest": wanted.digest})
    else:
        click.echo(f"wrote {rows:,} clicks with {len(wanted.names)} features each to {out}")


def _spec(lake: Lake, snapshot: Snapshot, model: str | None, spec: str | None) -> Spec:
    if model is None:
        return load_spec("default" if spec is None else spec)
    versions = open_versions(lake)
    name = resolve(model, versions, Production.read(snapshot))
    return versions.stored(name).manifest.spec


def _out(out: str) -> Path:
    """Return the file to write; raise BadInput where it is a folder, a device or nothing."""
    path = Path(out)
    if not path.name or (path.exists() and not path.is_file()):
        raise BadInput(f"--out {out!r} names no file; give one, as in features.parquet")
    return path


def write_features(path: Path, spec: Spec, slices: Iterator[FeatureSlice], advance: Advance) -> int:
    """Write the slices to a Parquet file, whole or not at all; return the number of rows."""
    schema = pa.schema(
        [
            ("seq", pa.int64()),
            ("click_id", pa.string()),
            ("ts", TIMESTAMP),
            *((name, pa.int32()) for name in spec.facts),
            *((name, pa.float32()) for name in spec.reals),
        ]
    )
    unfinished = path.with_name(f".{path.name}.unfinished")
    rows = 0
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
                for piece in slices:
                    writer.write_table(_table(piece, schema))
                    rows += piece.clicks.num_rows
                    advance(piece.clicks.num_rows)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return rows


def _table(piece: FeatureSlice, schema: pa.Schema) -> pa.Table:
    order = [piece.clicks["seq"], piece.clicks["click_id"], piece.clicks["ts"].cast(TIMESTAMP)]
    return pa.table([*order, *piece.facts, *piece.reals], schema=schema)
