"""A whole run: from a request to a finished `runs/<run_id>/`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from replay.completing import answering, complete, made_with
from replay.coverage import Coverage, cover
from replay.diff import production_models
from replay.floor import standing_versions
from replay.labels import purchasing_clicks
from replay.lake import Lake
from replay.live.writers import LogLag, log_lags, settled_until, unsettled_notes
from replay.production import Production, models_folder
from replay.query import check_where
from replay.reader import choose_slice_length
from replay.replayer import Plan
from replay.runs import RunManifest, code_version, new_run_id, read_manifest, run_folder, run_ids
from replay.snapshot import Snapshot, connect, reading
from replay.span import Span, now_micros, to_datetime
from replay.summary import Summary
from replay.unfinished import RunPlan, begin
from scorer.errors import BadInput, UnknownModel
from scorer.registry import ModelVersion, Registry, common_device
from scorer.versions import resolve

FEATURES = ("recomputed", "logged")
SAMPLE_PARTS = 1_000_000


@dataclass(frozen=True)
class Request:
    """What on-call asks for; `model` may be production, previous or latest."""

    model: str
    span: Span
    features: str = "recomputed"
    device: str = "auto"
    where: str | None = None
    sample: str | None = None
    as_of: int | None = None
    noise_floor: bool = False

    def __post_init__(self) -> None:
        if self.noise_floor and self.features != "recomputed":
            raise BadInput(
                "--noise-floor is the difference that recomputed features make: "
                "it goes with --features recomputed"
            )


@dataclass(frozen=True)
class Prepared:
    """A request made ready: what will be read, and what is already known of it."""

    lake: Lake
    request: Request
    plan: Plan
    coverage: Coverage
    to_read: int
    not_stored: tuple[str, ...]
    settled_until: int
    logs: tuple[LogLag, ...]

    @property
    def look_back(self) -> int:
        """How far before the span the log is read, µs."""
        return self.plan.look_back

    @property
    def files(self) -> int:
        """How many of the click log's files are read."""
        span = Span(self.plan.span.start - self.look_back, self.plan.span.end)
        return len(self.plan.snapshot.pinned["clicks"].within(span))

    @property
    def expected_seconds(self) -> float | None:
        """How long the run should take, by the pace of the latest; None where there was none."""
        ids = run_ids(self.lake)
        if not ids:
            return None
        latest = read_manifest(run_folder(self.lake, ids[-1]))
        return round(self.to_read * latest.pace, 1)

    @property
    def notes(self) -> list[str]:
        """What a reader must know before trusting the figures."""
        found = self.coverage.notes(self.look_back)
        found += unsettled_notes(self.logs, self.request.span.end)
        return found + not_stored_notes(self.not_stored)

    def record(self, run_id: str, now: datetime) -> RunPlan:
        """Return what an interrupted run is resumed from, and the first half of its manifest."""
        plan, request = self.plan, self.request
        return RunPlan(
            run_id=run_id,
            lake_id=self.lake.identity(),
            created_at=now,
            settled_until=to_datetime(self.settled_until),
            known_until=to_datetime(plan.known_until),
            start=to_datetime(plan.span.start),
            end=to_datetime(plan.span.end),
            model_version=plan.version.name,
            model_digest=plan.version.digest,
            spec_digest=plan.version.spec.digest,
            production_models=tuple(version.name for version in plan.production),
            production_digests={version.name: version.digest for version in plan.production},
            features=plan.features,
            noise_floor=plan.noise_floor,
            where=request.where,
            sample=request.sample,
            as_of=None if request.as_of is None else to_datetime(request.as_of),
            device=plan.device,
            slice_length_us=plan.slice_length,
            slices=len(plan.slices),
            table_versions=plan.snapshot.versions,
            log_digest=plan.snapshot.digest(),
            code_version=code_version(),
            made_with=made_with(),
            attribution_hours=self.lake.config.attribution_hours,
            cold_start=self.coverage.cold_clicks,
            gap=self.coverage.gap_clicks,
            notes=tuple(self.notes),
        )


