"""What the log lacks around a span: where it begins, and the holes in it."""

from pathlib import Path

import pytest

from replay.coverage import Coverage, cover
from replay.errors import OutsideLog
from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.span import Span, iso
from tests.lakes import click, make_lake
from tests.versions import HOUR, START, at_least, run

FULL = 14  # the fewest clicks beside an hour that make its emptiness worth a word


def hours(counts: list[int], start: int = START) -> list[dict[str, object]]:
    """So many clicks in each hour from `start` on, from its first µs on."""
    return [
        click(start + h * HOUR + k, k, f"{h}-{k}") for h, n in enumerate(counts) for k in range(n)
    ]


def covered(lake: Lake, span: Span, look_back: int = HOUR) -> Coverage:
    with connect(1) as connection:
        return cover(connection, Snapshot.take(lake), span, look_back)


def part(first: float, last: float) -> Span:
    return Span(START + int(first * HOUR), START + int(last * HOUR))


@pytest.mark.parametrize(
    ("start", "cold"), [(0, 2), (1, 1), (HOUR - 1, 1), (HOUR, 0), (HOUR + 1, 0)]
)
def test_cold_start_is_a_window_that_reaches_before_the_log(
    tmp_path: Path, start: int, cold: int
) -> None:
    """Clicks at 0, one µs before a look-back later, and just there."""
    lake = make_lake(tmp_path, [click(START + t) for t in (0, HOUR - 1, HOUR, HOUR + 1)])
    found = covered(lake, Span(START + start, START + 5 * HOUR))
    assert found.cold_clicks == cold
    assert found.bounds == (START, START + HOUR + 1)


def test_a_span_from_before_the_log_is_cold_too(tmp_path: Path) -> None:
    lake = make_lake(tmp_path, [click(START)])
    assert covered(lake, part(-50, 1)).cold_clicks == 1
    assert covered(lake, part(-50, 1), look_back=0).cold_clicks == 0


@pytest.mark.parametrize(
    ("counts", "gaps"),
    [
        ([FULL, 0, FULL], [(1, 2)]),
        ([FULL, 0, 0, FULL], [(1, 3)]),
        ([FULL, 0, FULL, 0, FULL], [(1, 2), (3, 4)]),
        ([FULL - 1, 0, FULL], []),
        ([FULL, 0, FULL - 1], []),
        ([FULL, 1, FULL], []),
        ([FULL, FULL], []),
        ([FULL, 0, 1, 0, FULL], []),  # a quiet hour beside each
    ],
)
def test_hours_that_their_neighbours_do_not_explain(
    tmp_path: Path, counts: list[int], gaps: list[tuple[int, int]]
) -> None:
    lake = make_lake(tmp_path, hours(counts))
    assert covered(lake, part(0, 10)).gaps == tuple(part(a, b) for a, b in gaps)


@pytest.mark.parametrize(
    ("span", "gap", "touched"),
    [
        ((0, 5), True, FULL),  # the hour after the gap, and not the one after that
        ((2, 5), True, FULL),
        ((2.5, 5), True, 0),  # its clicks stand at the start of the hour
        ((3, 5), False, 0),  # a look-back later the gap is out of sight
        ((0, 1), False, 0),
        ((0, 1.5), True, 0),  # ends in the gap: the neighbour after it lies beyond the span
        ((2.01, 2.02), True, 0),
    ],
)
def test_a_gap_is_named_where_the_span_or_a_window_sees_it(
    tmp_path: Path, span: tuple[float, float], gap: bool, touched: int
) -> None:
    log = hours([FULL, 0, FULL, FULL])
    log += [click(START + int(h * HOUR), 0, f"at {h}") for h in (0.5, 2.015, 4.5)]
    found = covered(make_lake(tmp_path, log), part(*span))
    assert bool(found.gaps) == gap
    at = START + int(2.015 * HOUR)
    extra = bool(found.gaps) and part(*span).start <= at < part(*span).end
    assert found.gap_clicks == touched + extra


def test_a_gap_whose_neighbour_is_older_than_the_look_back(tmp_path: Path) -> None:
    """Hours before what is read are known all the same."""
    lake = make_lake(tmp_path, hours([FULL, 0, 0, 0, FULL, FULL]))
    found = covered(lake, part(4, 5))
    assert (found.gaps, found.gap_clicks) == ((part(1, 4),), FULL)


def test_overlapping_reaches_count_a_click_once(tmp_path: Path) -> None:
    lake = make_lake(tmp_path, hours([FULL, 0, FULL, 0, FULL]))
    found = covered(lake, part(0, 10), look_back=5 * HOUR)
    assert (len(found.gaps), found.gap_clicks) == (2, 2 * FULL)


@pytest.mark.parametrize("span", [(-2, -1), (1.5, 1.6), (20, 30)])
def test_a_span_without_a_click_names_the_log(tmp_path: Path, span: tuple[float, float]) -> None:
    lake = make_lake(tmp_path, hours([1, 0, 0, 1]))
    with pytest.raises(OutsideLog) as stop:
        covered(lake, part(*span))
    assert str(part(*span)) in str(stop.value)
    assert iso(START) in str(stop.value)
    assert iso(START + 3 * HOUR) in str(stop.value)


def test_an_empty_log(tmp_path: Path) -> None:
    with pytest.raises(OutsideLog, match="the click log is empty; bring clicks in"):
        covered(make_lake(tmp_path), part(0, 1))


def test_a_run_says_so(tmp_path: Path) -> None:
    lake = make_lake(tmp_path, hours([FULL, 0, FULL]))
    at_least(lake, "b", 1000)
    done = run(lake, "b")
    assert (done.manifest.counts["cold_start"], done.manifest.counts["gap"]) == (FULL, FULL)
    assert [note.split(":")[0] for note in done.manifest.notes] == ["cold start", "gap", "gap"]
    assert f"{part(1, 2)}" in done.manifest.notes[1]
    assert run(lake, "b", part(3 - 1, 3)).manifest.counts["cold_start"] == 0
