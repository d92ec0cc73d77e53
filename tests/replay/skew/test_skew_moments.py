"""The moments that skew names: changes of store epoch, losses and surpluses, by hand."""

from pathlib import Path

import pytest

from replay.errors import OutsideLog
from replay.skew.comparison import measure, prepare
from replay.skew.moments import ONSETS_KEPT
from replay.span import Span
from scorer.spec import parse_spec
from tests.replay.skew.plain_service import HOUR, MINUTE, SECOND, PlainService, quiet, reasons
from tests.versions import START, ignore


def test_a_flush_is_named_with_its_reach(tmp_path: Path) -> None:
    """The gap sees half an hour back, the counts up to an hour: five clicks of u0 are touched."""
    service = PlainService()
    for minute in (0, 5, 10):
        service.take(START + minute * MINUTE, user_id="u0", ip=None)
    service.flush()
    for minute in (12, 20, 35, 59, 60, 70, 130):
        service.take(START + minute * MINUTE, user_id="u0", ip=None)
    service.take(START + 20 * MINUTE, user_id="new", ip=None)
    found = service.skew(tmp_path)
    (flush,) = found.flushes
    assert (flush.at, flush.click_id, flush.store_epoch) == (START + 12 * MINUTE, "k3", "e2")
    # At minute 60 the hour's six buckets begin at minute 10, so it still sees one lost click.
    assert (flush.reached, flush.different) == (5, 5)
    assert flush.last == START + 60 * MINUTE
    assert flush.features == {"clicks_user_1h": 5, "gap_ms_user": 1}
    assert reasons(found) == {"flush": (5, 6)}
    assert (found.outside, found.unexplained, found.onsets) == (5, 0, ())


def test_a_new_epoch_that_kept_its_counters_differs_in_nothing(tmp_path: Path) -> None:
    service = quiet(4)
    service.epoch += 1
    service.take(START + 30 * SECOND, user_id="u0")
    found = service.skew(tmp_path)
    (flush,) = found.flushes
    assert (flush.reached, flush.different, flush.features) == (1, 0, {})
    assert (found.different, found.outside) == (0, 1)


def test_two_stores_beside_each_other_are_told_apart(tmp_path: Path) -> None:
    """Epochs that take turns: each store counts its own clicks, and nothing is unexplained."""
    first, second = PlainService(), PlainService()
    second.epoch = 2
    for number in range(12):
        service = (first, second)[number % 2]
        row = service.take(START + number * SECOND, user_id="u", click_id=f"x{number:02}")
        row["seq"] = number
    first.clicks += second.clicks
    first.decided += second.decided
    found = first.skew(tmp_path)
    assert found.unexplained == 0
    assert found.different == 11
    assert [flush.store_epoch for flush in found.flushes] == ["e2"]


def test_a_click_that_the_log_lost_is_a_surplus(tmp_path: Path) -> None:
    service = PlainService()
    service.take(START - 2 * HOUR, user_id="other", ip=None)
    service.take(START, user_id="u", ip=None)
    service.take(START + 100 * SECOND, user_id="u", ip=None, kept=False)
    for second in (110, 120, 4000):
        service.take(START + second * SECOND, user_id="u", ip=None, click_id=f"s{second}")
    found = service.skew(tmp_path)
    assert reasons(found) == {"unexplained": (2, 5)}
    (onset,) = found.onsets
    assert (onset.kind, onset.click_id, onset.clicks) == ("surplus", "s110", 2)
    assert (onset.at, onset.last) == (START + 110 * SECOND, START + 120 * SECOND)
    # The gap tells the lost click's millisecond, and that it came before.
    assert onset.after == START + 100 * SECOND - 999
    assert onset.features == {"clicks_user_1m": 2, "clicks_user_1h": 2, "gap_ms_user": 1}


