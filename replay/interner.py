"""Exact dictionary encoding: strings, or pairs of codes, to small dense integers that last.

A code stays the same from slice to slice, so that window state can be arrays indexed by code. Two
keys get the same code only if all their bytes are equal: the hash merely finds the place. `keep`
forgets the keys that no window can see any more, so memory follows the window and not the span.
"""

import secrets
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replay.compiled import Bytes, Flags, Int32s, Int64s, Uint64s, kernel

Codes = Int32s
NULL = -1
_FIRST_CAPACITY = 1 << 12
_BLOCK = 128
_PIECE = 1 << 16


class StringInterner:
    """Strings to codes 0, 1, 2, …; null is −1."""

    def __init__(self, multiplier: int | None = None) -> None:
        """`multiplier` seeds the hash; by chance where it is None, so that nobody can aim at it."""
        self.size = 0
        self._multiplier = np.uint64(secrets.randbits(64) | 1 if multiplier is None else multiplier)
        self._slots = np.full(_FIRST_CAPACITY, NULL, np.int64)
        self._hashes = np.empty(_FIRST_CAPACITY, np.uint64)
        self._ends = np.zeros(_FIRST_CAPACITY + 1, np.int64)
        self._bytes = np.empty(_FIRST_CAPACITY * 16, np.uint8)

    def encode(self, strings: pa.Array) -> Codes:
        """Return the code of each string, adding those not seen before."""
        out = np.empty(len(strings), np.int32)
        for start in range(0, len(strings), _PIECE):
            self._encode_piece(strings.slice(start, _PIECE), out[start : start + _PIECE])
        return out

    def _encode_piece(self, piece: pa.Array, out: Codes) -> None:
        offsets, data = _string_buffers(piece)
        valid = piece.is_valid().to_numpy(zero_copy_only=False)
        self._reserve(len(piece), int(offsets[-1] - offsets[0]))
        hashes = np.empty(len(piece), np.uint64)
        _hash_strings(offsets, data, self._multiplier, hashes)
        self.size = _encode_strings(
            hashes,
            offsets,
            data,
            valid,
            self._slots,
            self._hashes,
            self._ends,
            self._bytes,
            self.size,
            out,
        )

    def strings(self, codes: Codes) -> pa.Array:
        """Return the strings of some codes, none of them null."""
        lengths = self._ends[codes + 1] - self._ends[codes]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        data = np.empty(offsets[-1], np.uint8)
        _copy_strings(codes, self._ends, self._bytes, offsets, data)
        return pa.StringArray.from_buffers(len(codes), pa.py_buffer(offsets), pa.py_buffer(data))

    def keep(self, alive: Flags) -> Codes:
        """Forget the codes that are not alive; return old code → new code (−1 if forgotten)."""
        renumbered = renumber(alive)
        self.size = _compact_strings(alive, self._hashes, self._ends, self._bytes, self.size)
        self._slots.fill(NULL)
        _place(self._hashes, self._slots, self.size)
        return renumbered

    def _reserve(self, keys: int, size: int) -> None:
        need = self.size + keys
        if 2 * need > len(self._slots):
            self._slots = np.full(_power_of_two(2 * need), NULL, np.int64)
            _place(self._hashes, self._slots, self.size)
        self._hashes = grown(self._hashes, need)
        self._ends = grown(self._ends, need + 1)
        self._bytes = grown(self._bytes, int(self._ends[self.size]) + size)


