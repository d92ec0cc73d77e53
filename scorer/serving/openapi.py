"""The service's OpenAPI document, made from the types that the service reads and writes."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema
from pydantic_core import to_json

from scorer.serving.bodies import Batch
from scorer.serving.clicks import Click
from scorer.serving.problems import KINDS, MEDIA_TYPE, URN, ProblemDocument

VERSION = "1"
COMMON = (400, 408, 413, 429, 431)  # answered before a path is looked at
ALIVE = {"type": "object", "required": ["status"], "properties": {"status": {"const": "alive"}}}


class Decided(BaseModel):
    """The decision on one click."""

    model_config = ConfigDict(extra="forbid")

    click_id: str
    decision: Literal["valid", "invalid", "undecided"]
    reason: str = Field(
        description="`scored`, or why it is undecided: `store_unavailable`, `store_timeout`, "
        "`store_full`, `no_model`, `no_probability`"
    )
    ts: str = Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$", description="when it was counted, UTC"
    )
    seq: int = Field(description="breaks ties of `ts`")
    probability: float | None = Field(ge=0, le=1)
    threshold: float | None = Field(description="a click is invalid from this probability on")
    slice: str | None
    model_version: str | None


class Undecidable(BaseModel):
    """An element of a batch that is no click; the others are decided."""

    model_config = ConfigDict(extra="forbid")

    click_id: str | None
    problem: ProblemDocument


class DecidedBatch(BaseModel):
    """The decisions on a batch, in its order."""

    model_config = ConfigDict(extra="forbid")

    decisions: list[Decided | Undecidable]


class Ready(BaseModel):
    """The service decides clicks."""

    status: Literal["ready"]
    model_version: str | None


def openapi(*, simulated_time: bool) -> bytes:
    """Return the document as JSON; `time` stands in it only where the service takes one."""
    return to_json(_document(simulated_time))


def _document(simulated_time: bool) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Robot-click detection",
            "version": VERSION,
            "description": "Decides in real time whether an ad click is a person's.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/decisions": {"post": _decisions()},
            "/healthz": {"get": _page("healthz", "Does the process live?", ALIVE)},
            "/readyz": {"get": _page("readyz", "Does it decide?", _ref(Ready), 503)},
            "/metrics": {"get": _page("metrics", "Figures for Prometheus.", {"type": "string"})},
            "/openapi.json": {"get": _page("openapi", "This document.", {"type": "object"})},
        },
        "components": {"schemas": _schemas(simulated_time)},
    }


def _decisions() -> dict[str, Any]:
    answer = {"anyOf": [_ref(Decided), _ref(DecidedBatch)]}
    return {
        "operationId": "decide",
        "summary": "Decide one click, or a batch of at most 256.",
        "description": "A click_id sent again within ten minutes gets its first stamp, and is not "
        "counted again: a client that heard no answer may safely repeat its request. A batch with "
        "bad clicks gets a 200: each bad click has a problem in its place, the others a decision.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"anyOf": [_ref(Click), _ref(Batch)]}}},
        },
        "responses": _responses("The decision, or one for each click of a batch.", answer, 415, 422)
        | {"503": _problem(503)},
    }


def _page(name: str, summary: str, schema: dict[str, Any], *statuses: int) -> dict[str, Any]:
    responses = _responses(summary, schema, *statuses)
    if name == "metrics":
        responses["200"]["content"] = {"text/plain": {"schema": schema}}
    return {"operationId": name, "summary": summary, "responses": responses}


def _responses(text: str, schema: dict[str, Any], *statuses: int) -> dict[str, Any]:
    good = {"description": text, "content": {"application/json": {"schema": schema}}}
    problems = {str(status): _problem(status) for status in sorted({*COMMON, *statuses, 500})}
    return {"200": good} | problems


def _problem(status: int) -> dict[str, Any]:
    kinds = [kind for kind in KINDS if kind.status == status]
    found: dict[str, Any] = {
        "description": " ".join(f"{kind.title} (`{URN}{kind.word}`)." for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": _ref(ProblemDocument)}},
    }
    if any(kind.retry_after is not None for kind in kinds):
        seconds = {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}
        found["headers"] = {"Retry-After": {**seconds, "required": True}}
    return found


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _schemas(simulated_time: bool) -> dict[str, Any]:
    _, made = models_json_schema(
        [
            *((model, "validation") for model in (Click, Batch)),
            *((model, "serialization") for model in (Decided, DecidedBatch, Undecidable, Ready)),
            (ProblemDocument, "serialization"),
        ],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = made["$defs"]
    if not simulated_time:
        schemas["Click"]["properties"]["time"] = {"type": "null", "description": "not taken"}
    return schemas
