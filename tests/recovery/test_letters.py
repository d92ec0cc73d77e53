"""Dead letters: what becomes one, what does not, and how they are sent again."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from recovery.delivered import Served
from recovery.delivery import deliver
from recovery.letters import DOWN, PATIENCE
from recovery.sinks.sink import Batch, Pause, SinkRefused
from replay.lake import Lake
from tests.recovery.refusing import (
    Tried,
    cursor,
    got,
    hooked,
    refuse,
    telling,
    unreachable,
    use_tried,
)
from tests.recovery.sending import add_verdicts, ledger_lake
from tests.servers import Answer, Receiver, Request


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> None:
    use_tried(monkeypatch)


def lake_of(home: Path, verdicts: int, rows: int = 1) -> Lake:
    return ledger_lake(home, verdicts, telling(s={"rows": rows, "tells": False}))


def ends(served: Served) -> list[tuple[int, int]]:
    return [(letter.first, letter.last) for letter in served.dead_letters]


def go(lake: Lake, *, again: bool = False) -> Served:
    (served,) = deliver(lake, dead_letters=again).sinks
    kept = cursor(lake, served.sink, served.kind)
    assert (kept.ledger_seq, kept.dead_letters) == (served.ledger_seq, served.dead_letters)
    assert (kept.error is None) == (served.error is None)
    return served


@pytest.mark.parametrize(
    "bad", [(2, 3), (1, 2), (4, 5, 6, 7), (1, 2, 3, 4), (2, 3, 5, 6, 9), (10,)]
)
def test_what_is_refused_between_what_is_taken_is_left_behind(
    tmp_path: Path, bad: tuple[int, ...]
) -> None:
    lake = lake_of(tmp_path, 10)
    Tried.meets = {"s": refuse(*bad)}
    served = go(lake)
    assert (served.ledger_seq, served.error, served.exit_code) == (10, None, 1)
    assert got("s") == [n for n in range(1, 11) if n not in bad]
    assert ends(served) == [(n, n) for n in bad]


@pytest.mark.parametrize(
    ("verdicts", "bad", "at", "says"),
    [
        (10, range(1, 11), 0, "no 1; it refused 5 batches in a row"),
        (10, range(3, 8), 2, "no 3; it refused 5 batches in a row"),
        (10, range(9, 11), 8, "no 9; it refused 2 batches in a row"),
        (4, range(1, 5), 0, "no 1; it refused 4 batches in a row"),
    ],
)
def test_a_sink_that_is_down_leaves_no_letter(
    tmp_path: Path, verdicts: int, bad: range, at: int, says: str
) -> None:
    lake = lake_of(tmp_path, verdicts)
    Tried.meets = {"s": refuse(*bad)}
    for _ in range(3):
        served = go(lake)
        assert (served.ledger_seq, ends(served), served.exit_code) == (at, [], 2)
        assert says in str(served.error)
        assert f"goes on at verdict {at + 1}" in str(served.error)
    Tried.meets = {}
    assert go(lake).exit_code == 0
    assert got("s") == [*range(1, verdicts + 1)]


def test_a_refused_batch_that_is_the_only_one_is_left_behind(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 2, rows=2)
    Tried.meets = {"s": refuse()}
    assert (go(lake).exit_code, ends(go(lake))) == (1, [(1, 2)])
    add_verdicts(lake, 1, after=2)
    Tried.meets = {}
    served = go(lake)
    assert (served.ledger_seq, served.exit_code, ends(served)) == (3, 1, [(1, 2)])


def test_a_sink_that_goes_away_while_batches_wait_leaves_no_letter(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 10)

    def meet(batch: Batch, pause: Pause) -> None:
        refuse(3, 4)(batch, pause)
        if batch.first == 5:
            unreachable(batch, pause)

    Tried.meets = {"s": meet}
    served = go(lake)
    assert (served.ledger_seq, ends(served), served.error) == (2, [], "it is away")


def test_the_letters_are_written_with_the_cursor_that_passes_them(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 6)
    seen: list[tuple[int, int]] = []

    def meet(batch: Batch, pause: Pause) -> None:
        kept = cursor(lake, "s")
        seen.append((kept.ledger_seq, len(kept.dead_letters)))
        refuse(2, 3)(batch, pause)

    Tried.meets = {"s": meet}
    go(lake)
    assert seen == [(0, 0), (1, 0), (1, 0), (1, 0), (4, 2), (5, 2)]


@pytest.mark.parametrize(
    ("rows", "bad"),
    [
        (10, {1}),
        (10, {10}),
        (10, {5}),
        (10, {6}),
        (10, {1, 10}),
        (7, {2, 3}),
        (3, {4, 5, 6, 9}),
        (2, {3, 8}),
    ],
)
def test_poison_ends_alone_in_a_letter(tmp_path: Path, rows: int, bad: set[int]) -> None:
    lake = lake_of(tmp_path, 20, rows)
    Tried.meets = {"s": refuse(*bad)}
    assert go(lake).exit_code == 1
    served = go(lake, again=True)
    assert (served.exit_code, ends(served)) == (1, [(n, n) for n in sorted(bad)])
    assert sorted(got("s")) == [n for n in range(1, 21) if n not in bad]
    assert all(letter.attempts > 5 for letter in served.dead_letters)
    Tried.meets = {}
    assert (go(lake, again=True).exit_code, sorted(got("s"))) == (0, [*range(1, 21)])
    assert cursor(lake, "s").dead_letters == ()


@pytest.mark.parametrize("poison", [1, 2, 250, 499, 500])
def test_poison_in_a_large_batch_is_found(tmp_path: Path, poison: int) -> None:
    """More halvings are needed than refusals in a row are allowed before anything is taken."""
    lake = lake_of(tmp_path, 501, rows=500)
    Tried.meets = {"s": refuse(poison)}
    assert ends(go(lake)) == [(1, 500)]
    assert ends(go(lake, again=True)) == [(poison, poison)]
    assert sorted(got("s")) == [n for n in range(1, 502) if n != poison]


def test_letters_that_are_poison_throughout_do_not_hide_the_others(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 12, rows=3)
    letters_of(lake, 1, 2, 3, 7)
    assert ends(go(lake, again=True)) == [(1, 1), (2, 2), (3, 3), (7, 7)]


def letters_of(lake: Lake, *bad: int) -> Served:
    Tried.meets = {"s": refuse(*bad)}
    return go(lake)


def counting(
    meet: Callable[[Batch, Pause], None],
) -> tuple[list[int], Callable[[Batch, Pause], None]]:
    sends: list[int] = []

    def counted(batch: Batch, pause: Pause) -> None:
        sends.append(batch.first)
        meet(batch, pause)

    return sends, counted


def test_letters_wait_where_the_sink_is_down(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 40, rows=20)
    before = ends(letters_of(lake, 1))
    sends, meet = counting(refuse())
    Tried.meets = {"s": meet}
    for _ in range(2):
        sends.clear()
        served = go(lake, again=True)
        assert (len(sends), ends(served), served.exit_code) == (DOWN, before, 2)
        assert "its dead letters wait" in str(served.error)
    Tried.meets = {}
    assert go(lake, again=True).exit_code == 0
    assert sorted(got("s")) == [*range(1, 41)]


def test_letters_stay_where_the_sink_is_away(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 6, rows=2)
    before = letters_of(lake, 3).dead_letters
    Tried.meets = {"s": unreachable}
    served = go(lake, again=True)
    assert (served.exit_code, served.dead_letters) == (2, before)


def test_what_is_taken_leaves_its_letter_at_once(tmp_path: Path) -> None:
    """The sink goes away in the middle; what it took until then is not sent again."""
    lake = lake_of(tmp_path, 12, rows=8)
    letters_of(lake, 1)

    Tried.made["s"].taken.clear()

    def half(batch: Batch, pause: Pause) -> None:
        if 8 in batch.column("ledger_seq") and len(batch) < 8:
            unreachable(batch, pause)
        refuse(1)(batch, pause)

    Tried.meets = {"s": half}
    served = go(lake, again=True)
    took = got("s")
    assert took
    left = {n for low, high in ends(served) for n in range(low, high + 1)}
    assert sorted({*took, *left}) == [*range(1, 9)]
    assert not left & {*took}
    assert (served.exit_code, served.error) == (2, "it is away")


def test_a_sink_that_goes_down_while_letters_are_sent_is_left_alone_soon(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 300, rows=100)
    letters_of(lake, 1, 101)

    def meet(batch: Batch, pause: Pause) -> None:
        if len(sends) > 2:
            raise SinkRefused("down", 1)
        refuse(1, 101)(batch, pause)

    sends, counted = counting(meet)
    Tried.meets = {"s": counted}
    served = go(lake, again=True)
    assert (served.exit_code, len(sends)) == (2, 2 + PATIENCE)
    Tried.meets = {}
    assert go(lake, again=True).exit_code == 0
    assert sorted(got("s")) == [*range(1, 301)]


def test_letters_that_were_tried_longest_ago_go_first(tmp_path: Path) -> None:
    """So those behind many that stay refused get their turn."""
    lake = lake_of(tmp_path, 20)
    bad = range(2, 20, 2)
    letters_of(lake, *bad)
    Tried.meets = {"s": refuse(*bad[:-1])}
    assert go(lake, again=True).exit_code == 2
    assert (go(lake, again=True).exit_code, got("s")[-1]) == (1, 18)


def test_new_verdicts_go_first(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 5)
    letters_of(lake, 2)
    add_verdicts(lake, 2, after=5)
    Tried.meets = {}
    assert go(lake, again=True).exit_code == 0
    assert got("s") == [1, 3, 4, 5, 6, 7, 2]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_poison_the_rest_arrives(tmp_path: Path, seed: int) -> None:
    draw = Random(seed)
    rows = draw.choice([1, 3, 8, 30])
    bad = set(draw.sample(range(1, 60), draw.randint(1, 4)))
    lake = lake_of(tmp_path, 60, rows)
    Tried.meets = {"s": refuse(*bad)}
    go(lake)
    for _ in range(4):
        add_verdicts(lake, 1, after=go(lake).head)
        served = go(lake, again=True)
    assert sorted(got("s")) == [n for n in range(1, 65) if n not in bad]
    assert ends(served) == [(n, n) for n in sorted(bad)]


def test_an_outage_of_a_webhook_leaves_no_letter(tmp_path: Path) -> None:
    down = True

    def judge(_request: Request) -> Answer:
        return Answer(503 if down else 204)

    with Receiver(judge=judge) as receiver:
        lake = ledger_lake(tmp_path, 10, hooked(receiver.url, attempts=2))
        assert [go(lake).exit_code for _ in range(2)] == [2, 2]
        down = False
        assert go(lake).exit_code == 0
    assert [event["id"] for event in receiver.taken] == [f"v{n}" for n in range(1, 11)]
