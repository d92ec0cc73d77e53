"""The lake's tables: columns, types, and what each is keyed and partitioned by.

Times are `timestamp[us, tz=UTC]`, money is integer micros, ids are strings. Every table has a
partition column `date`, the UTC date of its time column; it is kept in the folder names and not in
the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
MICROS = pa.int64()


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    """Build a schema; a name that ends in `?` may be null."""
    return pa.schema(
        [pa.field(name.removesuffix("?"), kind, name.endswith("?")) for name, kind in fields]
    )


@dataclass(frozen=True)
class Table:
    """One table: its file schema, its time column, and the columns that make a row unique.

    `open_columns` tables (profiles) take further numeric or boolean columns as they come.
    """

    name: str
    schema: pa.Schema
    time: str
    key: tuple[str, ...]
    open_columns: bool = False

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that its rows are written in the order of; log order where it has one."""
        if "seq" in self.schema.names:
            return ("ts", "seq", "click_id")
        return (self.time, *self.key)

    @property
    def bounded(self) -> tuple[str, ...]:
        """The columns whose least and greatest value each file's statistics carry."""
        return (self.time, *(c for c in ("ledger_seq",) if c in self.schema.names))


CLICKS = Table(
    "clicks",
    _schema(
        ("seq", pa.int64()),
        ("ts", TIMESTAMP),
        ("click_id", pa.string()),
        ("source", pa.string()),
        ("store_epoch?", pa.string()),
        ("user_id?", pa.string()),
        ("session_id?", pa.string()),
        ("ip?", pa.string()),
        ("user_agent?", pa.string()),
        ("device", pa.string()),
        ("logged_in", pa.bool_()),
        ("advertiser_id", pa.string()),
        ("campaign_id", pa.string()),
        ("ad_id?", pa.string()),
        ("query?", pa.string()),
        ("price_micros", MICROS),
        ("ingested_at", TIMESTAMP),
    ),
    time="ts",
    key=("click_id",),
)
DECISIONS = Table(
    "decisions",
    _schema(
        ("seq", pa.int64()),
        ("click_id", pa.string()),
        ("ts", TIMESTAMP),
        ("decided_at", TIMESTAMP),
        ("model_version?", pa.string()),
        ("probability?", pa.float32()),
        ("threshold?", pa.float32()),
        ("slice?", pa.string()),
        ("decision", pa.string()),
        ("reason", pa.string()),
        ("spec_digest?", pa.string()),
        ("facts?", pa.list_(pa.int32())),
        ("reals?", pa.list_(pa.float32())),
    ),
    time="ts",
    key=("click_id",),
)
PURCHASES = Table(
    "purchases",
    _schema(
        ("purchase_id", pa.string()),
        ("ts", TIMESTAMP),
        ("user_id?", pa.string()),
        ("click_id?", pa.string()),
        ("advertiser_id?", pa.string()),
        ("amount_micros", MICROS),
    ),
    time="ts",
    key=("purchase_id",),
)
PROFILES_USER, PROFILES_IP = (
    Table(
        name,
        _schema(("key", pa.string()), ("valid_from", TIMESTAMP)),
        time="valid_from",
        key=("key", "valid_from"),
        open_columns=True,
    )
    for name in ("profiles_user", "profiles_ip")
)
VERDICTS = Table(
    "verdicts",
    _schema(
        ("verdict_id", pa.string()),
        ("run_id", pa.string()),
        ("seq", pa.int64()),
        ("click_id", pa.string()),
        ("ts", TIMESTAMP),
        ("issued_at", TIMESTAMP),
        ("previous", pa.string()),
        ("decision", pa.string()),
        ("adjustment_micros", MICROS),
        ("advertiser_id", pa.string()),
        ("campaign_id", pa.string()),
        ("model_version?", pa.string()),
        ("probability?", pa.float32()),
        ("reason", pa.string()),
        ("follows?", pa.string()),
        ("ledger_seq", pa.int64()),
    ),
    time="ts",
    key=("verdict_id",),
)
PROMOTIONS = Table(
    "promotions",
    _schema(
        ("at", TIMESTAMP),
        ("model_version", pa.string()),
        ("action", pa.string()),
        ("by", pa.string()),
        ("reason", pa.string()),
        ("metrics", pa.string()),
    ),
    time="at",
    key=(),
)
QUARANTINE = Table(
    "quarantine",
    _schema(
        ("at", TIMESTAMP),
        ("table", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("column?", pa.string()),
        ("reason", pa.string()),
        ("row", pa.string()),
    ),
    time="at",
    key=(),
)
INCIDENTS = Table(
    "incidents",
    _schema(
        ("incident_id", pa.string()),
        ("from_ts", TIMESTAMP),
        ("to_ts?", TIMESTAMP),
        ("kind", pa.string()),
        ("summary", pa.string()),
    ),
    time="from_ts",
    key=("incident_id",),
)
TRUTH = Table(
    "truth",
    _schema(
        ("click_id", pa.string()),
        ("ts", TIMESTAMP),
        ("actor", pa.string()),
        ("kind", pa.string()),
        ("is_robot", pa.bool_()),
    ),
    time="ts",
    key=("click_id",),
)
INCIDENT_TRUTH = Table(
    "incident_truth",
    _schema(
        ("incident_id", pa.string()),
        ("kind", pa.string()),
        ("from_ts", TIMESTAMP),
        ("to_ts", TIMESTAMP),
        ("description", pa.string()),
    ),
    time="from_ts",
    key=("incident_id",),
)
DECISION_TRUTH = Table(
    "decision_truth",
    _schema(
        ("click_id", pa.string()),
        ("ts", TIMESTAMP),
        ("decision", pa.string()),
        ("incident_id?", pa.string()),
    ),
    time="ts",
    key=("click_id",),
)

# Readers pin in this order, clicks first: what a click refers to was committed before it.
LOG_TABLES: tuple[Table, ...] = (
    CLICKS,
    DECISIONS,
    PURCHASES,
    PROFILES_USER,
    PROFILES_IP,
    VERDICTS,
    PROMOTIONS,
    INCIDENTS,
    QUARANTINE,
)
TRUTH_TABLES: tuple[Table, ...] = (TRUTH, INCIDENT_TRUTH, DECISION_TRUTH)
TABLES: Mapping[str, Table] = {table.name: table for table in (*LOG_TABLES, *TRUTH_TABLES)}

DECISION_VALUES = ("valid", "invalid", "undecided")
