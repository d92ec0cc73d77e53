"""The benchmark of scoring, on a few clicks."""

from benchmarks.machine import read_machine
from benchmarks.scoring import LIBRARIES, Step, markdown, time_slices
from benchmarks.timed import Timed


def test_the_report_has_medians_and_the_largest_peak() -> None:
    runs = [Timed(0, seconds, seconds / 2, int(peak * 2**20)) for seconds, peak in ((3, 5), (1, 9))]
    runs.append(Timed(0, 2.0, 1.0, 2**20))
    lines = list(markdown(read_machine(LIBRARIES), 1_000, [Step("train", runs)], 7, [0.5, 0.25]))
    assert "| `train` | 3 | 2.00 s | 1.00 s | 3.00 s | 1.00 s | 9 MiB |" in lines
    assert lines[-1].startswith("| calibration of 7 slices, 200 clicks | 2 | 0.38 s | 0.25 s |")


def test_many_slices_are_calibrated() -> None:
    assert time_slices(20, 4_000) > 0
