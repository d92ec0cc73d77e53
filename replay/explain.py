"""One click's whole story: what was logged, what the log gives, and what each version says."""

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from replay.engine import Features
from replay.features import stream_specs
from replay.lake import Lake
from replay.production import Production, models_folder
from replay.snapshot import Snapshot, connect, reading
from replay.span import Span
from scorer.decisions import decide
from scorer.errors import BadInput
from scorer.registry import ModelVersion, Registry
from scorer.spec import Spec

VERSIONS_SHOWN = 10


@dataclass(frozen=True)
class FeatureValue:
    """A feature as production logged it (None where it did not) and as the log gives it."""

    name: str
    logged: float | None
    recomputed: float

    @property
    def differs(self) -> bool:
        """Whether the logged value is another than the recomputed one."""
        return self.logged is not None and self.logged != self.recomputed


@dataclass(frozen=True)
class Opinion:
    """What one version says of the click on recomputed features."""

    version: str
    role: str
    probability: float
    threshold: float
    slice: str
    decision: str


@dataclass(frozen=True)
class Story:
    """A click, its production decision, its features and its verdicts, oldest first."""

    click: dict[str, Any]
    decision: dict[str, Any] | None
    features: tuple[FeatureValue, ...]
    opinions: tuple[Opinion, ...]
    verdicts: tuple[dict[str, Any], ...]
    purchases: tuple[dict[str, Any], ...]

    @property
    def effective(self) -> str | None:
        """The decision that stands: the last verdict's, else production's; None if neither."""
        if self.verdicts:
            return str(self.verdicts[-1]["decision"])
        return None if self.decision is None else str(self.decision["decision"])

    @property
    def billed_micros(self) -> int:
        """What the advertiser pays for the click as it stands."""
        return 0 if self.effective == "invalid" else int(self.click["price_micros"])


def tell(lake: Lake, click_id: str, as_of: int | None = None) -> Story:
    """Gather a click's story; raise BadInput where the log has no such click."""
    snapshot = Snapshot.take(lake, as_of)
    with reading(snapshot):
        return _tell(lake, snapshot, click_id)


def _tell(lake: Lake, snapshot: Snapshot, click_id: str) -> Story:
    with connect() as connection:
        found = _rows(connection, snapshot, "clicks", None, click_id)
        if not found:
            raise BadInput(
                f"no click {click_id!r} in the log; "
                '`replay sql "SELECT click_id FROM clicks LIMIT 5"` shows what ids look like'
            )
        click = found[0]
        span = Span(click["ts"], click["ts"] + 1)
        decisions = _rows(connection, snapshot, "decisions", span, click_id)
        verdicts = _rows(connection, snapshot, "verdicts", span, click_id)
        purchases = _rows(connection, snapshot, "purchases", None, click_id)
    decision = decisions[0] if decisions else None
    verdicts.sort(key=lambda row: row["ledger_seq"])
    versions = _versions(lake, snapshot, decision)
    logged_spec = next((v.spec for v, _ in versions if decision and _fits(decision, v.spec)), None)
    features, opinions = _recompute(snapshot, click_id, span, versions, logged_spec, decision)
    return Story(click, decision, features, opinions, tuple(verdicts), tuple(purchases))


def _rows(
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    table: str,
    span: Span | None,
    click_id: str,
) -> list[dict[str, Any]]:
    """Return a table's rows of one click; times as µs."""
    relation = connection.sql(
        f"SELECT * FROM {snapshot.source(table, span)} WHERE click_id = $click_id",
        params={"click_id": click_id},
    ).to_arrow_table()
    columns = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in relation.columns
    ]
    rows: list[dict[str, Any]] = pa.table(columns, names=relation.column_names).to_pylist()
    return rows


def _fits(decision: dict[str, Any], spec: Spec) -> bool:
    """Tell whether a decision carries features of this spec, of the right widths."""
    widths = [len(decision[column] or ()) for column in ("facts", "reals")]
    return decision["spec_digest"] == spec.digest and widths == [len(spec.facts), len(spec.reals)]


def _versions(
    lake: Lake, snapshot: Snapshot, decision: dict[str, Any] | None
) -> list[tuple[ModelVersion, str]]:
    """Return the versions to ask, each with its part in the story; the deciding one first."""
    registry = Registry(models_folder(lake))
    pointer = Production.read(snapshot)
    roles: dict[str, list[str]] = {}
    for name, role in (
        (decision and decision["model_version"], "decided"),
        (pointer.production(), "production"),
        (pointer.previous(), "previous"),
        *((name, "") for name in reversed(registry.names())),
    ):
        if name and name in registry.names():
            roles.setdefault(name, []).append(role)
    names = list(roles)[:VERSIONS_SHOWN]
    return [(registry.load(name), ", ".join(filter(None, roles[name]))) for name in names]


def _recompute(
    snapshot: Snapshot,
    click_id: str,
    span: Span,
    versions: list[tuple[ModelVersion, str]],
    logged_spec: Spec | None,
    decision: dict[str, Any] | None,
) -> tuple[tuple[FeatureValue, ...], tuple[Opinion, ...]]:
    """Rebuild the click's features under every spec, and let each version score them."""
    if not versions:
        return (), ()
    specs = {version.spec.digest: version.spec for version, _ in versions}
    columns = [column for version, _ in versions for column in version.manifest.slice_columns]
    (piece,) = stream_specs(
        snapshot, list(specs.values()), span, columns=list(dict.fromkeys(columns))
    )
    place = np.flatnonzero(np.asarray(piece.clicks["click_id"]) == click_id)
    clicks = piece.clicks.take(place)
    features = {digest: found.take(place) for digest, found in piece.features.items()}
    shown = logged_spec or versions[0][0].spec
    values = features[shown.digest]
    logged = None
    if decision and logged_spec:
        logged = [*(decision["facts"] or ()), *(decision["reals"] or ())]
    return (
        tuple(
            FeatureValue(name, None if logged is None else logged[row], value.item())
            for row, (name, value) in enumerate(
                zip(shown.names, [*values.facts[:, 0], *values.reals[:, 0]], strict=True)
            )
        ),
        tuple(
            _opinion(version, role, clicks, features[version.spec.digest])
            for version, role in versions
        ),
    )


def _opinion(version: ModelVersion, role: str, click: pa.Table, features: Features) -> Opinion:
    found = decide(version, click, features.facts, features.reals)
    return Opinion(
        version.name,
        role,
        float(found.probability[0]),
        float(found.threshold[0]),
        str(found.slices[0]),
        str(found.words[0]),
    )
