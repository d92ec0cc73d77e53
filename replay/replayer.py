"""The replay itself: features, scores, decisions and their differences, slice by slice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.ahead import ahead
from replay.causes import Attribution
from replay.diff import Comparison
from replay.engine import Features
from replay.features import ClickSlice, stream_specs
from replay.floor import FLOOR_COLUMNS, NoiseFloor
from replay.logged import has_features, logged_features, overlay
from replay.production import Production
from replay.reader import CHOSEN, HOUR
from replay.snapshot import Snapshot
from replay.span import Span
from replay.tables import TIMESTAMP
from scorer.decisions import Decisions, decide
from scorer.registry import ModelVersion
from scorer.spec import Spec

CLICK_COLUMNS = ("advertiser_id", "campaign_id", "price_micros")
DECISION_COLUMNS = (
    "seq",
    "click_id",
    "ts",
    *CLICK_COLUMNS,
    "probability",
    "threshold",
    "slice",
    "decision",
    "borderline",
    "unseen_slice",
    "withheld",
    "production",
    "effective",
    "purchased",
)
CHANGE_COLUMNS = (
    "seq",
    "click_id",
    "ts",
    "kind",
    "cause",
    "production",
    "effective",
    "decision",
    "outcome",
    "advertiser_id",
    "campaign_id",
    "price_micros",
    "adjustment_micros",
    "probability",
    "threshold",
    "slice",
    "production_model",
    "production_probability",
)


@dataclass(frozen=True)
class Plan:
    """Everything that decides a run's parts, and nothing else.

    `stored` gives a production version by name, or None where it is not stored. `purchases` are
    the ids of the span's purchasing clicks; a click without one is *too early to know* where its
    attribution window ends after `known_until` (µs), the last moment that the lake knows of.
    With `noise_floor` the decisions have FLOOR_COLUMNS too.
    """

    snapshot: Snapshot
    span: Span
    version: ModelVersion
    production: Sequence[ModelVersion]
    purchases: pa.Array
    known_until: int
    slice_length: int
    features: str = "recomputed"
    chosen: str | None = None
    device: str = "cpu"
    threads: int = 2
    noise_floor: bool = False

    @property
    def slices(self) -> list[Span]:
        """The slices of time that the run is cut into, a part for each."""
        return (self.snapshot.clip(self.span) or self.span).cut(self.slice_length)

    @property
    def look_back(self) -> int:
        """How far before a slice the log is read, µs."""
        return max(spec.look_back for spec in self.specs)

    @property
    def specs(self) -> list[Spec]:
        """Every spec that the run needs features of, the replayed version's first."""
        specs = [self.version.spec, *(version.spec for version in self.production)]
        return list({spec.digest: spec for spec in specs}.values())


@dataclass(frozen=True)
class Replayed:
    """One slice's result: `decisions` of the chosen clicks, and the `changes` among them."""

    span: Span
    decisions: pa.Table
    changes: pa.Table


def replay(plan: Plan, advance: Callable[[int], None], first: int = 0) -> Iterator[Replayed]:
    """Replay the plan's slices from number `first` on; `advance` hears of the clicks read."""
    left = plan.slices[first:]
    if not left:
        return
    columns = [*CLICK_COLUMNS, *plan.version.manifest.slice_columns]
    for version in plan.production:
        columns += version.manifest.slice_columns
    slices = stream_specs(
        plan.snapshot,
        plan.specs,
        Span(left[0].start, left[-1].end),
        columns=list(dict.fromkeys(columns)),
        chosen=plan.chosen,
        slice_length=plan.slice_length,
        threads=plan.threads,
        advance=advance,
    )
    replayer = _Replayer(plan)
    for piece in ahead(slices):
        yield replayer.replay(piece)


