"""Probabilities from a graph in ONNX, the same bits whatever stands beside a click.

The graph takes the raw features of a click, as float32: the spec's facts, then its reals, in the
spec's order. As in `scorer.scoring`, batches have one size, are cut at fixed rows and padded with
zeros, and each is computed by one thread.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from scorer.errors import BadInput, BadModelFile, Inconsistent
from scorer.foreign.runtime import extra
from scorer.models.plain import Floats
from scorer.scoring import (
    BATCH_ROWS,
    LOGIT,
    SLAB_ROWS,
    Facts,
    Probabilities,
    Reals,
    choose_device,
)
from scorer.spec import Spec

Output = Literal["probability", "logit"]
Rows = npt.NDArray[np.float32]
ROUNDING = 1e-6  # by which a sum of shares may lie outside [0, 1]
CUDA = "CUDAExecutionProvider"
_PROVIDERS: dict[str, list[Any]] = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": [(CUDA, {"use_tf32": "0"}), "CPUExecutionProvider"],
}
_NO_CUDA = (
    "--device cuda: this ONNX Runtime has no CUDA; install onnxruntime-gpu in place of "
    "onnxruntime, or choose cpu or auto"
)


class OnnxScorer:
    """A graph, ready to score; `where` names it in errors."""

    def __init__(self, data: bytes, spec: Spec, output: Output, where: str) -> None:
        self._data = data
        self._shape = len(spec.facts), len(spec.reals)
        self.output = output
        self._where = where
        self._sessions = {"cpu": _session(data, "cpu", where)}
        self._input = self._sessions["cpu"].get_inputs()[0].name

    def has_cuda(self) -> bool:
        """Tell whether this ONNX Runtime was built for CUDA."""
        return CUDA in extra("onnxruntime").get_available_providers()

    def probabilities(
        self, facts: Facts, reals: Reals, device: str = "cpu", threads: int = 2
    ) -> Probabilities:
        """Return each click's probability of being robotic, float32 (n,); as `Scorer` does.

        A click with a NaN among its reals has the probability NaN, and so has one to which the
        graph gives what is no probability.
        """
        values = self.outputs(facts, reals, device, threads)
        values[np.isnan(reals).any(0)] = np.nan
        return values

    def served(self, facts: Floats, reals: Floats) -> Probabilities:
        """Return the probabilities of a few clicks, on this thread, each computed alone.

        The arrays are as in `probabilities`, in float64; it agrees with it within 1e-6.
        """
        rows = np.concatenate((facts, reals)).T.astype(np.float32, order="C")
        found = [self._run(self._sessions["cpu"], rows[k : k + 1]) for k in range(len(rows))]
        values = self._probability(np.concatenate([np.empty(0, np.float32), *found]))
        values[np.isnan(rows).any(1)] = np.nan
        return values

    def outputs(
        self, facts: Facts, reals: Reals, device: str = "cpu", threads: int = 2
    ) -> Probabilities:
        """Return what the graph makes of each click, NaN features included; see `probabilities`."""
        n = facts.shape[1]
        if (len(facts), *reals.shape) != (*self._shape, n):
            raise Inconsistent(
                f"features of shape {facts.shape} and {reals.shape} do not fit the spec's "
                f"{self._shape[0]} facts and {self._shape[1]} reals"
            )
        place = choose_device(device)
        score = partial(self._slab, self._on(place), facts, reals)
        slabs = range(0, n, SLAB_ROWS)
        parts = _pool(threads).map(score, slabs) if place == "cpu" else map(score, slabs)
        return np.concatenate([np.empty(0, np.float32), *parts])

    def raw(self, facts: Facts, reals: Reals) -> Rows:
        """Return what the graph itself gives for one batch of clicks, whatever its shape."""
        rows = _rows(facts, reals, 0, facts.shape[1])
        return self._call(self._sessions["cpu"], rows)

    def _slab(self, session: Any, facts: Facts, reals: Reals, at: int) -> Probabilities:  # noqa: ANN401
        """Score the slab that begins at row `at`, a multiple of BATCH_ROWS."""
        count = min(SLAB_ROWS, facts.shape[1] - at)
        rows = _rows(facts, reals, at, count)
        batches = range(0, len(rows), BATCH_ROWS)
        found = np.concatenate([self._run(session, rows[i : i + BATCH_ROWS]) for i in batches])
        return self._probability(found)[:count]

    def _run(self, session: Any, rows: Rows) -> Rows:  # noqa: ANN401
        """Return the graph's output for some rows, float32 (n,)."""
        found = self._call(session, rows)
        if found.shape not in ((len(rows),), (len(rows), 1)):
            raise BadModelFile(
                f"{self._where}: its output for {len(rows):,} clicks has the shape "
                f"{list(found.shape)} and not [{len(rows)}] or [{len(rows)}, 1]"
            )
        return found.reshape(-1)

    def _call(self, session: Any, rows: Rows) -> Rows:  # noqa: ANN401
        try:
            found: Rows = session.run(None, {self._input: rows})[0]
        except runtime_errors() as exc:
            raise BadModelFile(f"{self._where}: it can't be computed: {one_line(exc)}") from exc
        return found

    def _probability(self, values: Rows) -> Probabilities:
        """Read outputs as probabilities: NaN for what lies outside [0, 1] by more than rounding."""
        if self.output == "logit":
            logits = np.clip(values.astype(np.float64), -LOGIT, LOGIT)
            return (1 / (1 + np.exp(-logits))).astype(np.float32)
        found = np.clip(values, np.float32(0), np.float32(1))
        found[np.abs(values - found) > ROUNDING] = np.nan
        return found

    def _on(self, device: str) -> Any:  # noqa: ANN401
        if device not in self._sessions:
            if not self.has_cuda():
                raise BadInput(_NO_CUDA)
            self._sessions[device] = _session(self._data, device, self._where)
        return self._sessions[device]


