"""The robots, by skill: one small file each, and one row here."""

from simulator.robots.background import BACKGROUND
from simulator.robots.burst import BURST
from simulator.team import RobotKind

__all__ = ["ROBOTS"]

ROBOTS: tuple[RobotKind, ...] = (BACKGROUND, BURST)
