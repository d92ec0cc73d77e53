"""User agents by device: few that most people have, and many that few have.

Robots borrow the same texts, and some have their own.
"""

import numpy as np
import pyarrow as pa

from simulator.columns import DEVICES
from simulator.draw import Ints, Words, mix, pick

_CHROMES = tuple(range(144, 132, -1))
_PHONES = (
    "SM-A556B", "SM-S928B", "Pixel 9", "SM-A155F", "Redmi Note 14", "SM-S911B", "CPH2669",
    "V2437", "Pixel 8a", "moto g85", "23129RAA4G", "SM-A057G",
)  # fmt: skip


def _desktops() -> list[str]:
    windows = [f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/{v}.0" for v in _CHROMES]
    macs = [f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/{v}.0" for v in _CHROMES[:6]]
    safaris = [f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari/{v}" for v in (26, 25, 24)]
    edges = [f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) Edg/{v}.0" for v in _CHROMES[:8]]
    foxes = [
        f"Mozilla/5.0 (X11; Linux x86_64; rv:{v}.0) Firefox/{v}.0" for v in range(146, 136, -1)
    ]
    return _interleave(windows, safaris, edges, macs, foxes)


def _phones() -> list[str]:
    apples = [
        f"Mozilla/5.0 (iPhone; CPU iPhone OS {major}_{minor} like Mac OS X) Safari/604.1"
        for major in (26, 18, 17)
        for minor in range(6, -1, -1)
    ]
    androids = [
        f"Mozilla/5.0 (Linux; Android {release}; {phone}) Chrome/{chrome}.0 Mobile"
        for chrome in _CHROMES[:3]
        for release in (16, 15, 14)
        for phone in _PHONES
    ]
    return _interleave(apples, androids, androids[1::2])


def _interleave(*families: list[str]) -> list[str]:
    """Put the first of each family first, then the second of each, without repeats."""
    longest = max(map(len, families))
    ordered = [family[i] for i in range(longest) for family in families if i < len(family)]
    return list(dict.fromkeys(ordered))


_BY_DEVICE = {
    "desktop": _desktops(),
    "mobile_web": _phones(),
    "mobile_app": [
        f"Shop/9.{minor} ({system})"
        for minor in (4, 3, 2, 1, 0)
        for system in ("iOS 26.2", "Android 16", "Android 15", "iOS 18.7", "Android 14")
    ],
    "tablet": [
        *(f"Mozilla/5.0 (iPad; CPU OS {v} like Mac OS X) Safari/604.1" for v in ("26_2", "18_7")),
        *(f"Mozilla/5.0 (Linux; Android {v}; SM-X710) Chrome/144.0" for v in (16, 15, 14)),
    ],
}
_ROBOTS = ("python-requests/2.32", "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/143.0")
AGENTS = (*(agent for device in DEVICES for agent in _BY_DEVICE[device]), *_ROBOTS)
ROBOT_AGENT = len(AGENTS) - len(_ROBOTS)
# An agent is as common as one over its place among its device's.
_SUMS = np.cumsum([
    10_000 // place for device in DEVICES for place in range(1, len(_BY_DEVICE[device]) + 1)
])  # fmt: skip
_ENDS = np.cumsum([len(_BY_DEVICE[device]) for device in DEVICES])
_MOST = _SUMS[_ENDS - 1]
_LEAST = np.concatenate([[0], _MOST[:-1]])


def agent_of(actor: Ints, device: Ints) -> Ints:
    """Return the agent that each actor always has on a device."""
    words: Words = mix(actor.astype(np.uint64) << np.uint64(3) ^ device.astype(np.uint64))
    own = (words >> np.uint64(11)).astype(np.int64) % (_MOST - _LEAST)[device]
    return pick(_SUMS, _LEAST[device] + own)


def agent_table() -> pa.Array:
    """Texts that agent indexes stand for."""
    return pa.array(AGENTS)
