"""A map bound to a file: every target has its source, and the SQL that stages the file's rows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from replay.errors import BadMap
from replay.importing.column_map import ColumnMap, ValueFrom
from replay.importing.expressions import (
    EPOCHS,
    UNREADABLE,
    condition,
    identifier,
    integer_of,
    literal,
    rule,
    text_of,
    unlisted,
    value_of,
)
from replay.importing.files import SourceFile
from replay.importing.targets import Kind, Target, open_target, targets
from replay.tables import Table
from scorer.errors import nearest

FILTERED = "filtered"
BROKEN_JSON = "broken JSON"
# Tables of which only the lake can tell whether a row may land.
CHECKED_LATER = frozenset({"decisions", "verdicts", "profiles_user", "profiles_ip"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True)
class Plan:
    """How one file's rows become one table's rows."""

    table: Table
    source: SourceFile
    column_map: ColumnMap
    columns: tuple[tuple[Target, ValueFrom], ...]

    @property
    def open_columns(self) -> list[str]:
        """Names of a profile's own columns; their text is staged, their type is found later."""
        return [target.name for target, _ in self.columns if target.kind is Kind.OPEN]

    @property
    def filled(self) -> set[str]:
        """The table's columns that the file gives."""
        return {target.fills for target, _ in self.columns}

    @property
    def numbers_rows(self) -> bool:
        """Whether a key is made of the row number, which tells nothing about equal rows."""
        return any(v.row_number for t, v in self.columns if t.fills in self.table.key)

    def stage(self, relation: str) -> str:
        """SQL that selects, from the source's tables under the name `relation`, typed rows.

        Columns: row, line, text, problem (a struct of column and reason; null for a good row),
        order_key, fingerprint, and the table's columns that the file gives.
        """
        places = self._places()
        texts = [f"{text_of(v, places)} AS x{i}" for i, (_, v) in enumerate(self.columns)]
        missing = [f"{unlisted(v, places)} AS u{i}" for i, (_, v) in enumerate(self.columns)]
        kept = " AND ".join(condition(f, places) for f in self.column_map.rows) or "true"
        order = places[self.column_map.order] if self.column_map.order else "NULL::VARCHAR"
        values = [
            f"{value_of(t.kind, f'x{i}', v)} AS v{i}" for i, (t, v) in enumerate(self.columns)
        ]
        fills = [f"v{i} AS {identifier(t.fills)}" for i, (t, _) in enumerate(self.columns)]
        finger = f"md5_number({self._joined('chr(31)')})" if self.numbers_rows else "row"
        return f"""
            SELECT row, line, {self._kept_text()} AS text, problem, order_key, fingerprint,
                   {", ".join(fills)}
            FROM (SELECT *, {self._problem()} AS problem
            FROM (SELECT *, {", ".join(values)}, {integer_of("order_text")} AS order_key
            FROM (SELECT *, {kept} AS kept, {order} AS order_text,
                         {finger} AS fingerprint, {", ".join([*texts, *missing])}
            FROM ({self._records(relation)}))))
        """

    def _places(self) -> dict[str, str]:
        form = "fields[{}]" if self.source.kind == "NDJSON" else "CAST(c{} AS VARCHAR)"
        first = 1 if self.source.kind == "NDJSON" else 0
        return {
            name: f"nullif({form.format(i + first)}, '')"
            for i, name in enumerate(self.source.columns)
        }

    def _records(self, relation: str) -> str:
        """SQL for row, line, broken, text and the fields."""
        if self.source.kind != "NDJSON":
            return f"FROM {relation}"
        paths = ", ".join(literal(_pointer(name)) for name in self.source.columns)
        return f"""
            SELECT *, CASE WHEN broken IS NULL
                           THEN json_extract_string(text, [{paths}]::VARCHAR[]) END AS fields
            FROM (SELECT row, line, text,
                  CASE WHEN broken IS NOT NULL THEN broken
                       WHEN NOT json_valid(text) THEN '{BROKEN_JSON}'
                       WHEN json_type(text) <> 'OBJECT' THEN '{BROKEN_JSON}' END AS broken
                  FROM {relation})
        """

    def _kept_text(self) -> str:
        """SQL for the text of a row that is, or may yet be, bad; it is costly for every row."""
        text = f"coalesce(text, {self._joined(literal(self.source.delimiter))})"
        if self.table.name in CHECKED_LATER:
            return text
        return f"CASE WHEN problem.reason <> '{FILTERED}' THEN {text} END"

    def _joined(self, separator: str) -> str:
        """SQL for a record as one text; a Parquet record as JSON."""
        if self.source.kind == "NDJSON":
            return "text"
        columns = [f"c{i}" for i in range(len(self.source.columns))]
        if self.source.kind == "CSV":
            return f"concat_ws({separator}, {', '.join(columns)})"
        names = [literal(name) for name in self.source.columns]
        pairs = ", ".join(f"{n}: {c}" for n, c in zip(names, columns, strict=True))
        return f"to_json({{{pairs}}})::VARCHAR"

    def _problem(self) -> str:
        cases = [f"WHEN {sql} THEN {problem(name, why)}" for sql, name, why in self._checks()]
        return f"""CASE
            WHEN broken IS NOT NULL THEN {{'column': NULL::VARCHAR, 'reason': broken}}
            WHEN NOT kept THEN {problem(None, FILTERED)}
            {" ".join(cases)} END"""

    def _checks(self) -> Iterator[tuple[str, str, str]]:
        """Yield (SQL that is true where it fails, column, reason), in the order of the table."""
        if self.column_map.order:
            yield "order_key IS NULL", self.column_map.order, "order is not a whole number"
        for i, (target, _) in enumerate(self.columns):
            yield f"u{i}", target.name, "value not in the map's table"
            if target.required:
                yield f"x{i} IS NULL", target.name, "missing value"
            if reason := UNREADABLE.get(target.kind):
                yield f"x{i} IS NOT NULL AND v{i} IS NULL", target.name, reason
            if broken := rule(target.kind, f"v{i}"):
                yield broken[0], target.name, broken[1]


