"""How rows of `promotions` are shown."""

import json
from typing import Any, NoReturn

from recovery.production import Move
from replay.console import warn
from replay.lake import Lake
from replay.production import Promotion, open_versions
from replay.span import iso, iso_local
from scorer.errors import Inconsistent


def said(move: Move) -> str:
    """Return what a move did, as a line."""
    row = move.row
    return f"production: {move.before or 'none'} → {row.model_version}, since {iso_local(row.at)}"


def move_json(move: Move) -> dict[str, Any]:
    """Return a move as plain data, its time in UTC."""
    return {"before": move.before, **promotion_json(move.row)}


def promotion_json(row: Promotion) -> dict[str, Any]:
    """Return a row as plain data, its time in UTC; raise Inconsistent for metrics that are none."""
    try:
        metrics = json.loads(row.metrics, parse_constant=_refuse)
    except ValueError as exc:
        raise Inconsistent(
            f"promotions: the metrics of the row of {iso(row.at)} are no JSON; "
            "restore the table from a copy of the lake"
        ) from exc
    return {**vars(row), "at": iso(row.at), "metrics": metrics}


def warn_of_unknown(lake: Lake, *names: str) -> None:
    """Warn of versions that the history names and the lake does not hold."""
    stored = set(open_versions(lake).names())
    for name in sorted(set(names) - stored):
        warn(f"version {name!r} stands in the history and is not stored in {lake.home / 'models'}")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
