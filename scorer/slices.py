"""Slices: the clicks that share the values of a model's slice columns."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

DEFAULT_COLUMNS = ("device", "logged_in")
FEW = 1000  # slices, for which a table is always small

SliceCodes = npt.NDArray[np.int32]


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
        indices, dictionary = _encoded(clicks[column])
        values.append(dictionary)
        combined = combined * len(dictionary) + indices
    found, codes = _numbered(combined)
    keys = [slice_key(dict(zip(columns, _digits(int(c), values), strict=True))) for c in found]
    order = np.argsort(np.array(keys, dtype=object), kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))
    return place[codes], [keys[i] for i in order]


def _encoded(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], list[object]]:
    """Return where each value stands in a list of the values; of a dictionary, more may stand."""
    if pa.types.is_dictionary(column.type):
        whole = column.unify_dictionaries().combine_chunks()
        parts = whole.chunks if isinstance(whole, pa.ChunkedArray) else [whole]
        dictionary = parts[0].dictionary.to_pylist() if parts else []
        indices = [part.indices.fill_null(len(dictionary)).to_numpy() for part in parts]
        return np.concatenate([np.empty(0, np.int64), *indices]), [*dictionary, None]
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary.to_pylist()


def _numbered(values: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], SliceCodes]:
    """Return the distinct values in order, and where each value stands among them; all are >= 0."""
    most = int(values.max(initial=0))
    if most > len(values) + FEW:
        found, codes = np.unique(values, return_inverse=True)
        return found, codes.astype(np.int32)
    found = np.flatnonzero(np.bincount(values, minlength=1 if len(values) else 0))
    place = np.zeros(most + 1, np.int32)
    place[found] = np.arange(len(found))
    return found, place[values]


def _digits(code: int, values: Sequence[Sequence[object]]) -> list[object]:
    digits: list[object] = []
    for column in reversed(values):
        code, digit = divmod(code, max(len(column), 1))
        digits.append(column[digit])
    return digits[::-1]
