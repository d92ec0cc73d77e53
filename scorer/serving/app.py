"""The service's paths: decisions, and what on-call, a balancer and Prometheus ask.

The path of a decision is written for speed: an ASGI callable that no router, Request or Response
object stands before, and without a log line. The rest is plain Starlette.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from scorer.serving.bodies import Asked, read_body
from scorer.serving.metrics import Metrics
from scorer.serving.openapi import openapi
from scorer.serving.pages import BROKEN, Pages
from scorer.serving.ports import Answer, Decider
from scorer.serving.problems import BUG, MEDIA, NO_ROOM, Problem, Refused
from scorer.serving.state import ServiceState

DAY = 86_400_000_000  # µs
EPOCH = datetime(1970, 1, 1)
JSON = b"application/json"
PATH = "/v1/decisions"

Headers = list[tuple[bytes, bytes]]


def create_app(
    decider: Decider, state: ServiceState, metrics: Metrics, *, simulated_time: bool
) -> ASGIApp:
    """Return the ASGI app; `server.serve` runs it, and bounds what clients may send it.

    With `simulated_time` a click's own `time` is taken, up to a day ahead of this machine's clock.
    """
    decisions = Decisions(decider, state, metrics, simulated_time)
    pages = Pages(state, metrics, openapi(simulated_time=simulated_time))
    rest = Starlette(
        routes=[
            Route(PATH, decisions, methods=["POST"]),
            Route("/healthz", pages.healthz),
            Route("/readyz", pages.readyz),
            Route("/metrics", pages.metrics),
            Route("/openapi.json", pages.openapi),
        ],
        exception_handlers={HTTPException: pages.refused, Exception: pages.broken},
    )
    rest.router.redirect_slashes = False

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == PATH and scope["method"] == "POST":
            await decisions(scope, receive, send)
        else:
            await rest(scope, receive, send)

    return app


class Decisions:
    """POST /v1/decisions."""

    def __init__(
        self, decider: Decider, state: ServiceState, metrics: Metrics, simulated_time: bool
    ) -> None:
        self._decider = decider
        self._state = state
        self._metrics = metrics
        self._simulated_time = simulated_time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with decisions or with a problem."""
        try:
            _check_headers(scope["headers"])
            body = await _whole_body(receive)
            if body is None:
                return  # the client left
            started = time.perf_counter()
            asked = read_body(body, time.time_ns() // 1000 + DAY if self._simulated_time else None)
            answers = await self._decide(asked) if asked.clicks else []
            reply = _reply(asked, answers)
        except Refused as exc:
            await self._refuse(exc.problem, send)
            return
        except Exception:
            await self._refuse(Problem(BUG, BROKEN), send)
            raise  # the server logs it
        await _send(send, 200, [(b"content-type", JSON)], reply)
        self._metrics.observe_answers(answers, time.perf_counter() - started)
        self._metrics.observe_request("decisions", 200)
        for place in asked.places or ():
            if place is not None:
                self._metrics.observe_problem(place.problem.kind)

    async def _decide(self, asked: Asked) -> list[Answer]:
        if not self._state.has_room():
            raise Refused(Problem(NO_ROOM, "Decisions cannot be logged now; nothing was counted."))
        return await self._decider.decide(asked.clicks)

    async def _refuse(self, problem: Problem, send: Send) -> None:
        self._metrics.observe_problem(problem.kind)
        self._metrics.observe_request("decisions", problem.kind.status)
        await _send(send, problem.kind.status, problem.headers(), problem.body())


def _check_headers(headers: Headers) -> None:
    media = b""
    for name, value in headers:
        if name == b"content-type":
            media = value
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise Refused(Problem(MEDIA, "A body must not be compressed."))
    if media != JSON and media.partition(b";")[0].strip().lower() != JSON:
        raise Refused(Problem(MEDIA, "The Content-Type must be application/json."))


async def _whole_body(receive: Receive) -> bytes | None:
    """Return the request's body; the protocol bounds it. Null where the client left."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        piece: bytes = message["body"]
        if not message["more_body"]:
            return b"".join((*pieces, piece)) if pieces else piece
        pieces.append(piece)


def _reply(asked: Asked, answers: Sequence[Answer]) -> bytes:
    if asked.places is None:
        return to_json(_decided(answers[0]), inf_nan_mode="null")
    rest = iter(answers)
    decisions = [
        _decided(next(rest))
        if place is None
        else {"click_id": place.click_id, "problem": place.problem.document()}
        for place in asked.places
    ]
    return to_json({"decisions": decisions}, inf_nan_mode="null")


def _decided(answer: Answer) -> dict[str, object]:
    at = EPOCH + timedelta(microseconds=answer.ts)
    return {
        "click_id": answer.click.click_id,
        "decision": answer.decision,
        "reason": answer.reason,
        "ts": at.isoformat(timespec="microseconds") + "Z",
        "seq": answer.seq,
        "probability": answer.probability,
        "threshold": answer.threshold,
        "slice": answer.slice,
        "model_version": answer.model_version,
    }


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
