"""Campaigns' daily budgets: some campaigns are dark from some hour of the UTC day on.

A limited campaign can pay for a part of an average day's clicks on it. It is gone when the day's
expected clicks (rhythm, holidays and sales included) have used that up, and others get its clicks.
Expected ones, and not those drawn: so that an hour depends on no other hour, and more robots leave
the people as they are.
"""

import numpy as np

from simulator.draw import generator
from simulator.market import Market
from simulator.people import People
from simulator.rhythm import DAY_HOURS, volume

BUDGET_PLACE = (0, 4)
PACING_SIGMA = 0.1  # how far a day's serving strays from what its budget was meant for


def live_market(market: Market, people: People, seed: int, hour: int) -> Market:
    """Return the market of one hour (since the epoch): weights without what has run out."""
    midnight = hour - hour % DAY_HOURS
    earlier = sum(volume(people, h) for h in range(midnight, hour)) / DAY_HOURS
    now = volume(people, hour) / DAY_HOURS
    rng = generator(seed, *BUDGET_PLACE, midnight)
    budget = market.budget * np.exp(PACING_SIGMA * rng.standard_normal(len(market.budget)))
    served = np.clip((budget - earlier) / now, 0, 1)
    return market.with_weights(np.rint(market.weights * served).astype(np.int64))
