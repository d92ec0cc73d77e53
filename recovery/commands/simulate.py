"""`replay simulate`, with what moves the production pointer: only `recovery` may write it."""

from copy import copy

from recovery.production import promote, rollback
from simulator import commands
from simulator.pointer import Pointer

simulate = copy(commands.simulate)
simulate.context_settings = {**simulate.context_settings, "obj": Pointer(promote, rollback)}
