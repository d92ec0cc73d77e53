"""`replay audit`: several model versions on the same clicks."""

import click

from recovery.audit.auditing import execute, place
from recovery.audit.files import AUDIT, DIFFERENCES
from recovery.audit.forms import audit_json
from recovery.audit.preparing import Request, parse_models, prepare
from recovery.audit.report import audit_report
from replay.console import home_option, json_option, open_lake, print_json, progress, screen
from replay.runs import MANIFEST
from replay.span import Span, now_micros, parse_time


@click.command()
@click.option("--from", "from_", required=True, metavar="TIME", help="First moment, inclusive.")
@click.option("--to", required=True, metavar="TIME", help="Last moment, exclusive.")
@click.option(
    "--models", required=True, metavar="A,B,C", help="Versions; also production, previous, latest."
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to score."
)
@click.option("--as-of", metavar="TIME", help="Read the lake as it was known then.")
@click.option("--out", metavar="DIR", help="A new folder; else one in the lake's `audits`.")
@home_option
@json_option
def audit(
    from_: str,
    to: str,
    models: str,
    device: str,
    as_of: str | None,
    out: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Compare model versions on the same clicks.

    Reads the log of [from, to) once, decides every click with each version, and says beside
    production's decisions: metrics with 95% intervals in all and by slice, what differs between
    each two, how often they agree, what each would bill whom, and why. Writes a folder: audit.json
    (every figure), differences.parquet (every click that two versions decide differently) and
    manifest.json (digests of all that was read and written). The same log and versions give the
    same figures, byte for byte.

    \b
    Example:
      replay audit --from 2026-03-02T14:00 --to 2026-03-02T20:00 --models v0,v1,v2
    """
    now = now_micros()
    span = Span(parse_time(from_, now), parse_time(to, now))
    known = None if as_of is None else parse_time(as_of, now)
    request = Request(parse_models(models), span, device, known)
    lake = open_lake(home)
    folder = place(lake, out)
    prepared = prepare(lake, request)
    with progress("audit", prepared.to_read) as advance:
        manifest, found = execute(prepared, folder, advance)
    if as_json:
        document = manifest.model_dump(mode="json")
        print_json({"folder": str(folder), **document, "audit": audit_json(found)})
        return
    console = screen()
    for part in audit_report(found):
        console.print(part)
    for note in manifest.notes:
        click.echo(f"note: {note}")
    click.echo(f"\nwrote {AUDIT}, {DIFFERENCES} and {MANIFEST} to {folder}")
