"""What an audit is asked for, checked and made ready before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

from recovery.audit.judging import Plan
from replay.coverage import Coverage, cover
from replay.diff import production_models
from replay.labels import purchasing_clicks
from replay.lake import Lake
from replay.live.writers import log_lags, settled_until, unsettled_notes
from replay.production import Production, models_folder
from replay.reader import choose_slice_length
from replay.run import known_until, not_stored_notes, stored_versions
from replay.served import check_served
from replay.sessions import robotic_sessions
from replay.snapshot import Snapshot, connect, reading
from replay.span import Span, now_micros
from scorer.errors import BadInput
from scorer.registry import ModelVersion, Registry, common_device
from scorer.versions import resolve


@dataclass(frozen=True)
class Request:
    """What an auditor asks for; each of `models` may be production, previous or latest."""

    models: tuple[str, ...]
    span: Span
    device: str = "auto"
    as_of: int | None = None


@dataclass(frozen=True)
class Prepared:
    """A request made ready. `notes` follow from what is read, `unsettled` from this moment too."""

    lake: Lake
    request: Request
    plan: Plan
    coverage: Coverage
    known_until: int
    settled_until: int
    notes: tuple[str, ...]
    unsettled: tuple[str, ...]

    @property
    def to_read(self) -> int:
        """Upper bound of the clicks that are read, look-back included."""
        seen = Span(self.plan.span.start - self.plan.look_back, self.plan.span.end)
        return self.plan.snapshot.rows("clicks", seen)


def parse_models(text: str) -> tuple[str, ...]:
    """Read `A,B,C`; raise BadInput where a name is empty.

    >>> parse_models("v1, production")
    ('v1', 'production')
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise BadInput(f"--models {text!r} holds an empty name; write them as in v1,v2,production")
    return names


def prepare(lake: Lake, request: Request) -> Prepared:
    """Pin the lake and look at everything that can be wrong before anything is computed.

    Raises a BadInput of one kind or another: an unknown version or one named twice, a span outside
    the log, a version that the log can't serve.
    """
    present = now_micros()
    logs = log_lags(lake, present)  # before the snapshot, which then holds what they speak of
    snapshot = Snapshot.take(lake, request.as_of)
    registry = Registry(models_folder(lake))
    span = request.span
    with reading(snapshot), connect() as connection:
        versions = _load(registry, Production.read(snapshot), request.models)
        notes = [note for version in versions for note in check_served(snapshot, version)]
        ran = production_models(connection, snapshot, span)
        production, not_stored = stored_versions(registry, ran)
        look_back = max(version.spec.look_back for version in (*versions, *production))
        coverage = cover(connection, snapshot, span, look_back)
        known = known_until(snapshot, coverage.bounds.last)
        plan = Plan(
            snapshot=snapshot,
            span=span,
            versions=versions,
            production=production,
            purchases=purchasing_clicks(snapshot, span, known_by=known + 1),
            robotic=robotic_sessions(snapshot, span, known_by=known + 1),
            slice_length=choose_slice_length(snapshot, span),
            device=common_device(request.device, (*versions, *production)),
        )
    notes += coverage.notes(look_back)
    notes += not_stored_notes(not_stored)
    return Prepared(
        lake,
        request,
        plan,
        coverage,
        known,
        settled_until(logs, min(present, request.as_of or present)),
        tuple(notes),
        tuple(unsettled_notes(logs, span.end)),
    )


def _load(
    registry: Registry, pointer: Production, models: Sequence[str]
) -> tuple[ModelVersion, ...]:
    """Load the versions; raise BadInput where two names mean one."""
    asked: dict[str, str] = {}
    for model in models:
        name = resolve(model, registry, pointer)
        if name in asked:
            again = "" if asked[name] == model == name else f" (as {asked[name]} and {model})"
            raise BadInput(f"--models names {name} twice{again}; name every version once")
        asked[name] = model
    return tuple(registry.load(name) for name in asked)