def test_keys_deleted_by_hand_are_named_by_their_moment(tmp_path: Path) -> None:
    """No epoch changes; all the same two deletions an hour's window apart are told apart."""
    service = quiet(30)
    service.flush(new_epoch=False)
    first = START + 30 * 7 * SECOND
    for number in range(60):
        service.take(first + number * 7 * SECOND, user_id=f"u{number % 2}")
    service.flush(new_epoch=False)
    second = first + 60 * 7 * SECOND
    for number in range(30):
        service.take(second + number * 7 * SECOND, user_id=f"u{number % 2}")
    found = service.skew(tmp_path)
    assert [(o.kind, o.at) for o in found.onsets] == [("short", first), ("short", second)]
    assert [o.click_id for o in found.onsets] == ["k30", "k90"]
    assert found.unexplained == sum(o.clicks for o in found.onsets) == 90
    assert found.onsets[1].last == START + 119 * 7 * SECOND
    assert found.flushes == ()
    assert reasons(found) == {"unexplained": (90, found.reasons[0].values)}


def test_a_part_of_the_log_is_compared_with_all_that_came_before(tmp_path: Path) -> None:
    """The flush lies before the span, and the first epoch before it."""
    service = quiet(10)
    service.flush()
    flushed = START + 10 * 7 * SECOND
    for number in range(10):
        service.take(flushed + number * 7 * SECOND, user_id="u0")
    lake, _ = service.lake(tmp_path)
    span = Span(flushed + 3 * 7 * SECOND, flushed + 6 * 7 * SECOND)
    found = measure(prepare(lake, span), 1, ignore)
    assert (found.clicks, found.different, found.unexplained) == (3, 3, 0)
    assert [(f.at, f.reached) for f in found.flushes] == [(flushed, 3)]
    assert (found.start, found.end) == (span.start, span.end)
    assert [e.click_id for e in found.examples] == ["k13"]
    with pytest.raises(OutsideLog, match="no click in"):
        prepare(lake, Span(START + HOUR, START + 2 * HOUR))


def test_moments_without_end_are_counted_and_not_kept(tmp_path: Path) -> None:
    spec = parse_spec({"counts": [{"entity": "user_id", "windows": ["1m@10s"]}], "flags": {}}, "m")
    service = PlainService(spec)
    for number in range(ONSETS_KEPT + 7):
        service.take(START + number * 2 * MINUTE, user_id="u")
        service.forget(("user_id",), "u")
        service.take(START + number * 2 * MINUTE + SECOND, user_id="u")
    found = service.skew(tmp_path)
    assert found.unexplained == ONSETS_KEPT + 7
    assert (len(found.onsets), found.onsets_left_out) == (ONSETS_KEPT, 7)
    assert [o.at for o in found.onsets[:2]] == [START + SECOND, START + 2 * MINUTE + SECOND]


def test_the_narrowest_window_tells_losses_apart(tmp_path: Path) -> None:
    """Two losses ten minutes apart, and windows of a minute and an hour that see them."""
    windows = ["1m@10s", "1h@10m"]
    spec = parse_spec({"counts": [{"entity": "user_id", "windows": windows}], "flags": {}}, "c")
    service = PlainService(spec)
    lost = (130, 730)
    for second in range(0, 1000, 10):
        if second in lost:
            service.flush(new_epoch=False)
        service.take(START + second * SECOND, user_id="u")
    found = service.skew(tmp_path)
    assert [o.at for o in found.onsets] == [START + second * SECOND for second in lost]
    assert [o.clicks for o in found.onsets] == [60, 27]
    # The last click whose minute still shows a loss began its window 10 s before it.
    assert [o.after for o in found.onsets] == [START + (second - 10) * SECOND for second in lost]


def test_a_flush_is_named_by_its_first_click_in_log_order(tmp_path: Path) -> None:
    service = PlainService()
    service.take(START, user_id="u")
    service.flush()
    for name in ("z", "a"):
        service.take(START + SECOND, user_id="u", click_id=name)
    (flush,) = service.skew(tmp_path).flushes
    assert (flush.click_id, flush.reached) == ("z", 2)
