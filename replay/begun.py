"""How far the runs are that are not finished."""

from dataclasses import dataclass

from replay.errors import BadInput
from replay.lake import Lake
from replay.span import iso
from replay.unfinished import is_held, parts_of, read_plan, slices_done


@dataclass(frozen=True)
class Begun:
    """A run that is not finished: `status` is running or unfinished.

    All else is None where its plan is damaged.
    """

    run_id: str
    status: str
    model_version: str | None = None
    start: str | None = None
    end: str | None = None
    slices: int | None = None
    slices_done: int | None = None


def progress_of(lake: Lake, run_id: str) -> Begun:
    """Look how far a run is that is not finished."""
    status = "running" if is_held(lake, run_id) else "unfinished"
    try:
        plan = read_plan(lake, run_id)
    except BadInput:
        return Begun(run_id, status)
    done = slices_done(parts_of(lake, run_id), plan.slices)
    start, end = iso(plan.span.start), iso(plan.span.end)
    return Begun(run_id, status, plan.model_version, start, end, plan.slices, done)
