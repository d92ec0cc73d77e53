"""The benchmark of the simulator: its figures from its runs."""

from benchmarks.machine import read_machine
from benchmarks.simulator import LIBRARIES, Length, markdown
from benchmarks.timed import Timed


def test_the_report_has_medians_and_the_largest_peak() -> None:
    runs = [Timed(0, seconds, 2 * seconds, int(peak * 2**20)) for seconds, peak in ((4, 5), (1, 9))]
    runs.append(Timed(0, 2.0, 4.0, 2**20))
    length = Length(7, 1_000_000, 50 * 2**20, runs)
    line = list(markdown(read_machine(LIBRARIES), "quiet", [length]))[-1]
    assert line == "| 7 | 1,000,000 | 2.0 s | 500,000 | 4.0 s | 250,000 | 9 MiB | 50 MiB |"
