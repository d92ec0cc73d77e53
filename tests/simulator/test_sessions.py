"""Sessions: lengths as asked for, and clicks that repeat others of the same session."""

import numpy as np

from simulator.columns import DEVICES
from simulator.draw import generator
from simulator.sessions import (
    DOUBLE_CLICK,
    FARTHEST_REVISIT,
    MEAN_LENGTH,
    SECOND,
    THINK_SECONDS,
    Shape,
    draw_lengths,
    draw_shape,
)

COUNT = 60_000


def shape(device: int, *, comparers: bool = False) -> Shape:
    rng = generator(3, device)
    lengths = draw_lengths(rng, COUNT)
    return draw_shape(rng, lengths, np.full(COUNT, device), np.full(COUNT, comparers))


def test_lengths_average_what_the_rate_of_sessions_is_made_from() -> None:
    lengths = draw_lengths(generator(3), COUNT)
    assert abs(lengths.mean() - MEAN_LENGTH) < 5 * lengths.std() / np.sqrt(COUNT)


def test_clicks_repeat_only_their_own_session_s_and_none_to_come() -> None:
    made = shape(1, comparers=True)
    rows = np.arange(len(made.session))
    assert (made.source <= rows).all()
    assert (made.session[made.source] == made.session).all()
    assert (np.diff(made.offset)[np.diff(made.session) == 0] > 0).all()
    first = np.flatnonzero(np.diff(made.session, prepend=-1))
    assert (made.offset[first] == 0).all()


def test_devices_double_click_as_often_as_they_should() -> None:
    for device in range(len(DEVICES)):
        made = shape(device)
        follows = np.diff(made.session) == 0
        quick = np.diff(made.offset)[follows] < 900_000
        expected = DOUBLE_CLICK[device]
        # A think time of 0.8 to 0.9 s would count too: fewer than one in 1,000.
        bound = 5 * np.sqrt(expected / follows.sum()) + 0.001
        assert abs(quick.mean() - expected) < bound


def test_comparers_go_back_and_are_quicker() -> None:
    usual, comparing = shape(0), shape(0, comparers=True)
    back = [(m.source < np.arange(len(m.source)) - 1).mean() for m in (usual, comparing)]
    assert back[1] > 3 * back[0] > 0
    gaps = [np.median(np.diff(m.offset)[np.diff(m.session) == 0]) for m in (usual, comparing)]
    assert gaps[1] < 0.7 * gaps[0]
    assert abs(gaps[0] / SECOND - THINK_SECONDS["desktop"]) < 1.5
    assert FARTHEST_REVISIT > 2
