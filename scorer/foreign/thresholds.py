"""The thresholds that a foreign model is held to, from a TOML file.

overall = 0.5
slice_columns = ["device", "logged_in"]     # this is the default

[slices]
"device=desktop,logged_in=true" = 0.62
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scorer.calibration import Calibration
from scorer.errors import BadInput, nearest
from scorer.slices import DEFAULT_COLUMNS
from scorer.spec import ENTITY_COLUMNS

COLUMNS = (*ENTITY_COLUMNS, "logged_in")  # what both the click log and a live click hold
_VALUE = re.compile(r"(?:[^%,=]|%25|%2C|%3D)*")
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True)
class Thresholds:
    """Thresholds, and the columns whose values make a slice."""

    calibration: Calibration
    slice_columns: tuple[str, ...]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    overall: _Share
    slice_columns: list[str] = Field(default=list(DEFAULT_COLUMNS), min_length=1)
    slices: dict[str, _Share] = {}


def parse_thresholds(text: str, where: str) -> Thresholds:
    """Read a thresholds file; raise BadInput naming `where` and all that is wrong.

    >>> found = parse_thresholds('overall = 0.5\\nslices."device=tv,logged_in=true" = 1', "t.toml")
    >>> found.calibration.slices
    {'device=tv,logged_in=true': 1.0}
    """
    try:
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise BadInput(f"{where}: not TOML: {exc}") from exc
    except ValidationError as exc:
        said = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        raise BadInput(f"{where}: {'; '.join(said)}") from exc
    if problems := [*_column_problems(file.slice_columns), *_slice_problems(file)]:
        raise BadInput(f"{where}: {'; '.join(problems)}")
    calibration = Calibration(overall=file.overall, slices=file.slices)
    return Thresholds(calibration, tuple(file.slice_columns))


def _column_problems(columns: list[str]) -> Iterator[str]:
    for column in columns:
        if column not in COLUMNS:
            hint = nearest(column, COLUMNS, f"Known: {', '.join(COLUMNS)}.")
            yield f"slices can't be made by {column!r}. {hint}"
    if len(set(columns)) < len(columns):
        yield "slice_columns names a column twice"


def _slice_problems(file: _File) -> Iterator[str]:
    for key in file.slices:
        parts = [part.partition("=") for part in key.split(",")]
        values = {column: value for column, _, value in parts}
        if [*values] != file.slice_columns or not all(map(_VALUE.fullmatch, values.values())):
            form = ",".join(f"{column}=…" for column in file.slice_columns)
            yield f"{key!r} is no slice by {', '.join(file.slice_columns)}: write it as {form}"
        elif values.get("logged_in", "true") not in ("true", "false"):
            yield f"{key!r}: logged_in is true or false"