class PairInterner:
    """Pairs of codes to codes 0, 1, 2, …; a pair with a null in it is −1."""

    def __init__(self) -> None:
        self.size = 0
        self._slots = np.full(_FIRST_CAPACITY, NULL, np.int64)
        self._keys = np.empty(_FIRST_CAPACITY, np.int64)

    def encode(self, first: Codes, second: Codes) -> Codes:
        """Return the code of each pair, adding those not seen before."""
        out = np.empty(len(first), np.int32)
        for start in range(0, len(first), _PIECE):
            piece = slice(start, start + _PIECE)
            self._encode_piece(first[piece], second[piece], out[piece])
        return out

    def _encode_piece(self, first: Codes, second: Codes, out: Codes) -> None:
        need = self.size + len(first)
        if 2 * need > len(self._slots):
            self._slots = np.full(_power_of_two(2 * need), NULL, np.int64)
            _place_pairs(self._keys, self._slots, self.size)
        self._keys = grown(self._keys, need)
        self.size = _encode_pairs(first, second, self._slots, self._keys, self.size, out)

    def keep(self, alive: Flags, first: Codes, second: Codes) -> Codes:
        """Forget the pairs that are not alive and renumber the members of the others.

        `first` and `second` map the members' old codes to new ones. Returns old code → new code
        of the pairs (−1 if forgotten).
        """
        keys = self._keys[: self.size][alive]
        keys = (first[keys >> 32].astype(np.int64) << 32) | second[keys & 0xFFFFFFFF]
        self.size = len(keys)
        self._keys[: self.size] = keys
        self._slots.fill(NULL)
        _place_pairs(self._keys, self._slots, self.size)
        return renumber(alive)


def renumber(alive: Flags) -> Codes:
    """Return old code → new code, −1 for what is not alive.

    >>> renumber(np.array([True, False, True])).tolist()
    [0, -1, 1]
    """
    return np.where(alive, np.cumsum(alive) - 1, NULL).astype(np.int32)


def _string_buffers(chunk: pa.Array) -> tuple[Int32s, Bytes]:
    """Return a string array's offsets (length + 1) and bytes, without a copy."""
    _, offsets, data = chunk.buffers()
    first, length = chunk.offset, len(chunk)
    if not length:
        return np.zeros(1, np.int32), np.empty(0, np.uint8)
    ends = np.frombuffer(offsets, np.int32)[first : first + length + 1]
    return ends, np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)


def _power_of_two(least: int) -> int:
    return 1 << max(least - 1, 1).bit_length()


def grown(array: NDArray[Any], least: int) -> NDArray[Any]:
    """Return the array with room for `least` elements, at least doubled where it must grow."""
    if len(array) >= least:
        return array
    larger = np.empty(max(least, 2 * len(array)), array.dtype)
    larger[: len(array)] = array
    return larger


# A slot holds (31 bits of the hash) << 32 | code, so that most probes touch one cache line; −1 is
# free. Codes stay below 2^31.


@kernel
def _tagged(hashed: np.uint64, code: int) -> np.int64:
    return (np.int64(np.uint64(hashed) >> np.uint64(33)) << 32) | code


@kernel
def _hash_strings(offsets: Int32s, data: Bytes, multiplier: np.uint64, out: Uint64s) -> None:
    # Multiply and add, byte by byte, over an odd number drawn by chance; then mixed.
    for i in range(len(out)):
        hashed = np.uint64(0)
        for j in range(offsets[i], offsets[i + 1]):
            hashed = (hashed ^ np.uint64(data[j])) * multiplier
        out[i] = _mix(np.int64(hashed))


@kernel
def _copy_strings(codes: Int32s, ends: Int64s, arena: Bytes, offsets: Int32s, data: Bytes) -> None:
    for i in range(len(codes)):
        start = ends[codes[i]]
        for j in range(offsets[i + 1] - offsets[i]):
            data[offsets[i] + j] = arena[start + j]


