"""Rows of `incident_truth`: what went wrong, and when; robots and people who come and go."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from replay.span import Span
from replay.tables import INCIDENT_TRUTH
from simulator.columns import HOUR
from simulator.rows import times
from simulator.scenario import Scenario

Row = tuple[str, str, Span, str]


def incident_rows(scenario: Scenario) -> pa.RecordBatch:
    """Return a scenario's rows, by their beginning."""
    rows = [*_robots(scenario), *_surges(scenario)]
    rows += [
        (each.incident_id, each.kind, each.span, each.description) for each in scenario.timeline
    ]
    rows.sort(key=lambda row: row[2])
    columns = {
        "incident_id": pa.array([row[0] for row in rows], pa.string()),
        "kind": pa.array([row[1] for row in rows], pa.string()),
        "from_ts": times(np.array([row[2].start for row in rows], np.int64)),
        "to_ts": times(np.array([row[2].end for row in rows], np.int64)),
        "description": pa.array([row[3] for row in rows], pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns, schema=INCIDENT_TRUTH.schema)


def _robots(scenario: Scenario) -> Iterator[Row]:
    for number, robot in enumerate(scenario.robots, start=1):
        if active := robot.active():
            hours, share = active[1] - active[0], robot.total(scenario.days)
            about = f"{robot.kind}: {share:.0%} of a day's human clicks in {hours:g} h"
            yield f"robots-{number}", f"robot_{robot.kind}", _span(scenario, active), about


def _surges(scenario: Scenario) -> Iterator[Row]:
    for number, surge in enumerate(scenario.humans.surges, start=1):
        span = _span(scenario, (surge.begins_hour, surge.begins_hour + surge.hours))
        about = f"{surge.kind}: {surge.lift:g} times the usual sessions, all of them people's"
        yield f"people-{number}", f"human_{surge.kind}", span, about


def _span(scenario: Scenario, active: tuple[float, float]) -> Span:
    start = scenario.span.start
    return Span(*(start + round(hours * HOUR) for hours in active))