def problem(column: str | None, reason: str) -> str:
    """SQL for a problem's struct."""
    name = "NULL" if column is None else literal(column)
    return f"{{'column': {name}::VARCHAR, 'reason': {literal(reason)}}}"


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def bind(table: Table, source: SourceFile, column_map: ColumnMap, label: str) -> Plan:
    """Bind a map to a file.

    Raises BadMap, starting with `label`, where the map or the file's own names lack a column that
    the table needs, name one that is not there, or ask for a time format that cannot be read.
    """
    known = targets(table)
    if column_map.columns:
        columns = tuple(_mapped(table, source, column_map, label, known))
    else:
        columns = tuple(_by_name(table, source, known))
    plan = Plan(table, source, column_map, columns)
    named = [rows.column for rows in column_map.rows]
    for name in [*named, *([column_map.order] if column_map.order else [])]:
        _find(name, source, label)
    lacking = [t for t in known.values() if t.required and t.fills not in plan.filled]
    if lacking:
        names = ", ".join(t.name for t in lacking if t.name == t.fills)
        raise BadMap(
            f"{label}: nothing gives {table.name} its {names}; {source.path.name} has the columns "
            f"{', '.join(source.columns)}. Map them with --map (docs/import.md)."
        )
    return plan


def _by_name(
    table: Table, source: SourceFile, known: dict[str, Target]
) -> Iterator[tuple[Target, ValueFrom]]:
    for name in source.columns:
        target = known.get(name)
        if target is None and table.open_columns and _NAME.fullmatch(name) and name != "date":
            target = open_target(name)
        if target is None or (target.name != target.fills and target.fills in source.columns):
            continue
        yield target, ValueFrom(column=name)


def _mapped(
    table: Table, source: SourceFile, column_map: ColumnMap, label: str, known: dict[str, Target]
) -> Iterator[tuple[Target, ValueFrom]]:
    filled: set[str] = set()
    for name, value in column_map.columns.items():
        target = known.get(name)
        if target is None and table.open_columns and _NAME.fullmatch(name) and name != "date":
            target = open_target(name)
        if target is None:
            hint = nearest(name, known, f"It takes {', '.join(known)}.")
            raise BadMap(f"{label}: {table.name} takes no column {name!r}. {hint}")
        if target.fills in filled:
            raise BadMap(f"{label}: {target.fills} is given twice")
        filled.add(target.fills)
        for column in value.sources:
            _find(column, source, label)
        _check_time(name, target, value, label)
        yield target, value


def _find(name: str, source: SourceFile, label: str) -> None:
    if name not in source.columns:
        hint = nearest(name, source.columns, f"It has {', '.join(source.columns)}.")
        raise BadMap(f"{label}: {source.path.name} has no column {name!r}. {hint}")


def _check_time(name: str, target: Target, value: ValueFrom, label: str) -> None:
    timed = value.format != "iso" or value.zone is not None
    if timed and target.kind is not Kind.TIME:
        raise BadMap(f"{label}: {name} is no time: format and zone do not apply")
    if value.format in EPOCHS and value.zone:
        raise BadMap(f"{label}: {name}: an epoch has no zone")
    if value.format != "iso" and value.format not in EPOCHS and "%" not in value.format:
        known = ", ".join(["iso", *EPOCHS])
        raise BadMap(f"{label}: {name}: format is one of {known} or has % fields")
    try:
        with duckdb.connect() as connection:
            connection.execute("SELECT TRY_STRPTIME('', ?)", [value.format])
            connection.execute("SELECT timezone(?, TIMESTAMP '2000-01-01')", [value.zone or "UTC"])
    except duckdb.Error as exc:
        raise BadMap(f"{label}: {name}: {str(exc).splitlines()[0]}") from exc
