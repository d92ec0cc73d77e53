"""A worker process for tests: serves a socket that it inherits, until SIGTERM.

    python -m tests.scorer.serving.worker FD VERSION SECONDS

SECONDS is how long the decider takes. When all is over it prints the ids of the clicks it decided.
"""

import json
import socket
import sys

import uvloop

from scorer.serving.app import create_app
from scorer.serving.metrics import Metrics
from scorer.serving.server import serve, stop_on_signals
from scorer.serving.state import Health
from tests.scorer.serving.service import MemoryDecider, State


async def main(fd: int, version: str, seconds: float) -> None:
    """Serve; then print what was decided."""
    decider, metrics = MemoryDecider(version, seconds), Metrics()
    metrics.know(version, {"device=tv,logged_in=true"})
    state = State(Health((), version, 1.0, 0.01, store_open=False))
    app = create_app(decider, state, metrics, simulated_time=False)
    bound, stop = socket.socket(fileno=fd), stop_on_signals()
    await serve(app, [bound], state=state, metrics=metrics, stop=stop)
    print(json.dumps(list(decider.stamps)), flush=True)  # noqa: T201


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
