"""What stands in production now, and what the last day looked like."""

from dataclasses import dataclass

from replay.coverage import log_bounds
from replay.cursors import Lag, lags
from replay.errors import OutsideLog
from replay.lake import Lake
from replay.live.writers import LogLag, log_lags
from replay.production import Production
from replay.runs import read_manifest, run_folder, run_ids
from replay.snapshot import Snapshot, connect, reading
from replay.span import Span, iso
from scorer.metrics import Share

HOUR = 3_600_000_000
DAY = 24 * HOUR

_HOURS = """
SELECT epoch_us(c.ts) // {hour} * {hour}, count(*),
  count(*) FILTER (d.decision = 'invalid'),
  count(*) FILTER (d.decision = 'undecided'),
  count(*) FILTER (d.click_id IS NULL)
FROM {clicks} c LEFT JOIN {decisions} d USING (click_id)
GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True)
class HourStatus:
    """One hour of production: clicks by what was decided; `start` in µs."""

    start: int
    clicks: int
    invalid: int
    undecided: int
    missing: int


@dataclass(frozen=True)
class Status:
    """Production and its last day; `day` ends now, or at the log's end where that is earlier."""

    production: str | None
    since: int | None
    previous: str | None
    last_click: int | None
    day: Span | None
    hours: tuple[HourStatus, ...]
    open_incidents: tuple[str, ...]
    unpublished_runs: tuple[str, ...]
    sinks: tuple[Lag, ...]
    logs: tuple[LogLag, ...]

    @property
    def ivr(self) -> Share:
        """Invalid clicks of the day."""
        return Share(sum(h.invalid for h in self.hours), sum(h.clicks for h in self.hours))

    @property
    def undecided(self) -> Share:
        """Clicks of the day that production did not decide, or never logged."""
        left = sum(h.undecided + h.missing for h in self.hours)
        return Share(left, sum(h.clicks for h in self.hours))


def read_status(lake: Lake, now: int) -> Status:
    """Look at a lake; `now` in µs."""
    snapshot = Snapshot.take(lake)
    with reading(snapshot), connect() as connection:
        production = Production.read(snapshot)
        try:
            last = log_bounds(connection, snapshot).last
        except OutsideLog:
            last = None
        day = None if last is None else Span(min(now, last + 1) - DAY, min(now, last + 1))
        hours: list[HourStatus] = []
        if day:
            query = _HOURS.format(
                hour=HOUR,
                clicks=snapshot.source("clicks", day),
                decisions=snapshot.source("decisions", day),
            )
            hours = [HourStatus(*row) for row in connection.sql(query).fetchall()]
        incidents = connection.sql(
            f"SELECT incident_id || ': ' || summary FROM {snapshot.source('incidents')} "
            "WHERE to_ts IS NULL ORDER BY from_ts"
        ).fetchall()
        published = {
            run_id
            for (run_id,) in connection.sql(
                f"SELECT DISTINCT run_id FROM {snapshot.source('verdicts')}"
            ).fetchall()
        }
        sinks = lags(connection, snapshot, now)
    return Status(
        production.production(),
        production.history[-1].at if production.history else None,
        production.previous(),
        last,
        day,
        tuple(hours),
        tuple(text for (text,) in incidents),
        tuple(_unpublished(lake, published)),
        sinks,
        log_lags(lake, now),
    )


def _unpublished(lake: Lake, published: set[str]) -> list[str]:
    """Return the runs that found changes and have no verdict, but for samples, which get none."""
    found = []
    for run_id in run_ids(lake):
        manifest = read_manifest(run_folder(lake, run_id))
        if run_id not in published and manifest.counts["changed"] and not manifest.sample:
            found.append(
                f"{run_id}: {manifest.model_version} on {iso(manifest.span.start)} to "
                f"{iso(manifest.span.end)}, {manifest.counts['changed']:,} changes"
            )
    return found
