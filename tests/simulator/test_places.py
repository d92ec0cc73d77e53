"""Networks: who shares an address with how many, and when people move to another."""

from itertools import pairwise

import numpy as np

from simulator.draw import generator
from simulator.people import HumanSettings, make_people
from simulator.places import CARRIER_SHARES, CARRIERS, LEASE_HOURS, MOST_USERS, carrier_weights

PEOPLE = make_people(HumanSettings(zones={0: 1.0}), 50_000, seed=2)
PLACES = PEOPLE.places
EVERYONE = np.arange(len(PEOPLE))
CARRIER_OF = PEOPLE.carrier.astype(np.int64)


def test_some_homes_get_another_address_every_night_and_never_each_other_s() -> None:
    homes = np.arange(PLACES.homes)
    night = np.full(PLACES.homes, 20_000)
    before, after = PLACES.at_home(homes, night), PLACES.at_home(homes, night + 1)
    assert (before[: PLACES.renewed] != after[: PLACES.renewed]).all()
    assert (before[PLACES.renewed :] == after[PLACES.renewed :]).all()
    assert sorted(after) == sorted(before) == homes.tolist()


def test_a_carrier_keeps_a_user_for_some_hours_and_then_moves_them() -> None:
    hours = [PLACES.on_carrier(EVERYONE, CARRIER_OF, hour) for hour in range(2 * LEASE_HOURS)]
    moves = np.stack([a != b for a, b in pairwise(hours)])
    assert (moves.sum(axis=0) <= 2).all()
    assert moves.any(axis=0).mean() > 0.8
    assert moves.any(axis=1).all()  # not everyone at the same hour


def test_a_carrier_s_addresses_are_its_own() -> None:
    address = PLACES.on_carrier(EVERYONE, CARRIER_OF, 7)
    per_carrier = PLACES.carriers // CARRIERS
    assert ((address - PLACES.carrier_start) // per_carrier == CARRIER_OF).all()


def test_students_stay_within_their_campus() -> None:
    students = np.flatnonzero(PEOPLE.campus >= 0)
    address = PLACES.on_campus(students, PEOPLE.campus[students].astype(np.int64), 11)
    assert PLACES.campus_start <= address.min() <= address.max() < PLACES.carrier_start


def test_no_carrier_s_address_has_more_than_ten_thousand_users() -> None:
    users, addresses = 2_000_000, 10_000
    sums = carrier_weights(generator(1), addresses, 1.1, users / addresses)
    expected = np.diff(sums, prepend=0) / sums[-1] * users
    assert 0.5 * MOST_USERS < expected.max() <= 1.5 * MOST_USERS
    assert np.median(expected) < users / addresses


def test_people_work_and_live_in_their_own_zone() -> None:
    people = make_people(HumanSettings(zones={0: 0.5, 9: 0.5}), 50_000, seed=2)
    border = people.zone_start[1]
    for column in (people.home, people.office):
        west, east = set(column[:border]) - {-1}, set(column[border:]) - {-1}
        assert len(west & east) <= 1


def test_carriers_are_of_unequal_size() -> None:
    shares = np.bincount(CARRIER_OF) / len(PEOPLE)
    bound = 5 * np.sqrt(0.25 / len(PEOPLE))
    assert np.abs(shares - CARRIER_SHARES).max() < bound
