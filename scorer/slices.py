"""Slices: the clicks that share the values of a model's slice columns."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

DEFAULT_COLUMNS = ("device", "logged_in")

SliceCodes = npt.NDArray[np.int64]


def slice_key(values: Mapping[str, object]) -> str:
    """Write one slice as text, its columns in the order given.

    >>> slice_key({"device": "mobile_web", "logged_in": True})
    'device=mobile_web,logged_in=true'
    >>> slice_key({"device": "a,b=c", "ad_id": None})
    'device=a%2Cb%3Dc,ad_id=null'
    """
    return ",".join(f"{column}={_written(value)}" for column, value in values.items())


def _written(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case _:
            return str(value).replace("%", "%25").replace(",", "%2C").replace("=", "%3D")


def slice_codes(clicks: pa.Table, columns: Sequence[str]) -> tuple[SliceCodes, list[str]]:
    """Number the slices of `clicks`: a code per click, and the key of each code, sorted.

    >>> clicks = pa.table({"device": ["tv", "pc", "tv"], "logged_in": [True, False, True]})
    >>> codes, keys = slice_codes(clicks, ["device", "logged_in"])
    >>> codes.tolist(), keys
    ([1, 0, 1], ['device=pc,logged_in=false', 'device=tv,logged_in=true'])
    """
    combined = np.zeros(clicks.num_rows, dtype=np.int64)
    values: list[list[object]] = []
    for column in columns:
        encoded = clicks[column].combine_chunks().dictionary_encode(null_encoding="encode")
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        values.append(encoded.dictionary.to_pylist())
        combined = combined * len(values[-1]) + encoded.indices.to_numpy(zero_copy_only=False)
    found, codes = np.unique(combined, return_inverse=True)
    keys = [slice_key(dict(zip(columns, _digits(int(c), values), strict=True))) for c in found]
    order = np.argsort(np.array(keys, dtype=object), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return place[codes], [keys[i] for i in order]


def _digits(code: int, values: Sequence[Sequence[object]]) -> list[object]:
    digits: list[object] = []
    for column in reversed(values):
        code, digit = divmod(code, max(len(column), 1))
        digits.append(column[digit])
    return digits[::-1]
