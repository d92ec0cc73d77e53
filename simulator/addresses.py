"""Addresses by kind of network, all from ranges that are never routed.

So that no simulated robot ever stands behind an address that is somebody's: homes from 10/8,
offices from 172.16/12, campuses from 192.168/16, carriers' shared addresses from 100.64/10, data
centres from 198.18/15.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

HOME, OFFICE, CAMPUS = "home", "office", "campus"
CARRIER, DATACENTER = "carrier", "datacenter"
_RANGES = {
    HOME: (10 << 24, 24),
    OFFICE: (172 << 24 | 16 << 16, 20),
    CAMPUS: (192 << 24 | 168 << 16, 16),
    CARRIER: (100 << 24 | 64 << 16, 22),
    DATACENTER: (198 << 24 | 18 << 16, 17),
}
_ODD = 0x9E3779B1  # any odd factor permutes a range of 2^k addresses


def room(kind: str) -> int:
    """Return how many addresses of one kind there are."""
    return 1 << _RANGES[kind][1]


def addresses(kind: str, count: int) -> pa.Array:
    """Return `count` different addresses of one kind, as text; at most as many as there are.

    >>> addresses("carrier", 2).to_pylist()
    ['100.64.0.0', '100.119.121.177']
    """
    base, bits = _RANGES[kind]
    if count > room(kind):
        raise ValueError(f"{count:,} {kind} addresses, but there are {room(kind):,}")
    number = base + (np.arange(count, dtype=np.uint64) * np.uint64(_ODD) % np.uint64(1 << bits))
    octets = pa.array([str(value) for value in range(256)])
    parts = [
        octets.take(pa.array(number >> np.uint64(shift) & np.uint64(255)))
        for shift in (24, 16, 8, 0)
    ]
    return pc.binary_join_element_wise(*parts, ".")
