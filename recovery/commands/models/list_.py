"""`replay models list`: the stored versions."""

import click

from replay.console import home_option, json_option, open_lake, print_json, screen, warn
from replay.formats import new_table
from replay.production import Production, open_versions, read_production
from scorer.errors import BadModelFile
from scorer.versions import Versions


@click.command("list")
@home_option
@json_option
def list_(home: str | None, as_json: bool) -> None:
    """List the stored versions, oldest first.

    \b
    Example:
      replay models list
    """
    lake = open_lake(home)
    versions, production = open_versions(lake), read_production(lake)
    rows = [_row(versions, production, name) for name in versions.names()]
    if as_json:
        print_json({"versions": rows})
        return
    headings = ("version", "stands as", "architecture", "trained to", ">FPR", ">IVR", "created")
    made = new_table(*headings)
    for row in rows:
        if row["problem"]:
            warn(str(row["problem"]))
        made.add_row(*(str(row[key]) if row[key] is not None else "" for key in _SHOWN))
    screen().print(made)


_SHOWN = ("version", "stands_as", "architecture", "trained_to", "fpr", "ivr", "created_at")


def _row(versions: Versions, production: Production, name: str) -> dict[str, object]:
    pointers = {production.production(): "production", production.previous(): "previous"}
    row: dict[str, object] = dict.fromkeys((*_SHOWN, "problem"))
    row |= {"version": name, "stands_as": pointers.get(name)}
    try:
        manifest = versions.manifest(name)
    except BadModelFile as exc:
        return row | {"problem": str(exc)}
    training = manifest.training
    return row | {
        "architecture": manifest.architecture,
        "trained_to": f"{training.end:%Y-%m-%d %H:%M}" if training else None,
        "fpr": _percent(manifest.metrics.get("fpr")),
        "ivr": _percent(manifest.metrics.get("ivr")),
        "created_at": f"{manifest.created_at:%Y-%m-%d %H:%M}",
    }


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"
