"""The incidents: one small file each, and one row here."""

from simulator.fault import IncidentKind
from simulator.incidents.bad_model import BAD_MODEL
from simulator.incidents.clock_step import CLOCK_STEP
from simulator.incidents.counters_flushed import COUNTERS_FLUSHED
from simulator.incidents.counters_stale import COUNTERS_STALE
from simulator.incidents.feature_zero import FEATURE_ZERO
from simulator.incidents.labels_missing import LABELS_MISSING
from simulator.incidents.log_late import LOG_LATE
from simulator.incidents.log_twice import LOG_TWICE
from simulator.incidents.service_down import SERVICE_DOWN
from simulator.incidents.threshold_mistyped import THRESHOLD_MISTYPED

__all__ = ["INCIDENTS"]

INCIDENTS: tuple[IncidentKind, ...] = (
    BAD_MODEL,
    LABELS_MISSING,
    THRESHOLD_MISTYPED,
    SERVICE_DOWN,
    COUNTERS_FLUSHED,
    COUNTERS_STALE,
    FEATURE_ZERO,
    CLOCK_STEP,
    LOG_LATE,
    LOG_TWICE,
)
