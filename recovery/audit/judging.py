"""The pass: every version's decision of every click of a span, beside production's.

The log is read once for all versions, features are computed once per distinct spec, and what
production logged is joined once per slice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.causes import Attribution
from replay.diff import Comparison, adjustment, kind, withheld
from replay.features import ClickSlice, stream_specs
from replay.snapshot import Snapshot, connect
from replay.span import Span
from scorer.decisions import decide
from scorer.registry import ModelVersion
from scorer.spec import Spec

CLICK_COLUMNS = ("advertiser_id", "campaign_id", "price_micros")
LOGGED_COLUMNS = ("spec_digest", "facts", "reals", "model_version")


@dataclass(frozen=True)
class Plan:
    """Everything that decides an audit's figures, and nothing else.

    `production` are the stored ones of the versions that production ran; `purchases` the ids of
    the span's purchasing clicks, `robotic` those of its robotic sessions.
    """

    snapshot: Snapshot
    span: Span
    versions: tuple[ModelVersion, ...]
    production: Sequence[ModelVersion]
    purchases: pa.Array
    robotic: pa.Array
    slice_length: int
    device: str = "cpu"
    threads: int = 2

    @property
    def specs(self) -> list[Spec]:
        """Every spec that features are needed of, once."""
        specs = [version.spec for version in (*self.versions, *self.production)]
        return list({spec.digest: spec for spec in specs}.values())

    @property
    def look_back(self) -> int:
        """How far before the span the log is read, µs."""
        return max(spec.look_back for spec in self.specs)

    @property
    def slicings(self) -> dict[tuple[str, ...], int]:
        """Slice columns → the first version that is calibrated by them."""
        found: dict[tuple[str, ...], int] = {}
        for number, version in enumerate(self.versions):
            found.setdefault(version.manifest.slice_columns, number)
        return found


def judge(plan: Plan, advance: Callable[[int], None]) -> Iterator[pa.Table]:
    """Yield a row per click of the span, in log order, slice by slice; none for an empty slice.

    Columns: place, seq, click_id, ts (int64 µs), CLICK_COLUMNS, purchased, robotic, sessionless,
    production, effective; and of each version, followed by _ and its number in the plan: decision,
    probability, threshold, slice, borderline, unseen, kind, withheld, adjustment and cause.
    `advance` hears of the clicks read.
    """
    columns = [*CLICK_COLUMNS, "session_id"]
    for version in (*plan.versions, *plan.production):
        columns += version.manifest.slice_columns
    judging = _Judging(plan)
    for piece in stream_specs(
        plan.snapshot,
        plan.specs,
        plan.span,
        columns=list(dict.fromkeys(columns)),
        slice_length=plan.slice_length,
        threads=plan.threads,
        advance=advance,
    ):
        if piece.clicks.num_rows:
            yield judging.judge(piece)


class _Judging:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._comparison = Comparison(plan.snapshot, plan.threads)
        self._connection = connect(plan.threads)
        stored = {version.name: version for version in plan.production}
        self._attributions = [Attribution(v, stored.get, plan.device) for v in plan.versions]
        changes = [
            f"{kind(f'decision_{n}', f'borderline_{n}')} AS kind_{n}, "
            f"{withheld(f'decision_{n}', f'borderline_{n}')} AS withheld_{n}, "
            f"CASE WHEN {kind(f'decision_{n}', f'borderline_{n}')} IS NOT NULL "
            f"THEN {adjustment(f'decision_{n}')} END AS adjustment_{n}"
            for n in range(len(plan.versions))
        ]
        self._query = f"SELECT *, {', '.join(changes)} FROM standing ORDER BY place"

    def judge(self, piece: ClickSlice) -> pa.Table:
        standing = self._comparison.standing(piece.span, self._decided(piece))
        standing = standing.drop_columns(["production_model", "production_probability"])
        self._connection.register("standing", standing)
        judged = self._connection.sql(self._query).to_arrow_table()
        self._connection.unregister("standing")
        for number, causes in enumerate(self._causes(piece, judged)):
            judged = judged.append_column(f"cause_{number}", causes)
        return judged

    def _decided(self, piece: ClickSlice) -> pa.Table:
        """Return the clicks with every version's decision."""
        plan, clicks = self._plan, piece.clicks
        columns: dict[str, object] = {
            "place": np.arange(clicks.num_rows),
            **{name: clicks[name] for name in ("seq", "click_id", "ts", *CLICK_COLUMNS)},
            "purchased": pc.is_in(clicks["click_id"], value_set=plan.purchases),
            "robotic": pc.is_in(clicks["session_id"], value_set=plan.robotic),
            "sessionless": pc.is_null(clicks["session_id"]),
        }
        for number, version in enumerate(plan.versions):
            found = piece.features[version.spec.digest]
            made = decide(version, clicks, found.facts, found.reals, plan.device, plan.threads)
            columns |= {
                f"decision_{number}": made.words,
                f"probability_{number}": pa.array(made.probability, from_pandas=True),
                f"threshold_{number}": made.threshold,
                f"slice_{number}": made.slices,
                f"borderline_{number}": made.borderline,
                f"unseen_{number}": made.unseen,
            }
        return pa.table(columns)

    def _causes(self, piece: ClickSlice, judged: pa.Table) -> Iterator[pa.Array]:
        """Yield each version's causes: a word where it changes a decision, null elsewhere."""
        changed = [
            np.flatnonzero(pc.is_valid(judged[f"kind_{number}"]).to_numpy())
            for number in range(len(self._plan.versions))
        ]
        places = np.unique(np.concatenate(changed))
        logged = self._comparison.logged(piece.span, judged["click_id"].take(places))
        pairs = zip(self._attributions, changed, strict=True)
        for number, (attribution, mine) in enumerate(pairs):
            theirs = logged.take(np.searchsorted(places, mine)).select(LOGGED_COLUMNS)
            rows = judged.select(["place", "production"]).take(mine)
            rows = rows.append_column("decision", judged[f"decision_{number}"].take(mine))
            for name in LOGGED_COLUMNS:
                rows = rows.append_column(name, theirs[name])
            causes = np.full(len(judged), None, object)
            causes[mine] = attribution.causes(rows, piece.clicks, piece.features)
            yield pa.array(causes, pa.string())
