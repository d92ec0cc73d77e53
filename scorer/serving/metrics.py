"""What Prometheus sees of the service; any worker answers for all of them.

With `PROMETHEUS_MULTIPROC_DIR` set before prometheus_client is imported, each worker keeps its
figures in files there, and whichever worker is asked adds them up. Label values are the service's
own words, versions, and slices that a calibration knows: nothing that a caller sent makes a series.
"""

import os
from collections import Counter as Tally
from collections.abc import Collection, Sequence
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from scorer.serving.ports import Answer
from scorer.serving.problems import KINDS, Kind
from scorer.serving.state import Health

BUCKETS = (
    *(0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.003, 0.0035, 0.004, 0.0045, 0.005),
    *(0.006, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0),
)
SLICES = 64  # of one version that get a series of their own
VERSIONS = 256  # that a worker names in its life; later ones are `other`
LABEL_LENGTH = 120
OTHER = "other"
NONE = "none"

Mode = Literal["livesum", "livemax"]
Series = tuple[str, str, str]  # decision, slice, model


class Metrics:
    """The service's figures. Children are looked up once: `labels()` costs more than counting."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._latency = Histogram(
            "slidr_decision_seconds",
            "From the last byte of a request for decisions to its answer, in seconds.",
            registry=registry,
            buckets=BUCKETS,
        )
        self._decisions = Counter(
            "slidr_decisions",
            "Clicks by decision, slice (`other` where the calibration has none) and model version.",
            ["decision", "slice", "model"],
            registry=registry,
        )
        self._undecided = Counter(
            "slidr_undecided", "Undecided clicks by reason.", ["reason"], registry=registry
        )
        self._repeated = Counter(
            "slidr_repeated_clicks",
            "Clicks that the store had counted before under the same click_id.",
            registry=registry,
        )
        self._requests = Counter(
            "slidr_requests", "Requests by path and status.", ["path", "status"], registry=registry
        )
        problems = Counter(
            "slidr_problems",
            "Problems by type, those of single clicks of a batch included.",
            ["type"],
            registry=registry,
        )
        self._problems = {kind: problems.labels(kind.word) for kind in KINDS}
        self._gauges = Gauges(registry)
        self._series: dict[Series, Counter] = {}
        self._answered: dict[tuple[str, int], Counter] = {}
        self._slices: dict[str, frozenset[str]] = {}

    def know(self, version: str, slices: Collection[str]) -> None:
        """Hear of a version that was loaded, and of the slices that its calibration knows."""
        if version in self._slices or len(self._slices) < VERSIONS:
            named = sorted(key for key in slices if len(key) <= LABEL_LENGTH)
            self._slices[version] = frozenset(named[:SLICES])

    def observe_answers(self, answers: Sequence[Answer], seconds: float) -> None:
        """Count the answers of one request, which took so long."""
        self._latency.observe(seconds)
        if len(answers) == 1:
            self._count(answers[0])
            return
        for series, times in Tally(map(self._series_of, answers)).items():
            self._child(series).inc(times)
        reasons = [answer.reason for answer in answers if answer.decision == "undecided"]
        for reason, times in Tally(reasons).items():
            self._undecided.labels(reason).inc(times)
        if repeated := sum(answer.repeated for answer in answers):
            self._repeated.inc(repeated)

    def _count(self, answer: Answer) -> None:
        self._child(self._series_of(answer)).inc()
        if answer.decision == "undecided":
            self._undecided.labels(answer.reason).inc()
        if answer.repeated:
            self._repeated.inc()

    def observe_request(self, path: str, status: int) -> None:
        """Count a request; `path` is one of the service's own, or `other`."""
        key = path, status
        child = self._answered.get(key)
        if child is None:
            child = self._answered[key] = self._requests.labels(path, str(status))
        child.inc()

    def observe_problem(self, kind: Kind) -> None:
        """Count a problem that was answered with."""
        self._problems[kind].inc()

    def observe_health(self, health: Health, connections: int) -> None:
        """Take down how the worker stands; to be called about once a second."""
        self._gauges.set(health, connections, self._named(health.model_version))

    def render(self) -> bytes:
        """Return the text for Prometheus, of all workers; takes milliseconds."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _series_of(self, answer: Answer) -> Series:
        version, found = answer.model_version, answer.slice
        if version is None or (known := self._slices.get(version)) is None:
            return answer.decision, OTHER, self._named(version)
        return answer.decision, found if found in known else OTHER, version

    def _named(self, version: str | None) -> str:
        if version is None:
            return NONE
        return version if version in self._slices else OTHER

    def _child(self, series: Series) -> Counter:
        child = self._series.get(series)
        if child is None:
            child = self._series[series] = self._decisions.labels(*series)
        return child


class Gauges:
    """How the workers stand, as of their last second."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, mode: Mode, labels: Sequence[str] = ()) -> Gauge:
            return Gauge(f"slidr_{name}", text, labels, registry=registry, multiprocess_mode=mode)

        self._ready = gauge("workers_ready", "Workers that are ready.", "livesum")
        self._workers = gauge("workers", "Workers that live.", "livesum")
        self._connections = gauge("connections", "Open connections.", "livesum")
        self._open = gauge("store_breakers_open", "Workers that find the store away.", "livesum")
        self._age = gauge(
            "profile_age_seconds", "Since the profiles were last known up to date.", "livemax"
        )
        self._lag = gauge(
            "log_lag_seconds",
            "Age of the oldest answer that may not be in the lake yet.",
            "livemax",
        )
        self._model = gauge(
            "model_workers", "Workers that decide with a version.", "livesum", ["model"]
        )
        self._version: str | None = None

    def set(self, health: Health, connections: int, version: str) -> None:
        """Take down how this worker stands."""
        self._workers.set(1)
        self._ready.set(not health.missing)
        self._connections.set(connections)
        self._open.set(health.store_open)
        if health.profile_age_seconds is not None:
            self._age.set(health.profile_age_seconds)
        if health.log_lag_seconds is not None:
            self._lag.set(health.log_lag_seconds)
        if self._version not in (None, version):
            self._model.labels(self._version).set(0)
        self._model.labels(version).set(1)
        self._version = version