def prepare(lake: Lake, request: Request) -> Prepared:
    """Pin the lake and look at everything that can be wrong before anything is computed.

    Raises a BadInput of one kind or another: an unknown model, a span outside the log, a `where`
    that is no condition, a sample that is no share.
    """
    present = now_micros()
    logs = log_lags(lake, present)  # before the snapshot, which then holds what they speak of
    settled = settled_until(logs, min(present, request.as_of or present))
    snapshot = Snapshot.take(lake, request.as_of)
    registry = Registry(models_folder(lake))
    with reading(snapshot), connect() as connection:
        history = Production.read(snapshot)
        version = registry.load(resolve(request.model, registry, history))
        names = production_models(connection, snapshot, request.span)
        if request.noise_floor:
            names = list(dict.fromkeys([*names, *standing_versions(history, request.span)]))
        stored, not_stored = stored_versions(registry, names)
        specs = {v.spec.digest: v.spec for v in (version, *stored)}
        look_back = max(spec.look_back for spec in specs.values())
        chosen = chosen_clicks(request.where, request.sample, snapshot)
        with answering(request.where):
            coverage = cover(connection, snapshot, request.span, look_back, chosen or "true")
        known = known_until(snapshot, coverage.bounds.last)
        purchases = purchasing_clicks(snapshot, request.span, known_by=known + 1)
    plan = Plan(
        snapshot=snapshot,
        span=request.span,
        version=version,
        production=stored,
        purchases=purchases,
        known_until=known,
        slice_length=choose_slice_length(snapshot, request.span),
        features=request.features,
        chosen=chosen,
        device=common_device(request.device, (version, *stored)),
        noise_floor=request.noise_floor,
    )
    seen = Span(request.span.start - look_back, request.span.end)
    to_read = snapshot.rows("clicks", seen)
    return Prepared(lake, request, plan, coverage, to_read, not_stored, settled, logs)


def execute(prepared: Prepared, advance: Callable[[int], None]) -> tuple[RunManifest, Summary]:
    """Replay, write the parts, check that the figures reconcile, and keep the run.

    An error after the first slice leaves what `replay.resuming` goes on with, and a note says so.
    """
    now = datetime.now(UTC)
    with begin(prepared.lake, prepared.record(new_run_id(now), now)) as run:
        return complete(run, prepared.plan, advance)


def stored_versions(
    registry: Registry, names: Sequence[str]
) -> tuple[tuple[ModelVersion, ...], tuple[str, ...]]:
    """Load production's versions; name those that are not stored."""
    stored, not_stored = [], []
    for name in names:
        try:
            stored.append(registry.load(name))
        except UnknownModel:
            not_stored.append(name)
    return tuple(stored), tuple(not_stored)


def not_stored_notes(names: Sequence[str]) -> list[str]:
    """Say which of production's versions can't be loaded, and what follows from that."""
    return [
        f"production ran {name!r}, which is not stored: no cause can be found" for name in names
    ]


def known_until(snapshot: Snapshot, last_click: int) -> int:
    """Return the last moment that the lake knows of: its last click or purchase, µs."""
    with connect(1) as connection:
        query = f"SELECT epoch_us(max(ts)) FROM {snapshot.source('purchases')}"
        last_purchase = connection.sql(query).fetchall()[0][0]
    return max(last_click, last_purchase or last_click)


def chosen_clicks(where: str | None, sample: str | None, snapshot: Snapshot) -> str | None:
    """Return the SQL condition that says which clicks are replayed; None for all."""
    conditions = []
    if where is not None:
        with connect(1) as connection:
            where = check_where(connection, where, snapshot.source("clicks"))
        conditions.append(f"({where})")
    if sample is not None:
        parts = int(parse_share(sample, "--sample") * SAMPLE_PARTS)
        key = "md5_number_lower(coalesce(user_id, click_id))"
        conditions.append(f"{key} % {SAMPLE_PARTS} < {parts}")
    return " AND ".join(conditions) or None


def parse_share(text: str, option: str, *, zero: bool = False) -> Decimal:
    """Read `5%` or `0.05` as a share in (0, 1], or with `zero` in [0, 1]; else raise BadInput.

    >>> parse_share("5%", "--sample"), parse_share("0.25", "--sample")
    (Decimal('0.05'), Decimal('0.25'))
    """
    try:
        share = Decimal(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except InvalidOperation:
        share = Decimal(-1)
    if not (share.is_finite() and 0 <= share <= 1 and (share or zero)):
        bound = "at least 0" if zero else "above 0"
        raise BadInput(f"{option} {text!r} is no share: write 5% or 0.05, {bound} and at most 1")
    return share
