"""The service against its own OpenAPI document, and against bytes that are no requests at all."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from scorer.serving.clicks import Click
from scorer.serving.openapi import openapi
from tests.scorer.serving.service import Service, click, head, read_all, service
from tests.scorer.serving.test_http_bounds import HEALTHZ, LAST, REQUEST, statuses

DOCUMENT: dict[str, Any] = json.loads(openapi(simulated_time=False))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
BOUNDED = settings(
    max_examples=50,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
POST = SCHEMA["/v1/decisions"]["POST"]
RESPONSES = DOCUMENT["paths"]["/v1/decisions"]["post"]["responses"]
DOCUMENTED = {int(status) for status in RESPONSES} | {100, 404, 405}


@pytest.fixture(scope="module")
def live() -> Iterator[Service]:
    with service() as running:
        yield running
        assert statuses(running.raw(LAST)) == [200]


def test_the_document_is_served_as_it_is(live: Service) -> None:
    assert live.client.get("/openapi.json").json() == DOCUMENT


def test_an_own_time_stands_in_the_document_where_it_is_taken() -> None:
    taking = json.loads(openapi(simulated_time=True))
    for document, types in ((DOCUMENT, "null"), (taking, "integer")):
        assert types in json.dumps(document["components"]["schemas"]["Click"]["properties"]["time"])


@settings(BOUNDED)
@given(case=POST.as_strategy(generation_mode=GenerationMode.POSITIVE))
def test_every_body_of_the_document_is_decided(live: Service, case: schemathesis.Case[Any]) -> None:
    # To JSON Schema 1.0 is an integer; the service wants integers written as such.
    assume(not _has_float(case.body))
    response = case.call(base_url=str(live.client.base_url))
    case.validate_response(response)
    assert response.status_code == 200
    assert all("decision" in one for one in response.json().get("decisions", [response.json()]))


def _has_float(body: Any) -> bool:  # noqa: ANN401
    clicks = body.get("clicks", [body])
    return any(isinstance(value, float) for click in clicks for value in click.values())


@settings(BOUNDED)
@given(case=POST.as_strategy(generation_mode=GenerationMode.NEGATIVE))
def test_no_other_body_is_decided(live: Service, case: schemathesis.Case[Any]) -> None:
    response = case.call(base_url=str(live.client.base_url))
    case.validate_response(response, excluded_checks=[negative_data_rejection])
    if response.status_code == 200:  # a batch: its bad clicks have problems of their own
        assert any("problem" in one for one in response.json()["decisions"])


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_the_pages_are_as_the_document_says(live: Service, path: str) -> None:
    case = SCHEMA[path]["GET"].Case()
    case.call_and_validate(base_url=str(live.client.base_url))


# Bytes that are nearly requests: whole ones, cut, repeated, and with pieces of others in them.

TOKENS = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b" ", b"\0", b":", b'"', b"{", b"}", b"[", b"]", b",", b"\xff"),
        *(
            b"0\r\n\r\n",
            b"5\r\nhello\r\n",
            b"transfer-encoding: chunked\r\n",
            b"expect: 100-continue",
        ),
        *(b"content-length: 5\r\n", b"connection: close\r\n", b"upgrade: h2c\r\n", b"HTTP/1.0"),
        *(b"host: x\r\n", b"OPTIONS", b"PUT", b"CONNECT", b"/healthz", b"1e999", b"NaN", b"null"),
        *(b'"clicks"', b'"time": 1', b"\\ud800", b"\\u0000", b"-1", b"9" * 30, b"[" * 300),
    ]
)
WHOLE = json.dumps({"clicks": [click("f1"), click("f2", ip=None, query="é")]}).encode()
SEEDS = st.sampled_from(
    [REQUEST, HEALTHZ, head(WHOLE) + WHOLE, head(WHOLE, "expect: 100-continue")]
)


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """Draw requests that were cut, doubled and spliced with tokens."""
    data = b"".join(draw(st.lists(SEEDS, min_size=1, max_size=3)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.sampled_from([0, 0, 1, 3, 40, 200]))
        data = data[:at] + draw(TOKENS | st.binary(max_size=8)) + data[at + cut :]
    return data


@settings(BOUNDED, max_examples=300)
@given(data=mutants(), pieces=st.integers(1, 4))
def test_mutated_requests_meet_documented_answers(live: Service, data: bytes, pieces: int) -> None:
    assume(b"HEAD" not in data)  # its answers state a length and have no body
    size = max(1, -(-len(data) // pieces))
    with live.connect() as bare:
        for at in range(0, len(data), size):
            bare.sendall(data[at : at + size])
        bare.shutdown(socket.SHUT_WR)
        found = statuses(read_all(bare))
    assert set(found) <= DOCUMENTED - {500, 503}


@settings(BOUNDED, max_examples=150)
@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from([*Click.model_fields, "clicks", "é"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_other_bodies_meet_documented_answers(live: Service, body: bytes) -> None:
    response = live.post(body)
    assert response.status_code in DOCUMENTED - {500, 503}
    members = response.json()
    found = members.get("decisions", [members])
    assert all("decision" in one or "problem" in one or "type" in one for one in found)
