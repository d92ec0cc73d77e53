"""Everything the service answers other than a decision: problem documents (RFC 9457).

A problem's `type` is stable; programs may tell problems apart by it. Nothing that a caller sent is
repeated in one but the names of unknown fields, cut and percent-encoded, as JSON pointers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import quote

from pydantic import BaseModel, Field
from pydantic_core import to_json

URN = "urn:slidr-replay:problem:"
MEDIA_TYPE = "application/problem+json"
NAME_SHOWN = 40  # characters of an unknown field's name

Header = tuple[bytes, bytes]


class Kind(NamedTuple):
    """A sort of problem: the last word of its `type`, its status and its title."""

    word: str
    status: int
    title: str
    retry_after: int | None = None  # seconds


MALFORMED = Kind("malformed-request", 400, "The request is not valid HTTP")
NOT_JSON = Kind("not-json", 400, "The body is not JSON")
TOO_DEEP = Kind("too-deep", 400, "The body's JSON is nested too deeply")
NOT_FOUND = Kind("not-found", 404, "There is nothing at this path")
METHOD = Kind("method-not-allowed", 405, "The path does not take this method")
TOO_SLOW = Kind("too-slow", 408, "The request did not arrive in time")
TOO_LARGE = Kind("too-large", 413, "The body is too large")
MEDIA = Kind("unsupported-media-type", 415, "The body is not of a type that the path takes")
INVALID = Kind("invalid", 422, "The body is JSON, but no click that can be decided")
BUSY = Kind("too-many-connections", 429, "There are too many connections", 1)
PIPELINED = Kind("too-many-pipelined", 429, "Too many requests wait on this connection", 1)
HEAD_TOO_LARGE = Kind("head-too-large", 431, "The request line and headers are too large")
BUG = Kind("internal", 500, "The service has a bug")
NO_ROOM = Kind("no-room", 503, "The decision log has no room", 1)
NOT_READY = Kind("not-ready", 503, "The service is not ready", 1)

KINDS = (
    *(MALFORMED, NOT_JSON, TOO_DEEP, NOT_FOUND, METHOD, TOO_SLOW, TOO_LARGE, MEDIA, INVALID),
    *(BUSY, PIPELINED, HEAD_TOO_LARGE, BUG, NO_ROOM, NOT_READY),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a body; `pointer` says where, as a URI fragment (RFC 6901)."""

    pointer: str
    detail: str


class ProblemDocument(BaseModel):
    """A problem as it is sent (RFC 9457)."""

    type: str = Field(pattern=f"^{URN}[a-z-]+$")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    errors: list[Fault] | None = Field(default=None, description="all that is wrong with the body")
    missing: list[str] | None = Field(default=None, description="what the service waits for")


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem to answer with; `allow` lists the methods that a path takes (405)."""

    kind: Kind
    detail: str
    errors: tuple[Fault, ...] = ()
    missing: tuple[str, ...] = ()
    allow: str | None = None

    def document(self) -> dict[str, object]:
        """Return the members of the document; those that are empty are left out.

        >>> Problem(NOT_FOUND, "See /openapi.json.").document()["type"]
        'urn:slidr-replay:problem:not-found'
        """
        word, status, title, _ = self.kind
        found: dict[str, object] = {"type": URN + word, "title": title, "status": status}
        found["detail"] = self.detail
        if self.errors:
            found["errors"] = self.errors
        if self.missing:
            found["missing"] = list(self.missing)
        return found

    def body(self) -> bytes:
        """Return the document as JSON."""
        return to_json(self.document())

    def headers(self) -> list[Header]:
        """Return the headers that go with the body, but for its length."""
        found = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")]
        if self.kind.retry_after is not None:
            found.append((b"retry-after", str(self.kind.retry_after).encode()))
        if self.allow is not None:
            found.append((b"allow", self.allow.encode()))
        if self.kind is MEDIA:
            found.append((b"accept-encoding", b"identity"))
        return found


def raw_response(problem: Problem, headers: Iterable[Header], *, silent: bool) -> bytes:
    """Write a whole response that ends its connection; a silent one (to HEAD) has no body."""
    status = problem.kind.status
    body = problem.body()
    ending = [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    lines = [b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode())]
    lines += [name + b": " + value for name, value in (*headers, *problem.headers(), *ending)]
    return b"\r\n".join([*lines, b"", b"" if silent else body])


class Refused(Exception):
    """A request that is answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.kind.word)
        self.problem = problem


def pointer(*path: str | int) -> str:
    """Write a place in a body as a JSON pointer in a URI fragment; long names are cut.

    >>> pointer("clicks", 3, "price_micros"), pointer(), pointer("a/b~ ")
    ('#/clicks/3/price_micros', '#', '#/a~1b~0%20')
    """
    return "#" + "".join(f"/{_step(step)}" for step in path)


def _step(step: str | int) -> str:
    text = str(step)
    if len(text) > NAME_SHOWN:
        text = text[:NAME_SHOWN] + "…"
    return quote(text.replace("~", "~0").replace("/", "~1"), safe="~")
