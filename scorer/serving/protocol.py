"""HTTP/1.1 as uvicorn and httptools speak it, with bounds on what a client may send and how slowly.

uvicorn reads heads of any size for any time, and answers malformed ones with plain text. Here every
bound of `Limits` is held and each refusal is a problem document, after which the connection closes:
first its sending half, for closing with unread bytes would reset it and lose the document.

No timer runs per request: a connection notes since when it waits, and `Guard.sweep` looks at all of
them a few times a second.
"""

import asyncio
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from scorer.serving.cycle import OneWriteCycle, address, head_without_upgrade
from scorer.serving.guard import GuardedConfig
from scorer.serving.problems import (
    BUSY,
    HEAD_TOO_LARGE,
    MALFORMED,
    PIPELINED,
    TOO_LARGE,
    TOO_SLOW,
    Problem,
    Refused,
    raw_response,
)


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.parser = httptools.HttpRequestParser(self)  # stricter than uvicorn's
        self.guard = cast("GuardedConfig", config).guard
        self.limits = self.guard.limits
        self.deaf = False  # what comes is thrown away
        self.last_words: bytes | None = None  # said when all answers are, before hanging up
        self.in_head = False
        self.in_body = False
        self.head_bytes = self.part_bytes = self.body_bytes = self.pieces = self.hosts = 0
        self.length = 0
        # Moments of the loop's clock, null where nothing is waited for:
        self.waiting_since: float | None = None  # for the rest of a head or a body
        self.idle_since: float | None = None  # for the next request
        self.unread_since: float | None = None  # for the client to read
        self.leaving_since: float | None = None  # for the connection to be gone

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it where there are too many."""
        super().connection_made(transport)
        self.waiting_since = self.loop.time()
        if len(self.connections) > self.limits.connections:
            self._refuse(Problem(BUSY, f"More than {self.limits.connections} are open."))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and tell every request of it that the client is gone."""
        self.guard.leaving.discard(self)
        for cycle, _ in self.pipeline:
            cycle.disconnected = True
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what was asked, though the client will send no more."""
        if self.leaving_since is not None or not self._answering() or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        return True

    def pause_writing(self) -> None:
        """Hear that the client leaves its answers unread."""
        super().pause_writing()
        self.unread_since = self.loop.time()

    def resume_writing(self) -> None:
        """Hear that it reads them."""
        super().resume_writing()
        self.unread_since = None

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse what is no HTTP, or out of bounds."""
        if self.deaf:
            return
        if self.waiting_since is None:
            self.waiting_since = self.loop.time()
        self.idle_since = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self._decline_upgrade(data[exc.args[0] :])
        except httptools.HttpParserError as exc:
            if self.deaf:
                return  # the request before these bytes said that it is the last
            cause = exc.__context__
            malformed = Problem(MALFORMED, "Its head, or its chunks, cannot be read.")
            self._refuse(cause.problem if isinstance(cause, Refused) else malformed)
        else:
            if self.in_head:
                self.part_bytes += len(data)
                if self.part_bytes > self.limits.head_bytes:
                    self._refuse(self._head_too_large())

    # The parser's side. What these raise stops the parser, and comes out of `feed_data`.

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        if len(self.pipeline) >= self.limits.pipelined:
            raise Refused(Problem(PIPELINED, "Wait for answers before sending more."))
        self.in_head = True
        self.head_bytes = self.part_bytes = self.body_bytes = self.pieces = self.hosts = 0
        self.length = 0
        if self.waiting_since is None:
            self.waiting_since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        self.head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those after a chunked body are left out."""
        self.head_bytes += len(name) + len(value) + 4
        if self.head_bytes > self.limits.head_bytes or len(self.headers) >= self.limits.headers:
            raise Refused(self._head_too_large())
        if not self.in_head:
            return
        super().on_header(name, value)
        lower = self.headers[-1][0]
        if lower == b"content-length":
            self.length = int(value)
        elif lower == b"host":
            self.hosts += 1

    def on_headers_complete(self) -> None:
        """Start on the request, unless its head alone is enough to refuse it."""
        if self.parser.should_upgrade():
            return  # the parser stops here: `_decline_upgrade` goes on
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1") or self.hosts > 1 or (self.hosts, version) == (0, "1.1"):
            raise Refused(Problem(MALFORMED, "It must be HTTP/1.1 with one Host header."))
        if self.length > self.limits.body_bytes:
            raise Refused(self._body_too_large())
        address(self.scope, self.parser.get_method(), version, self.url)
        self._begin(version)
        self.in_head = False
        self.in_body = True
        self.waiting_since = self.loop.time()

    def _begin(self, version: str) -> None:
        """Start to answer, or queue the request behind those before it."""
        before = self.cycle
        self.cycle = cycle = OneWriteCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self.body_bytes += len(body)
        self.pieces += 1
        if self.body_bytes > self.limits.body_bytes or self.pieces > self.limits.body_pieces:
            raise Refused(self._body_too_large())
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Have the whole request."""
        if self.parser.should_upgrade():
            return
        self.in_body = False
        self.waiting_since = None
        super().on_message_complete()
        if not self.cycle.keep_alive:
            self.deaf = True

    def on_response_complete(self) -> None:
        """Go on with the next request of the pipeline, or hang up where that was the last."""
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self.idle_since = self.loop.time()
        # After a request that was answered before all of it came, what follows may be its body.
        if self.last_words is not None or self.cycle.more_body or not self.cycle.keep_alive:
            self._hang_up()

    def check(self, now: float) -> None:
        """Act where something has been waited for, for too long."""
        limits = self.limits
        if self.transport.is_closing() and self.leaving_since is None:
            self.leaving_since = now
        if _over(self.leaving_since, limits.linger_seconds, now) or _over(
            self.unread_since, limits.read_seconds, now
        ):
            self.transport.abort()
        elif self.in_body and _over(self.waiting_since, limits.body_seconds, now):
            self._refuse(Problem(TOO_SLOW, f"The body took over {limits.body_seconds:g} s."))
        elif _over(self.idle_since, limits.idle_seconds, now):
            self.transport.close()
        elif _over(self.waiting_since, limits.head_seconds, now) and not self._answering():
            if self.in_head:
                self._refuse(Problem(TOO_SLOW, f"The head took over {limits.head_seconds:g} s."))
            else:
                self.transport.close()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, problem: Problem) -> None:
        """Answer with a problem, after the answers that are due before it, and hang up."""
        self.guard.metrics.observe_problem(problem.kind)
        self.guard.metrics.observe_request("refused", problem.kind.status)
        self.deaf = True
        headers = self.server_state.default_headers
        silent = self.parser.get_method() == b"HEAD"
        self.last_words = raw_response(problem, headers, silent=silent)
        self.waiting_since = None
        if self._answering() and not self._abandon_body():
            return  # `on_response_complete` hangs up
        self._hang_up()

    def _abandon_body(self) -> bool:
        """Give up a request whose body is incomplete; return whether no answer is due now."""
        if not self.in_body:
            return False
        self.in_body = False
        cycle = self.cycle
        cycle.disconnected = True
        if any(cycle is queued for queued, _ in self.pipeline):
            self.pipeline.popleft()
            return False
        if cycle.response_started:
            self.last_words = b""
        cycle.message_event.set()
        return True

    def _hang_up(self) -> None:
        self.deaf = True
        self.connections.discard(self)
        if self.transport.is_closing():
            return
        self.leaving_since = self.loop.time()
        crowded = len(self.guard.leaving) >= self.limits.connections
        self.guard.leaving.add(self)
        if self.last_words:
            self.transport.write(self.last_words)
        if crowded or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()

    def _head_too_large(self) -> Problem:
        most = f"{self.limits.head_bytes} bytes and {self.limits.headers} headers"
        return Problem(HEAD_TOO_LARGE, f"A head may have {most} at most.")

    def _body_too_large(self) -> Problem:
        most = f"{self.limits.body_bytes} bytes in {self.limits.body_pieces} pieces"
        return Problem(TOO_LARGE, f"A body may have {most} at most.")

    def _decline_upgrade(self, rest: bytes) -> None:
        """Parse a head at which the parser stopped again, without its offer of another protocol.

        (Java's client offers HTTP/2 with every first request.)
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(Problem(MALFORMED, "It asks for a tunnel."))
            return
        version = self.parser.get_http_version()
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(head_without_upgrade(method, self.url, version, self.headers) + rest)


def _over(since: float | None, seconds: float, now: float) -> bool:
    return since is not None and now - since > seconds
