"""One request and its answer: uvicorn's, but with head and body of an answer in one write."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn._types import HTTPScope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from scorer.serving.problems import BUG, Header, Problem


def address(scope: HTTPScope, method: bytes, version: str, target: bytes) -> None:
    """Note in a scope what a request is to; raise HttpParserError where `target` is no URL."""
    url = httptools.parse_url(target)
    scope["method"] = method.decode("ascii")
    scope["http_version"] = version
    scope["raw_path"] = url.path
    scope["path"] = unquote(url.path.decode("ascii"))
    scope["query_string"] = url.query or b""


def head_without_upgrade(
    method: bytes, target: bytes, version: str, headers: Iterable[Header]
) -> bytes:
    """Write a request's head again, without an offer to go over to another protocol."""
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
    lines += [name + b": " + value for name, value in headers if name != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])


class OneWriteCycle(RequestResponseCycle):
    """Holds an answer's head back until its body is there: two writes are two packets.

    Every answer of the service is one piece, states its length, and has headers that no caller has
    a say in, so nothing of that is checked again. Closing is the protocol's.
    """

    _head: Any = None

    async def send(self, message: Any) -> None:  # noqa: ANN401
        """Take the head of an answer, or its body."""
        if message["type"] == "http.response.start":
            self._head = message
            return
        if message.get("more_body"):
            raise RuntimeError("an answer in several pieces")
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self._answer(self._head["status"], self._head["headers"], message["body"])

    async def send_500_response(self) -> None:
        """Answer a request that was cut off, or met a bug outside of the app."""
        problem = Problem(BUG, "The service could not finish this request.")
        body = problem.body()
        self.keep_alive = False
        if not self.disconnected:
            length = (b"content-length", b"%d" % len(body))
            self._answer(BUG.status, [*problem.headers(), length], body)

    def _answer(self, status: int, headers: list[Header], body: bytes) -> None:
        self.response_started = self.response_complete = True
        lines = [STATUS_LINE[status]]
        for name, value in (*self.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        if not self.keep_alive or self.more_body:  # see GuardedProtocol.on_response_complete
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        if self.scope["method"] != "HEAD":
            lines.append(body)
        self.transport.write(b"".join(lines))
        self.message_event.set()
        self.on_response()