@kernel
def _encode_strings(
    hashes: Uint64s,
    offsets: Int32s,
    data: Bytes,
    valid: Flags,
    slots: Int64s,
    known_hashes: Uint64s,
    ends: Int64s,
    arena: Bytes,
    size: int,
    out: Int32s,
) -> int:
    mask = np.uint64(len(slots) - 1)
    guesses = np.empty(_BLOCK, np.int64)
    for begin in range(0, len(hashes), _BLOCK):
        block = min(_BLOCK, len(hashes) - begin)
        # Two light passes over the block fetch what the third needs: the cache misses overlap.
        for i in range(block):
            guesses[i] = slots[hashes[begin + i] & mask]
        for i in range(block):
            guesses[i] = ends[max(guesses[i], 0) & 0xFFFFFFFF]
        for i in range(begin, begin + block):
            if not valid[i]:
                out[i] = -1
                continue
            start, length = offsets[i], offsets[i + 1] - offsets[i]
            place = _find(hashes[i], data, start, length, slots, ends, arena)
            if slots[place] < 0:
                at = ends[size]
                for j in range(length):
                    arena[at + j] = data[start + j]
                ends[size + 1] = at + length
                known_hashes[size] = hashes[i]
                slots[place] = _tagged(hashes[i], size)
                size += 1
            out[i] = slots[place] & 0xFFFFFFFF
    return size


@kernel
def _find(
    hashed: np.uint64,
    data: Bytes,
    start: int,
    length: int,
    slots: Int64s,
    ends: Int64s,
    arena: Bytes,
) -> np.uint64:
    """Return the slot that holds the string, or the free one where it belongs."""
    mask = np.uint64(len(slots) - 1)
    place = hashed & mask
    wanted = _tagged(hashed, 0) >> 32
    while slots[place] >= 0:
        if slots[place] >> 32 == wanted:
            code = slots[place] & 0xFFFFFFFF
            at = ends[code]
            if ends[code + 1] - at == length:
                same = 0
                while same < length and arena[at + same] == data[start + same]:
                    same += 1
                if same == length:
                    return place
        place = (place + np.uint64(1)) & mask
    return place


@kernel
def _place(hashes: Uint64s, slots: Int64s, size: int) -> None:
    mask = np.uint64(len(slots) - 1)
    for code in range(size):
        place = hashes[code] & mask
        while slots[place] >= 0:
            place = (place + np.uint64(1)) & mask
        slots[place] = _tagged(hashes[code], code)


@kernel
def _compact_strings(alive: Flags, hashes: Uint64s, ends: Int64s, arena: Bytes, size: int) -> int:
    kept = 0
    at = np.int64(0)
    for code in range(size):
        start, end = ends[code], ends[code + 1]
        if alive[code]:
            for j in range(end - start):
                arena[at + j] = arena[start + j]
            hashes[kept] = hashes[code]
            ends[kept] = at
            at += end - start
            kept += 1
    ends[kept] = at
    return kept


@kernel
def _mix(key: np.int64) -> np.uint64:
    # The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
    mixed = np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@kernel
def _encode_pairs(
    first: Int32s, second: Int32s, slots: Int64s, keys: Int64s, size: int, out: Int32s
) -> int:
    for i in range(len(first)):
        if first[i] < 0 or second[i] < 0:
            out[i] = -1
            continue
        key = (np.int64(first[i]) << 32) | second[i]
        place = _find_pair(key, slots, keys)
        if slots[place] < 0:
            keys[size] = key
            slots[place] = _tagged(_mix(key), size)
            size += 1
        out[i] = slots[place] & 0xFFFFFFFF
    return size


@kernel
def _find_pair(key: np.int64, slots: Int64s, keys: Int64s) -> np.uint64:
    """Return the slot that holds the pair, or the free one where it belongs."""
    mask = np.uint64(len(slots) - 1)
    hashed = _mix(key)
    wanted = _tagged(hashed, 0) >> 32
    place = hashed & mask
    while slots[place] >= 0:
        if slots[place] >> 32 == wanted and keys[slots[place] & 0xFFFFFFFF] == key:
            return place
        place = (place + np.uint64(1)) & mask
    return place


@kernel
def _place_pairs(keys: Int64s, slots: Int64s, size: int) -> None:
    for code in range(size):
        slots[_find_pair(keys[code], slots, keys)] = _tagged(_mix(keys[code]), code)