def device_for(name: str, scorers: list[OnnxScorer]) -> str:
    """Return `cpu` or `cuda` for a `--device`; `auto` is cpu where a graph can't go elsewhere.

    Raises BadInput as `choose_device` does, and for `cuda` where ONNX Runtime lacks it.
    """
    chosen = choose_device(name)
    if chosen == "cpu" or all(scorer.has_cuda() for scorer in scorers):
        return chosen
    if name == "cuda":
        raise BadInput(_NO_CUDA)
    return "cpu"


def runtime_errors() -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime raises; its errors have no base of their own."""
    state = extra("onnxruntime.capi.onnxruntime_pybind11_state")
    found = (value for value in vars(state).values() if isinstance(value, type))
    return tuple(value for value in found if issubclass(value, Exception))


def one_line(exc: Exception) -> str:
    """Return what ONNX Runtime says of an error, without its numbers.

    >>> one_line(Exception("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : No graph\\n here."))
    'No graph here.'
    """
    said = " ".join(str(exc).split())
    return said.split(" : ", 3)[-1] if said.startswith("[ONNXRuntimeError]") else said


def _session(data: bytes, device: str, where: str) -> Any:  # noqa: ANN401
    """Open a graph for one device; each call of it is computed by the thread that makes it."""
    runtime = extra("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # errors are raised; warnings would be lines of their own
    try:
        session = runtime.InferenceSession(data, options, providers=_PROVIDERS[device])
    except runtime_errors() as exc:
        raise BadModelFile(f"{where}: ONNX Runtime can't load it: {one_line(exc)}") from exc
    if device == "cuda" and session.get_providers()[0] != CUDA:
        raise BadInput(_NO_CUDA)
    return session


def _rows(facts: Facts, reals: Reals, at: int, count: int) -> Rows:
    """Lay clicks out as rows of facts and reals, padded with zeros to a multiple of BATCH_ROWS."""
    split = len(facts)
    rows = np.zeros((-(-count // BATCH_ROWS) * BATCH_ROWS, split + len(reals)), np.float32)
    rows[:count, :split] = facts[:, at : at + count].T
    rows[:count, split:] = reals[:, at : at + count].T
    return rows


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "onnx")
