"""User agents by device; robots borrow the same texts, and some have their own."""

import numpy as np
import pyarrow as pa

from simulator.columns import DEVICES
from simulator.draw import Ints

_BY_DEVICE = {
    "desktop": (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/144.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/143.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari/605.1",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Edg/144.0",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0",
    ),
    "mobile_web": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 26_2 like Mac OS X) Safari/604.1",
        "Mozilla/5.0 (Linux; Android 16; Pixel 9) Chrome/144.0 Mobile",
        "Mozilla/5.0 (Linux; Android 15; SM-S928B) Chrome/144.0 Mobile",
        "Mozilla/5.0 (Linux; Android 14; SM-A556B) SamsungBrowser/28.0 Mobile",
    ),
    "mobile_app": ("Shop/9.4 (iOS 26.2)", "Shop/9.4 (Android 16)", "Shop/9.3 (Android 15)"),
    "tablet": (
        "Mozilla/5.0 (iPad; CPU OS 26_2 like Mac OS X) Safari/604.1",
        "Mozilla/5.0 (Linux; Android 15; SM-X710) Chrome/144.0",
    ),
}
_ROBOTS = ("python-requests/2.32", "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/143.0")
_COUNTS = np.array([len(_BY_DEVICE[device]) for device in DEVICES])
_STARTS = np.cumsum(_COUNTS) - _COUNTS
AGENTS = (*(agent for device in DEVICES for agent in _BY_DEVICE[device]), *_ROBOTS)
ROBOT_AGENT = len(AGENTS) - len(_ROBOTS)


def agent_of(actor: Ints, device: Ints) -> Ints:
    """Return the agent that each actor always has on a device."""
    own = actor * 2_654_435_761 % 1_000_003
    agents: Ints = _STARTS[device] + own % _COUNTS[device]
    return agents


def agent_table() -> pa.Array:
    """Texts that agent indexes stand for."""
    return pa.array(AGENTS)
