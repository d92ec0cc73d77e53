"""How much one client may ask of the service, and how long it may take to ask."""

from dataclasses import dataclass

BATCH = 256  # clicks of one request


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a worker process; sizes in bytes, times in seconds.

    A client slower than a time, or beyond a size, gets a problem document and loses its connection.
    """

    connections: int = 1024
    pipelined: int = 32  # requests of one connection that wait for the answer before theirs
    head_bytes: int = 16 * 1024  # request line and headers
    headers: int = 100
    body_bytes: int = 1024 * 1024
    body_pieces: int = 4096  # chunks, or packets
    head_seconds: float = (
        10.0  # from a request's first byte, or from connecting, to its headers' end
    )
    body_seconds: float = 10.0  # from there to the last byte of the body
    read_seconds: float = 10.0  # how long a client may leave its answers unread
    idle_seconds: int = 75  # between two requests
    linger_seconds: float = 2.0  # how long what a refused client still sends is read
    stop_seconds: int = 10  # from SIGTERM until what is in flight is cut off


LIMITS = Limits()
