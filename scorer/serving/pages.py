"""The paths that people, balancers and Prometheus ask, and the answers to wrong paths and bugs."""

import asyncio
import time

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from scorer.serving.metrics import OTHER as OTHER_PATH
from scorer.serving.metrics import Metrics
from scorer.serving.problems import BUG, METHOD, NOT_FOUND, NOT_READY, Problem
from scorer.serving.state import ServiceState

JSON = "application/json"
METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
RENDERED_EACH = 1.0  # s; who asks for /metrics more often gets the last text again
PATHS = {"/v1/decisions": "decisions"} | {
    f"/{name}": name for name in ("healthz", "readyz", "metrics", "openapi.json")
}

BROKEN = "The log of the service says more."
WRONG = {kind.status: kind for kind in (NOT_FOUND, METHOD)}


class Pages:
    """The endpoints beside the decisions."""

    def __init__(self, state: ServiceState, metrics: Metrics, document: bytes) -> None:
        self._state = state
        self._metrics = metrics
        self._document = document
        self._rendering = asyncio.Lock()
        self._text = b""
        self._rendered_at = -RENDERED_EACH

    async def healthz(self, request: Request) -> Response:
        """Tell that the process lives and its loop turns."""
        return self._counted(request, Response(b'{"status":"alive"}', media_type=JSON))

    async def readyz(self, request: Request) -> Response:
        """Tell whether clicks are decided here, and what is missing if not."""
        health = self._state.health()
        if health.missing:
            missing = Problem(NOT_READY, "; ".join(health.missing), missing=health.missing)
            return self._problem(request, missing)
        ready = to_json({"status": "ready", "model_version": health.model_version})
        return self._counted(request, Response(ready, media_type=JSON))

    async def metrics(self, request: Request) -> Response:
        """Return the text for Prometheus; made in a thread, and once a second at most."""
        async with self._rendering:
            if time.monotonic() - self._rendered_at >= RENDERED_EACH:
                self._text = await asyncio.to_thread(self._metrics.render)
                self._rendered_at = time.monotonic()
        return self._counted(request, Response(self._text, headers={"content-type": METRICS_TEXT}))

    async def openapi(self, request: Request) -> Response:
        """Return the OpenAPI document."""
        return self._counted(request, Response(self._document, media_type=JSON))

    async def refused(self, request: Request, exc: Exception) -> Response:
        """Answer a path or a method that there is not."""
        if not isinstance(exc, HTTPException) or exc.status_code not in WRONG:
            raise exc
        allow = (exc.headers or {}).get("Allow")
        detail = f"This path takes {allow}." if allow else "See /openapi.json."
        return self._problem(request, Problem(WRONG[exc.status_code], detail, allow=allow))

    async def broken(self, request: Request, exc: Exception) -> Response:
        """Answer a bug; the traceback is in the log and not in the answer."""
        return self._problem(request, Problem(BUG, BROKEN))

    def _problem(self, request: Request, problem: Problem) -> Response:
        self._metrics.observe_problem(problem.kind)
        headers = {name.decode(): value.decode() for name, value in problem.headers()}
        response = Response(problem.body(), problem.kind.status, headers)
        return self._counted(request, response)

    def _counted(self, request: Request, response: Response) -> Response:
        path = PATHS.get(request.scope["path"], OTHER_PATH)
        self._metrics.observe_request(path, response.status_code)
        return response
