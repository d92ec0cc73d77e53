"""Where people are: networks of every size, and how people move between them.

Addresses are numbered in one table: homes, then offices, campuses, carriers' shared ones, then VPN
exits; the robots' follow. Some homes get another address every night. A carrier's users share its
addresses very unequally (some 10,000 on one) and change theirs every few hours, as students do
within their campus.
"""

from dataclasses import dataclass

import numpy as np

from simulator.draw import Ints, Words, mix, pick

CARRIERS = 6
CARRIER_SHARES = (0.34, 0.24, 0.18, 0.12, 0.07, 0.05)
VPN_EXITS = 8
LEASE_HOURS = 6  # how long a carrier or a campus leaves a user on one address
RENEWAL_HOUR = 4  # local time at which a home with a changing address gets another
MOST_USERS = 10_000  # of one carrier's address, about
STEP = 2_654_435_761  # prime, so it shares no factor with a number of addresses below it


@dataclass(frozen=True)
class Places:
    """How many addresses of each kind the population uses, in the table's order.

    The first `renewed` homes get another address every night, from among themselves.
    `carrier_weights` are running sums over one carrier's addresses.
    """

    homes: int
    offices: int
    campuses: int
    campus_addresses: int  # of each campus
    carriers: int
    renewed: int
    carrier_weights: Ints  # (carriers / CARRIERS,)
    vpns: int = VPN_EXITS

    @property
    def office_start(self) -> int:
        """Number of the first office address."""
        return self.homes

    @property
    def campus_start(self) -> int:
        """Number of the first campus address."""
        return self.office_start + self.offices

    @property
    def carrier_start(self) -> int:
        """Number of the first carrier address."""
        return self.campus_start + self.campuses * self.campus_addresses

    @property
    def vpn_start(self) -> int:
        """Number of the first VPN exit."""
        return self.carrier_start + self.carriers

    @property
    def total(self) -> int:
        """How many addresses there are; the robots' begin here."""
        return self.vpn_start + self.vpns

    def at_home(self, home: Ints, night: Ints) -> Ints:
        """Return the homes' addresses on a night (counted since the epoch): one for each home."""
        moved = (home + night * STEP) % max(self.renewed, 1)
        return np.where(home < self.renewed, moved, home)

    def on_carrier(self, person: Ints, carrier: Ints, hour: int) -> Ints:
        """Return the address that a carrier has a person on in an hour."""
        marks = _lease(person, hour) % np.uint64(self.carrier_weights[-1])
        first = self.carrier_start + carrier * len(self.carrier_weights)
        return first + pick(self.carrier_weights, marks.astype(np.int64))

    def on_campus(self, person: Ints, campus: Ints, hour: int) -> Ints:
        """Return the address that a campus has a person on in an hour."""
        place = _lease(person, hour) % np.uint64(self.campus_addresses)
        return self.campus_start + campus * self.campus_addresses + place.astype(np.int64)


def _lease(person: Ints, hour: int) -> Words:
    """Return a word for each person that lasts LEASE_HOURS; not all change at once."""
    number = (hour + person % LEASE_HOURS) // LEASE_HOURS
    return mix(person.astype(np.uint64) << np.uint64(32) ^ number.astype(np.uint64))


def carrier_weights(rng: np.random.Generator, addresses: int, tail: float, users: float) -> Ints:
    """Draw how unequally one carrier's addresses are shared, as running sums.

    `users` is the mean of the largest carrier's addresses. Weights are cut where they mean
    MOST_USERS, again and again, since what is cut makes those left a larger share.
    """
    weights = 1 + rng.pareto(tail, addresses)
    most = max(MOST_USERS / users, 1)
    while weights.max() > 1.001 * most * weights.mean():
        weights = np.minimum(weights, weights.mean() * most)
    return np.cumsum(np.rint(weights * 100).astype(np.int64))
