"""A server that answers without looking: `python -m benchmarks.serving.floor PORT`.

What the load generator measures against it is its own share, the kernel's and the network's. A
stall (`STALL_AT SECONDS`, after the first request) stands for a service that hangs.
"""

import asyncio
import sys
import time
from typing import cast

import uvloop

BODY = (
    b'{"click_id":"","decision":"valid","reason":"scored","ts":"2026-01-01T00:00:00.000000Z",'
    b'"seq":1,"probability":0.5,"threshold":0.5,"slice":"all","model_version":"floor"}'
)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)


class Floor(asyncio.Protocol):
    """One connection; each request comes in one piece, or its end does."""

    stall: tuple[float, float] | None = None
    first = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hear from asyncio."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer."""
        if Floor.stall is not None:
            Floor.first = Floor.first or time.monotonic()
            if time.monotonic() - Floor.first >= Floor.stall[0]:
                time.sleep(Floor.stall[1])
                Floor.stall = None
        if data.rstrip().endswith(b"}"):
            self._transport.write(ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Floor, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        Floor.stall = float(sys.argv[2]), float(sys.argv[3])
    uvloop.run(_serve(int(sys.argv[1])))
