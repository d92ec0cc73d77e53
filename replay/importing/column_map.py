"""The column map: which source column, constant or row number feeds which column of a table.

A map is TOML, described in `docs/import.md`. Without one, columns are taken by their names.
"""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from replay.errors import BadMap
from scorer.errors import nearest


def _as_text(value: object) -> object:
    """Write a TOML scalar as the text that a file would hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | Decimal) else value


Scalar = Annotated[str, BeforeValidator(_as_text)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ValueFrom(_Part):
    """Where one column's value comes from: exactly one of the first four, then how to read it."""

    column: str | None = None
    columns: tuple[str, ...] = ()
    constant: Scalar | None = None
    row_number: bool = False

    separator: str = "-"
    prefix: str = ""
    values: dict[str, Scalar] | None = None
    default: Scalar | None = None
    format: str = "iso"
    zone: str | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        origins = [self.column, self.columns or None, self.constant, self.row_number or None]
        if sum(origin is not None for origin in origins) != 1:
            raise ValueError("give exactly one of column, columns, constant, row_number")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The source columns that it reads."""
        return self.columns if self.column is None else (self.column,)


class RowFilter(_Part):
    """A condition on a source column; a row lands when it fulfils every one."""

    column: str
    equals: Scalar | None = None
    one_of: tuple[Scalar, ...] = ()
    present: bool | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        given = [self.equals, self.one_of or None, self.present]
        if sum(condition is not None for condition in given) != 1:
            raise ValueError("give exactly one of equals, one_of, present")
        return self


def _spelled_out(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


class ColumnMap(_Part):
    """A whole map. Without `columns`, every column is taken by its name."""

    table: str | None = None
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    order: str | None = None
    rows: tuple[RowFilter, ...] = ()
    columns: dict[str, Annotated[ValueFrom, BeforeValidator(_spelled_out)]] = {}

    @property
    def canonical(self) -> str:
        """The same text for the same map, however it is written."""
        return self.model_dump_json(exclude_defaults=True)


def read_map(path: Path, table: str) -> ColumnMap:
    """Read a map for `table`.

    Raises BadMap where the file is absent or no TOML, holds an unknown key (the nearest ones are
    named) or a value that does not fit, or is for another table.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as exc:
        raise BadMap(f"{path}: cannot be read: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise BadMap(f"{path}: not TOML: {exc}") from exc
    try:
        column_map = ColumnMap.model_validate(data)
    except ValidationError as exc:
        raise BadMap(f"{path}: " + "; ".join(_problem(e) for e in exc.errors())) from exc
    if column_map.table not in (None, table):
        raise BadMap(f"{path}: this map is for {column_map.table}, not for {table}")
    return column_map


def _problem(error: ErrorDetails) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the map"
    if error["type"] != "extra_forbidden":
        return f"{where}: {error['msg'].removeprefix('Value error, ')}"
    levels: dict[str, type[_Part]] = {"columns": ValueFrom, "rows": RowFilter}
    known = sorted(levels.get(str(error["loc"][0]), ColumnMap).model_fields)
    hint = nearest(str(error["loc"][-1]), known, f"Keys are {', '.join(known)}.")
    return f"unknown key {where}. {hint}"
