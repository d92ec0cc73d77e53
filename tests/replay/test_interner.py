"""Codes are exact: equal for equal keys and for no others, whatever the hashes are."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.interner import PairInterner, StringInterner

WORDS = st.lists(st.one_of(st.none(), st.text("aé\0", max_size=4)), max_size=30)
HASHES = (None, 0, 1 << 60)  # by chance; all the same; nearly all the same


def encode(interner: StringInterner, words: Sequence[str | None]) -> list[int]:
    return [int(code) for code in interner.encode(pa.array(words, pa.string()))]


@pytest.mark.parametrize("multiplier", HASHES)
@given(WORDS, WORDS)
def test_codes_are_those_of_a_dictionary(
    multiplier: int | None, first: list[str | None], second: list[str | None]
) -> None:
    interner, known = StringInterner(multiplier), dict[str, int]()
    for words in (first, second):
        expected = [-1 if word is None else known.setdefault(word, len(known)) for word in words]
        assert encode(interner, words) == expected
        assert interner.size == len(known)
    assert interner.strings(np.arange(len(known), dtype=np.int32)).to_pylist() == list(known)


@pytest.mark.parametrize("multiplier", HASHES)
@given(WORDS, st.data())
def test_what_is_kept_keeps_its_identity(
    multiplier: int | None, words: list[str | None], data: st.DataObject
) -> None:
    interner = StringInterner(multiplier)
    codes = dict(zip(words, encode(interner, words), strict=True))
    alive = np.array([data.draw(st.booleans()) for _ in range(interner.size)], np.bool_)
    renumbered = interner.keep(alive)
    kept = {word: int(renumbered[c]) for word, c in codes.items() if word is not None and alive[c]}
    assert sorted(kept.values()) == list(range(interner.size))
    assert encode(interner, list(kept)) == list(kept.values())
    assert encode(interner, ["a new one"]) == [len(kept)]


def test_many_strings_grow_every_array() -> None:
    words = [f"{number:x}" * 9 for number in range(150_000)]
    interner = StringInterner()
    assert encode(interner, words) == list(range(150_000))
    assert encode(interner, words[::-1]) == list(range(150_000))[::-1]
    assert interner.strings(np.array([149_999, 0], np.int32)).to_pylist() == [words[-1], words[0]]


def test_a_sliced_array_is_read_at_its_offset() -> None:
    strings = pa.array(["x", None, "y", "x"]).slice(1)
    assert StringInterner().encode(strings).tolist() == [-1, 0, 1]


PAIRS = st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3)), max_size=40)


@given(PAIRS)
def test_pairs_are_those_of_a_dictionary(pairs: list[tuple[int, int]]) -> None:
    known: dict[tuple[int, int], int] = {}
    expected = [-1 if min(pair) < 0 else known.setdefault(pair, len(known)) for pair in pairs]
    columns = np.array(pairs, np.int32).reshape(-1, 2)
    interner = PairInterner()
    assert interner.encode(columns[:, 0].copy(), columns[:, 1].copy()).tolist() == expected
    assert interner.size == len(known)


@given(PAIRS, st.data())
def test_kept_pairs_follow_their_parts(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    """Parts are renumbered by reversing them; a pair stays the pair of the same parts."""
    pairs = [pair for pair in pairs if min(pair) >= 0]
    columns = np.array(pairs, np.int32).reshape(-1, 2)
    interner = PairInterner()
    codes = interner.encode(columns[:, 0].copy(), columns[:, 1].copy())
    alive = np.array([data.draw(st.booleans()) for _ in range(interner.size)], np.bool_)
    turned = np.arange(4, dtype=np.int32)[::-1].copy()
    renumbered = interner.keep(alive, turned, turned)
    for (first, second), code in zip(pairs, codes, strict=True):
        if alive[code]:
            again = interner.encode(turned[[first]], turned[[second]])
            assert again.tolist() == [renumbered[code]]
