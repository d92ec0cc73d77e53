"""`replay skew`: what production's features were, against what the log gives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq

from replay.console import home_option, json_option, open_lake, print_json, progress, screen
from replay.lake import writing
from replay.skew.comparison import measure, prepare
from replay.skew.screen import skew_screen
from replay.span import Span, now_micros, parse_time
from replay.tables import TIMESTAMP
from scorer.errors import BadInput

VALUES = pa.schema(
    [
        ("ts", TIMESTAMP),
        ("click_id", pa.string()),
        ("spec_digest", pa.string()),
        ("feature", pa.string()),
        ("logged", pa.float64()),
        ("recomputed", pa.float64()),
        ("reason", pa.string()),
    ]
)


@click.command()
@click.option("--from", "from_", required=True, metavar="TIME", help="First moment, inclusive.")
@click.option("--to", required=True, metavar="TIME", help="Last moment, exclusive.")
@click.option(
    "--examples",
    type=click.IntRange(0, 10_000),
    default=5,
    show_default=True,
    help="How many clicks to show for each reason.",
)
@click.option("--out", metavar="FILE", help="Write every differing value to this Parquet file.")
@home_option
@json_option
@click.pass_context
def skew(
    ctx: click.Context,
    from_: str,
    to: str,
    examples: int,
    out: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Compare logged features with recomputed ones.

    Recomputed from the raw click log, for every click that production decided in the span.

    Every difference gets a reason: a flush of the store, clicks that it did not see, and so on.
    Exits 1 where any has none: then the service, the store or the log is not what it should be.

    \b
    Example:
      replay skew --from 2026-03-02T14:00 --to 2026-03-02T20:00
    """
    now = now_micros()
    span = Span(parse_time(from_, now), parse_time(to, now))
    prepared = prepare(open_lake(home), span)
    with _values(out) as emit, progress("skew", prepared.to_read) as advance:
        found = measure(prepared, examples, advance, emit)
    if as_json:
        print_json(found.to_json())
    else:
        console = screen()
        for part in skew_screen(found):
            console.print(part)
    ctx.exit(1 if found.unexplained else 0)


@contextmanager
def _values(out: str | None) -> Iterator[Callable[[pa.Table], None] | None]:
    """Open the file for differing values, which comes to be whole or not at all."""
    if out is None:
        yield None
        return
    path = Path(out)
    if not path.name or (path.exists() and not path.is_file()):
        raise BadInput(f"--out {out!r} names no file; give one, as in skew.parquet")
    unfinished = path.with_name(f".{path.name}.unfinished")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with pq.ParquetWriter(unfinished, VALUES, compression="zstd") as writer:
                yield lambda table: writer.write_table(table.cast(VALUES))
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
