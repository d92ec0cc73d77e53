"""How the kernels are compiled: without the interpreter's lock, and cached on disk.

The first call of a kernel after an installation compiles it; later processes load the machine code
from the cache beside the source (or, where that is read-only, from the user's cache folder).
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")
Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
Uint64s = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of arrays and integers to machine code on its first call."""
    return cast("Callable[P, R]", njit(nogil=True, cache=True)(function))
