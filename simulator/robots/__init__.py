"""The robots, by skill: one small file each, and one row here."""

from simulator.robots.adaptive import ADAPTIVE
from simulator.robots.background import BACKGROUND
from simulator.robots.burst import BURST
from simulator.robots.click_farm import CLICK_FARM
from simulator.robots.crawler import CRAWLER
from simulator.robots.low_and_slow import LOW_AND_SLOW
from simulator.robots.residential_proxy import RESIDENTIAL_PROXY
from simulator.robots.rival import RIVAL
from simulator.robots.session_mimic import SESSION_MIMIC
from simulator.robots.single_address import SINGLE_ADDRESS
from simulator.team import RobotKind

__all__ = ["ROBOTS"]

ROBOTS: tuple[RobotKind, ...] = (
    BACKGROUND,
    SINGLE_ADDRESS,
    BURST,
    CRAWLER,
    RIVAL,
    RESIDENTIAL_PROXY,
    CLICK_FARM,
    LOW_AND_SLOW,
    SESSION_MIMIC,
    ADAPTIVE,
)
