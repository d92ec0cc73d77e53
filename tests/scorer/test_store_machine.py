"""The live store beside its oracle: random clicks, leaps of time, flushes, restarts, layouts."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from scorer.spec import Spec
from tests.scorer.store_machine import (
    DEPLOYED,
    FEW,
    GAPS,
    LONG,
    SHARED,
    Drawn,
    StoreMachine,
)
from tests.scorer.worlds import InProcess, OnServer, World
from tests.servers import redis_server
from tests.strategies import BASES, SMALL, STEP

QUICK = settings(max_examples=80, stateful_step_count=20)
AT_LENGTH = settings(
    max_examples=1500, stateful_step_count=60, suppress_health_check=list(HealthCheck)
)


def run(world: World, how: settings) -> None:
    """Run the machine in a world."""

    class Machine(StoreMachine):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(Machine, settings=how)


ONE: Drawn = {"again": 0, "after": 0, "ip": "a", "user_id": "u", "device": "tv"}


def at_midnight(spec: Spec) -> StoreMachine:
    """Return a machine that keeps one spec and has seen one click, on the edge of every bucket."""
    machine = StoreMachine(InProcess())
    machine.start(BASES[0], SMALL, [DEPLOYED.index(spec)])
    machine.observe([(10, 0, False, [ONE])])
    return machine


def test_keys_live_longer_once_a_layout_sees_farther() -> None:
    machine = at_midnight(FEW)
    machine.deploy([DEPLOYED.index(LONG)])
    machine.observe([(steps, 0, False, [ONE]) for steps in (40, 120, 500)])
    machine.teardown()


@pytest.mark.parametrize("spec", [FEW, GAPS, SHARED, LONG])
@pytest.mark.parametrize("beside", [-1000, -1, 0])
def test_keys_live_until_no_window_sees_them(spec: Spec, beside: int) -> None:
    machine = at_midnight(spec)
    machine.observe([(spec.look_back // STEP, beside, False, [{**ONE, "user_id": "v"}])])
    machine.teardown()


def test_a_store_in_process_equals_the_oracle() -> None:
    run(InProcess(), QUICK)


def test_a_store_on_a_server_equals_the_oracle() -> None:
    with redis_server() as server:
        run(OnServer(server), QUICK)


@pytest.mark.soak
def test_a_store_in_process_equals_the_oracle_at_length() -> None:
    run(InProcess(), AT_LENGTH)


@pytest.mark.soak
def test_a_store_on_a_server_equals_the_oracle_at_length() -> None:
    with redis_server() as server:
        run(OnServer(server), AT_LENGTH)
