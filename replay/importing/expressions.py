"""DuckDB SQL for one mapped column: its text out of the source, its value, and what is wrong.

A map's words reach the SQL here and nowhere else: names of columns are looked up and become c0,
c1, …; every other word becomes a quoted literal.
"""

from collections.abc import Mapping

from replay.importing.column_map import RowFilter, ValueFrom
from replay.importing.targets import Kind
from replay.tables import DECISION_VALUES

EPOCHS = {"epoch_seconds": 1_000_000, "epoch_millis": 1000, "epoch_micros": 1}
_TIMES = "TIMESTAMPTZ '1970-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"
_HAS_OFFSET = "':.*([A-Za-z]|[+-][0-9:]+)$'"
_INTEGER = r"'[+-]?[0-9]{1,25}(\.0*)?'"


def literal(text: str) -> str:
    """Quote a text as an SQL literal.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Quote a name as an SQL identifier.

    >>> identifier('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def text_of(value: ValueFrom, places: Mapping[str, str]) -> str:
    """SQL for a column's text, null where it is empty; `places` has each source column's SQL."""
    if value.constant is not None:
        return f"nullif({literal(value.constant)}, '')"
    text = _joined(value, places)
    if value.values is not None:
        text = f"CASE {text} {_cases(value.values)} END"
    if value.prefix:
        text = f"{literal(value.prefix)} || {text}"
    return text if value.default is None else f"coalesce({text}, {literal(value.default)})"


def unlisted(value: ValueFrom, places: Mapping[str, str]) -> str:
    """SQL that is true where a value table has no entry for the source's value, and no default."""
    if value.values is None or value.default is not None:
        return "false"
    text = _joined(value, places)
    return f"({text} IS NOT NULL AND CASE {text} {_cases(value.values)} END IS NULL)"


def _joined(value: ValueFrom, places: Mapping[str, str]) -> str:
    if value.row_number:
        return "row::VARCHAR"
    return "(" + f" || {literal(value.separator)} || ".join(places[n] for n in value.sources) + ")"


def _cases(values: Mapping[str, str]) -> str:
    return " ".join(f"WHEN {literal(k)} THEN nullif({literal(v)}, '')" for k, v in values.items())


def condition(rows: RowFilter, places: Mapping[str, str]) -> str:
    """SQL that is true where a row fulfils the filter."""
    text = places[rows.column]
    if rows.present is not None:
        return f"{text} IS {'NOT ' if rows.present else ''}NULL"
    wanted = rows.one_of if rows.equals is None else (rows.equals,)
    return f"coalesce({text} IN ({', '.join(map(literal, wanted))}), false)"


def time_of(text: str, form: str, zone: str | None) -> str:
    """SQL for a time read from `text`; null where it is none. See `rule` for its bounds."""
    if scale := EPOCHS.get(form):
        number = f"TRY_CAST({text} AS DECIMAL(30, 6)) * {scale}::DECIMAL(7, 0)"
        return f"make_timestamptz(TRY_CAST({number} AS BIGINT))"
    local = f"timezone({literal(zone or 'UTC')}, %s)"
    if form != "iso":
        time = f"TRY_STRPTIME({text}, {literal(form)})"
        return time if "%z" in form or "%Z" in form else local % time
    if zone is None:
        return f"TRY_CAST({text} AS TIMESTAMPTZ)"
    return (
        f"CASE WHEN regexp_matches({text}, {_HAS_OFFSET}) THEN TRY_CAST({text} AS TIMESTAMPTZ) "
        f"ELSE {local % f'TRY_CAST({text} AS TIMESTAMP)'} END"
    )


def value_of(kind: Kind, text: str, value: ValueFrom) -> str:
    """SQL for a column's typed value; null where the text cannot be read."""
    match kind:
        case Kind.TIME:
            return time_of(text, value.format, value.zone)
        case Kind.BOOLEAN:
            return f"TRY_CAST({text} AS BOOLEAN)"
        case Kind.MONEY | Kind.SIGNED:
            return integer_of(text)
        case Kind.UNITS:
            # Decimals all the way; what is finer than a micro is rounded to the nearest one.
            return (
                f"TRY_CAST(TRY_CAST({text} AS DECIMAL(25, 6)) * 1000000::DECIMAL(7, 0) AS BIGINT)"
            )
        case Kind.PROBABILITY | Kind.NUMBER:
            return f"TRY_CAST({text} AS FLOAT)"
        case Kind.INTEGERS:
            return f"TRY_CAST({text} AS INTEGER[])"
        case Kind.NUMBERS:
            return f"TRY_CAST({text} AS FLOAT[])"
        case Kind.TEXT | Kind.DECISION | Kind.OPEN:
            return text


def integer_of(text: str) -> str:
    """SQL for a whole number; a plain cast would round 1.5 to 2."""
    return (
        f"CASE WHEN TRY_CAST({text} AS BIGINT)::VARCHAR = {text} THEN TRY_CAST({text} AS BIGINT) "
        f"WHEN regexp_full_match({text}, {_INTEGER}) "
        f"THEN TRY_CAST(TRY_CAST({text} AS DECIMAL(38, 6)) AS BIGINT) END"
    )


UNREADABLE = {
    Kind.TIME: "unparsable time",
    Kind.BOOLEAN: "not true or false",
    Kind.MONEY: "not a whole number of micros",
    Kind.SIGNED: "not a whole number of micros",
    Kind.UNITS: "not an amount of money",
    Kind.PROBABILITY: "not a number",
    Kind.NUMBER: "not a number",
    Kind.INTEGERS: "not a list of numbers",
    Kind.NUMBERS: "not a list of numbers",
}


def rule(kind: Kind, value: str) -> tuple[str, str] | None:
    """SQL that is true where a readable value breaks its column's rule, and the reason; or None."""
    match kind:
        case Kind.TIME:
            return f"NOT {value} BETWEEN {_TIMES}", UNREADABLE[kind]
        case Kind.MONEY | Kind.UNITS:
            return f"{value} < 0", "negative price"
        case Kind.PROBABILITY:
            return f"NOT {value} BETWEEN 0 AND 1", "probability outside 0 to 1"
        case Kind.NUMBER:
            return f"NOT isfinite({value})", "not a finite number"
        case Kind.INTEGERS | Kind.NUMBERS:
            return f"list_count({value}) <> len({value})", "not a list of numbers"
        case Kind.DECISION:
            known = ", ".join(map(literal, DECISION_VALUES))
            return f"{value} NOT IN ({known})", "no decision: valid, invalid or undecided"
        case _:
            return None
