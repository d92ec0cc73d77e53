"""Preloaded by fork servers: one kernel is called, so that no child has to start the compiler."""

import numpy as np

from replay.profiles import _gather

_gather(np.zeros(1, np.int32), np.zeros(1, np.int32), np.int32(0), np.empty(1, np.int32))