class _Replayer:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._comparison = Comparison(plan.snapshot, plan.threads)
        self._production = {version.name: version for version in plan.production}
        self._attribution = Attribution(plan.version, self._production.get, plan.device)
        self._columns = DECISION_COLUMNS + (FLOOR_COLUMNS if plan.noise_floor else ())
        self._floor = None
        if plan.noise_floor:
            history = Production.read(plan.snapshot)
            self._floor = NoiseFloor(history, plan.production, plan.device, plan.threads)

    def replay(self, piece: ClickSlice) -> Replayed:
        piece = _chosen(piece) if self._plan.chosen else piece
        decisions = self._decide(piece)
        replayed = pa.table(
            {
                "place": np.arange(piece.clicks.num_rows),
                **{c: piece.clicks[c] for c in ("seq", "click_id", "ts", *CLICK_COLUMNS)},
                "probability": pa.array(decisions.probability, from_pandas=True),
                "threshold": decisions.threshold,
                "slice": decisions.slices,
                "decision": decisions.words,
                "borderline": decisions.borderline,
                "unseen_slice": decisions.unseen,
                "purchased": pc.is_in(piece.clicks["click_id"], value_set=self._plan.purchases),
            }
        )
        beside = self._comparison.beside(piece.span, replayed)
        if self._floor:
            known = {self._plan.version.name: decisions}
            beside = self._floor.beside(beside, piece.clicks, piece.features, known)
        changes = self._explain(piece, beside.filter(pc.is_valid(beside["kind"])))
        return Replayed(piece.span, _timed(beside.select(self._columns)), _timed(changes))

    def _decide(self, piece: ClickSlice) -> Decisions:
        plan = self._plan
        found = piece.features[plan.version.spec.digest]
        lacking = None
        if plan.features == "logged":
            found, lacking = self._logged(piece, found)
        decisions = decide(
            plan.version, piece.clicks, found.facts, found.reals, plan.device, plan.threads
        )
        if lacking is not None:
            decisions.probability[lacking] = np.nan
        return decisions

    def _logged(self, piece: ClickSlice, found: Features) -> tuple[Features, Sequence[int]]:
        """Return the logged features where there are any, and which clicks have none."""
        spec = self._plan.version.spec
        rows = self._comparison.logged(piece.span, piece.clicks["click_id"])
        result = Features(found.facts.copy(), found.reals.copy())
        lacking = np.ones(len(rows), np.bool_)
        for other in self._plan.specs:
            places = np.flatnonzero(has_features(rows, other))
            logged = logged_features(rows.take(places), other)
            mixed = overlay(spec, found.take(places), other, logged)
            result.facts[:, places], result.reals[:, places] = mixed.facts, mixed.reals
            lacking[places] = False
        return result, np.flatnonzero(lacking).tolist()

    def _explain(self, piece: ClickSlice, changed: pa.Table) -> pa.Table:
        """Add cause and outcome to the changes."""
        logged = self._comparison.logged(piece.span, changed["click_id"])
        for column in ("spec_digest", "facts", "reals", "model_version"):
            changed = changed.append_column(column, logged[column])
        causes = self._attribution.causes(changed, piece.clicks, piece.features)
        changed = changed.append_column("cause", pa.array(causes, pa.string()))
        return changed.append_column("outcome", self._outcomes(changed)).select(CHANGE_COLUMNS)

    def _outcomes(self, changed: pa.Table) -> pa.Array:
        """Say of each to-invalid change whether a purchase followed; null for other kinds."""
        window = self._plan.snapshot.lake.config.attribution_hours * HOUR
        open_still = pc.greater(changed["ts"], self._plan.known_until - window)
        outcome = pc.if_else(
            changed["purchased"],
            "purchased",
            pc.if_else(open_still, "too_early", "not_purchased"),
        )
        to_invalid = pc.equal(changed["decision"], "invalid")
        return pc.if_else(to_invalid, outcome, pa.scalar(None, pa.string()))


def _timed(rows: pa.Table) -> pa.Table:
    """Return rows with ts as a timestamp, for those who read the parts."""
    return rows.set_column(rows.column_names.index("ts"), "ts", rows["ts"].cast(TIMESTAMP))


def _chosen(piece: ClickSlice) -> ClickSlice:
    places = np.flatnonzero(piece.clicks[CHOSEN].to_numpy())
    features: Mapping[str, Features] = {k: f.take(places) for k, f in piece.features.items()}
    return ClickSlice(piece.span, piece.clicks.take(places), features)
