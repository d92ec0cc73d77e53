"""Going on with an interrupted run, where nothing changed that decides its parts.

Window state is not stored: the log is read again from one look-back before the first slice that
is not done, and the features come out the same. So do the bytes of every part.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from deltalake.exceptions import DeltaError

from replay.completing import complete, made_with
from replay.errors import BadInput
from replay.labels import purchasing_clicks
from replay.lake import Lake
from replay.production import models_folder
from replay.replayer import Plan
from replay.run import chosen_clicks
from replay.runs import RunManifest, code_version, same_log
from replay.snapshot import Snapshot, reading
from replay.span import Span, to_micros
from replay.summary import Summary
from replay.unfinished import RunPlan, Unfinished, keeping, reopen
from scorer.errors import UnknownModel
from scorer.registry import ModelVersion, Registry
from scorer.scoring import choose_device


@dataclass(frozen=True)
class Resumption:
    """An interrupted run, held by this process and ready to go on."""

    run: Unfinished
    plan: Plan

    @property
    def to_read(self) -> int:
        """At most how many clicks are read, the look-back's included."""
        left = self.plan.slices[self.run.slices_done :]
        if not left:
            return 0
        span = Span(left[0].start - self.plan.look_back, left[-1].end)
        return self.plan.snapshot.rows("clicks", span)

    def finish(self, advance: Callable[[int], None]) -> tuple[RunManifest, Summary]:
        """Replay what is missing and keep the run."""
        return complete(self.run, self.plan, advance, resumed=True)


@contextmanager
def resuming(lake: Lake, run_id: str) -> Iterator[Resumption]:
    """Give an interrupted run to finish; put it in place at the end.

    Raises BadInput where there is no such run, where another process writes it, and where the log,
    a model version, the settings or the program are not those that it began with.
    """
    with reopen(lake, run_id) as run:
        plan = _plan(lake, run.plan)
        with keeping(run):
            yield Resumption(run, plan)


def _plan(lake: Lake, kept: RunPlan) -> Plan:
    """Make the plan again that an interrupted run began with; raise BadInput where that is none."""
    _check_program(kept)
    if lake.config.attribution_hours != kept.attribution_hours:
        raise _changed(
            kept, f"attribution_hours was {kept.attribution_hours} in the lake's replay.toml"
        )
    snapshot = _snapshot(lake, kept)
    registry = Registry(models_folder(lake))
    version = _version(registry, kept, kept.model_version, kept.model_digest)
    production = [_version(registry, kept, *item) for item in kept.production_digests.items()]
    known = to_micros(kept.known_until)
    with reading(snapshot):
        return Plan(
            snapshot=snapshot,
            span=kept.span,
            version=version,
            production=production,
            purchases=purchasing_clicks(snapshot, kept.span, known_by=known + 1),
            known_until=known,
            slice_length=kept.slice_length_us,
            features=kept.features,
            chosen=chosen_clicks(kept.where, kept.sample, snapshot),
            device=_device(kept),
            noise_floor=kept.noise_floor,
        )


def _check_program(kept: RunPlan) -> None:
    then = {"replay": kept.code_version, **kept.made_with}
    now = {"replay": code_version(), **made_with()}
    for name in sorted(then.keys() | now.keys()):
        if then.get(name) != now.get(name):
            raise _changed(kept, f"{name} was {then.get(name)} and is {now.get(name)}")


def _snapshot(lake: Lake, kept: RunPlan) -> Snapshot:
    try:
        if lake.identity() == kept.lake_id and same_log(lake, kept):
            return Snapshot.at_versions(lake, kept.table_versions)
    except DeltaError as exc:
        said = str(exc).splitlines()[0].rstrip(".")
        raise _changed(kept, f"the log can't be read as it was: {said}") from exc
    raise _changed(kept, "the log is not the one that it read")


def _version(registry: Registry, kept: RunPlan, name: str, digest: str) -> ModelVersion:
    try:
        version = registry.load(name)
    except UnknownModel as exc:
        raise _changed(kept, f"model version {name!r} is gone") from exc
    if version.digest != digest:
        raise _changed(kept, f"model version {name!r} is another than it was")
    return version


def _device(kept: RunPlan) -> str:
    try:
        return choose_device(kept.device)
    except BadInput as exc:
        raise _changed(kept, f"it ran on {kept.device}, which this machine has not") from exc


def _changed(kept: RunPlan, what: str) -> BadInput:
    return BadInput(f"run {kept.run_id} can't be resumed: {what}; replay the span again")
