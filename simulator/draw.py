"""Random draws and opaque ids that depend on the seed and on a place alone.

Every population draws each hour from a generator of its own, keyed by (population, hour). So the
rows don't depend on chunk size or thread count, and a day can be made without those before it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
SmallInts = npt.NDArray[np.int32]  # where there is one for each person
Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.float64]

_HEX_PAIRS = np.frombuffer(
    "".join(f"{value:02x}" for value in range(256)).encode(), np.uint16
)  # two letters for each byte


def generator(seed: int, *place: int) -> np.random.Generator:
    """Return the generator of one place, such as (population, hour).

    >>> bool(generator(1, 2, 3).integers(1 << 60) == generator(1, 2, 3).integers(1 << 60))
    True
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=place)))


def salt(seed: int, *place: int) -> np.uint64:
    """Return a 64-bit word that belongs to one place."""
    return np.uint64(np.random.SeedSequence(seed, spawn_key=place).generate_state(1, np.uint64)[0])


def weighted(rng: np.random.Generator, weights: Ints, size: int) -> Ints:
    """Draw `size` positions of `weights` (whole numbers ≥ 0), each as often as its weight.

    >>> sorted(set(weighted(generator(1), np.array([0, 5, 0, 1]), 200).tolist()))
    [1, 3]
    """
    return pick(np.cumsum(weights), rng.integers(0, int(weights.sum()), size))


def pick(cumulative: Ints, marks: Ints) -> Ints:
    """Return the position into which each mark (0 ≤ mark < the last sum) falls."""
    return np.searchsorted(cumulative, marks, side="right").astype(np.int64)


def weights_of(shares: Sequence[float]) -> Ints:
    """Turn shares into whole weights, so that no rounding depends on the processor.

    >>> weights_of([0.25, 0.75]).tolist()
    [250000, 750000]
    """
    return np.array([round(share * 1_000_000) for share in shares], np.int64)


def mix(values: Words) -> Words:
    """Scramble 64-bit words, one to one (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def hex_strings(numbers: Words, key: np.uint64, digits: int = 16, prefix: str = "") -> pa.Array:
    """Write each number as an opaque string of 16 to 32 hex digits; one to one under a key.

    >>> hex_strings(np.array([0, 1], np.uint64), np.uint64(7), 20).to_pylist()
    ['12ae30237b17df147dc5', 'd17707977078336c75c5']
    """
    words = mix(numbers ^ key)[:, None]  # (n, 1)
    if digits > 16:
        words = np.hstack([words, mix(words + key)])  # (n, 2)
    raw = words.astype(">u8").view(np.uint8)  # (n, 8) or (n, 16)
    letters = _HEX_PAIRS[raw].view(np.uint8)  # (n, 16) or (n, 32)
    start = len(prefix)
    text = np.empty((len(numbers), start + digits), np.uint8)
    text[:, :start] = np.frombuffer(prefix.encode(), np.uint8)
    text[:, start:] = letters[:, :digits]
    return _strings(text)


def _strings(letters: npt.NDArray[np.uint8]) -> pa.Array:
    count, width = letters.shape
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(letters))
