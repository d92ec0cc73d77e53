"""What a file can fill in each table: the columns, how each is read, and what it must hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import pyarrow as pa

from replay.tables import Table


class Kind(Enum):
    """How a column's text is read and checked."""

    TEXT = "text"
    TIME = "time"
    BOOLEAN = "boolean"
    MONEY = "money"
    UNITS = "units"
    SIGNED = "signed"
    PROBABILITY = "probability"
    NUMBER = "number"
    INTEGERS = "integers"
    NUMBERS = "numbers"
    DECISION = "decision"
    OPEN = "open"


@dataclass(frozen=True)
class Target:
    """A column that a file can fill. `fills` is the table's column, where it goes by another name.

    A column that `follows` is computed where the file does not give it.
    """

    name: str
    kind: Kind
    required: bool
    fills: str


IMPORTABLE = ("clicks", "decisions", "verdicts", "purchases", "profiles_user", "profiles_ip")

# The importer gives these itself: places in the log order, clocks and cursors.
OURS: Mapping[str, frozenset[str]] = {
    "clicks": frozenset({"seq", "source", "store_epoch", "ingested_at"}),
    "decisions": frozenset({"seq", "ts"}),
    "verdicts": frozenset({"seq", "ts", "ledger_seq"}),
}
_UNITS = {"price_micros": "price", "amount_micros": "amount"}
_KINDS = {
    "price_micros": Kind.MONEY,
    "amount_micros": Kind.MONEY,
    "adjustment_micros": Kind.SIGNED,
    "probability": Kind.PROBABILITY,
    "decision": Kind.DECISION,
    "previous": Kind.DECISION,
}
_OPTIONAL = {"decided_at"}


def targets(table: Table) -> dict[str, Target]:
    """Return what a file can fill, by name; money in micros, and in units under a shorter name.

    >>> from replay.tables import TABLES
    >>> sorted(targets(TABLES["purchases"]))[:3]
    ['advertiser_id', 'amount', 'amount_micros']
    """
    found: dict[str, Target] = {}
    for field in table.schema:
        if field.name in OURS.get(table.name, ()):
            continue
        required = not field.nullable and field.name not in _OPTIONAL
        found[field.name] = Target(field.name, _kind(field), required, field.name)
        if units := _UNITS.get(field.name):
            found[units] = Target(units, Kind.UNITS, required, field.name)
    return found


def open_target(name: str) -> Target:
    """Return the target of a profile's own column."""
    return Target(name, Kind.OPEN, False, name)


def _kind(field: pa.Field) -> Kind:
    if field.name in _KINDS:
        return _KINDS[field.name]
    if pa.types.is_timestamp(field.type):
        return Kind.TIME
    if pa.types.is_boolean(field.type):
        return Kind.BOOLEAN
    if pa.types.is_list(field.type):
        return Kind.INTEGERS if pa.types.is_integer(field.type.value_type) else Kind.NUMBERS
    return Kind.NUMBER if pa.types.is_floating(field.type) else Kind.TEXT
