"""The paths of the service, over real sockets."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from scorer.serving.problems import MEDIA_TYPE, URN
from scorer.serving.state import Health
from tests.scorer.serving.service import HEALTHY, Service, click, eventually, service


@pytest.fixture(scope="module")
def live() -> Iterator[Service]:
    with service() as running:
        yield running


@pytest.fixture(scope="module")
def simulated() -> Iterator[Service]:
    with service(simulated_time=True) as running:
        yield running


def problem(response: httpx.Response, status: int, word: str) -> dict[str, Any]:
    """Check that an answer is this problem, and return the document."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    document: dict[str, Any] = response.json()
    assert document["type"] == URN + word
    assert document["status"] == status
    return document


def pointers(document: dict[str, Any]) -> list[str]:
    return [error["pointer"] for error in document["errors"]]


def test_one_click_is_decided(live: Service) -> None:
    response = live.post(click("one"))
    answer = response.json()
    assert response.status_code == 200
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", answer.pop("ts"))
    assert isinstance(answer.pop("seq"), int)
    assert answer.pop("decision") in ("valid", "invalid")
    assert answer.pop("probability") in (0.25, 0.75)
    assert answer == {
        "click_id": "one",
        "reason": "scored",
        "threshold": 0.5,
        "slice": "device=tv,logged_in=true",
        "model_version": "v1",
    }


def test_a_time_of_whole_seconds_keeps_its_microseconds(simulated: Service) -> None:
    answer = simulated.post(click("whole", time=1_700_000_000_000_000)).json()
    assert answer["ts"] == "2023-11-14T22:13:20.000000Z"


def test_a_batch_is_decided_in_order(live: Service) -> None:
    answers = live.post({"clicks": [click("b"), click("a")]}).json()["decisions"]
    assert [answer["click_id"] for answer in answers] == ["b", "a"]
    assert {answer["decision"] for answer in answers} == {"valid", "invalid"}


def test_a_batch_may_have_256_clicks_and_no_more(live: Service) -> None:
    clicks = [click(f"n{n}") for n in range(257)]
    assert len(live.post({"clicks": clicks[:256]}).json()["decisions"]) == 256
    found = problem(live.post({"clicks": clicks}), 422, "invalid")
    assert pointers(found) == ["#/clicks"]
    assert pointers(problem(live.post({"clicks": []}), 422, "invalid")) == ["#/clicks"]


def test_bad_clicks_of_a_batch_leave_the_others_alone(live: Service) -> None:
    bad = [click("bad", price_micros="1", more=1), 7, click(""), click("x" * 129)]
    answers = live.post({"clicks": [click("g1"), *bad, click("g2")]}).json()["decisions"]
    assert [answer["click_id"] for answer in answers] == ["g1", "bad", None, None, None, "g2"]
    assert ["problem" in answer for answer in answers] == [False, True, True, True, True, False]
    faults = [pointers(answer["problem"]) for answer in answers[1:5]]
    assert faults[0] == ["#/clicks/1/price_micros", "#/clicks/1/more"]
    assert faults[1:] == [["#/clicks/2"], ["#/clicks/3/click_id"], ["#/clicks/4/click_id"]]
    assert [seen.click_id for seen in live.decider.seen[-2:]] == ["g1", "g2"]


def test_a_batch_of_bad_clicks_reaches_no_decider(live: Service) -> None:
    before = len(live.decider.seen)
    live.state.room = False
    try:
        response = live.post({"clicks": [{}, {}]})
    finally:
        live.state.room = True
    assert response.status_code == 200
    assert [len(pointers(a["problem"])) for a in response.json()["decisions"]] == [6, 6]
    assert len(live.decider.seen) == before


def test_all_that_is_wrong_with_a_click_is_listed(live: Service) -> None:
    bad = click(device=7, logged_in="yes", price_micros=-1, ip="1" * 257, time=5, odd=1)
    del bad["campaign_id"]
    found = problem(live.post(bad), 422, "invalid")
    names = ("time", "ip", "device", "logged_in", "campaign_id", "price_micros", "odd")
    assert sorted(pointers(found)) == sorted(f"#/{name}" for name in names)
    assert found["detail"] == "7 problems; see `errors`."


@pytest.mark.parametrize(
    "value",
    [
        *(click(price_micros=price) for price in (1.0, True, "1", None, 10**15 + 1, 10**400)),
        *(click(logged_in=flag) for flag in (1, "true", None)),
        *(click() | {"click_id": text} for text in ("", "x" * 129, "a\0b", None, 1, ["x"])),
        *(click() | {"query": query} for query in ("\0", "x" * 2049, 1)),
        *(click(time=time) for time in (0, 1.5, "now", -1)),
        click() | {"": 1},
        click(clicks_=[click()]),
        {"clicks": {}},
        {"clicks": [click()], "more": 1},
        {"clicks": None},
        *([], "x", 1, None, True, [click()]),
    ],
)
def test_json_that_is_no_click_is_invalid(live: Service, value: object) -> None:
    assert problem(live.post(value), 422, "invalid")["errors"]


@pytest.mark.parametrize(
    "value",
    [
        click(price_micros=0),
        click(price_micros=10**15),
        click(user_id=None, session_id="", ip="", user_agent=None, query=""),
        click(query="\\u0000 is written \\ and \" and ':"),
        click(query='"a":"b"  :'),
        click(query="\u2028😀" * 1000),
        click(query="," * 2048, user_agent=":" * 2048),
        click(time=None),
    ],
)
def test_odd_clicks_are_clicks(live: Service, value: dict[str, Any]) -> None:
    assert live.post(value).json()["click_id"] == value["click_id"]
    assert live.post({"clicks": [value]}).json()["decisions"][0]["click_id"] == value["click_id"]
    pretty = json.dumps(value, indent=4, ensure_ascii=False, separators=(",", "\n\t : "))
    assert live.post(pretty.encode()).json()["click_id"] == value["click_id"]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"{}{}", b"{'a':1}", b"\xff", b'{"a":"\xff"}', b"\xef\xbb\xbf{}", b"nul"),
        *(b'{"a":NaN}', b'{"price_micros":Infinity}', b'{"price_micros":-Infinity}', b"[1,]"),
        *(b'{"a":"\\ud800"}', b'{"\\udc00":1}', b'{"a":"\x00"}', b'{"a":"\n"}', b"\x00"),
        *("{}".encode("utf-16"), b'{"price_micros":' + b"9" * 5000 + b"}"),
    ],
)
def test_what_is_not_json_is_refused(live: Service, body: bytes) -> None:
    problem(live.post(body), 400, "not-json")
    problem(live.post(b'{"clicks":[' + body + b"}"), 400, "not-json")


@pytest.mark.parametrize("body", [b"[" * 500, b'{"a":' * 500, b'{"clicks":[' + b"[" * 500])
def test_deep_json_is_refused(live: Service, body: bytes) -> None:
    problem(live.post(body), 400, "too-deep")


def test_a_name_that_stands_twice_is_refused(live: Service) -> None:
    good = json.dumps(click("twice"))
    twice = good[:-1] + ', "device"\t: "pc"}'
    assert pointers(problem(live.post(twice.encode()), 422, "invalid")) == ["#/device"]
    batch = f'{{"clicks": [{good}, {twice}]}}'.encode()
    first, second = live.post(batch).json()["decisions"]
    assert first["click_id"] == "twice"
    assert pointers(second["problem"]) == ["#/clicks/1/device"]
    batches = f'{{"clicks": [], "clicks": [{good}]}}'.encode()
    assert pointers(problem(live.post(batches), 422, "invalid")) == ["#/clicks"]


def test_an_unknown_name_is_shown_short_and_escaped(live: Service) -> None:
    name = '</script>\n"é~' + "x" * 500
    (shown,) = pointers(problem(live.post(click() | {name: 1}), 422, "invalid"))
    assert shown.startswith("#/%3C~1script%3E%0A%22%C3%A9~0xxx")
    assert len(shown) < 100


def test_no_value_is_echoed(live: Service) -> None:
    private = "a private word"
    assert private not in live.post(click(price_micros=private, device=[private])).text
    assert private not in live.post(f'{{"a": {private}'.encode()).text
    assert private not in live.client.get(f"/{private}").text


def test_too_much_json_for_its_size_is_refused(live: Service) -> None:
    for body in (b'{"clicks":[' + b"{}," * 40_000 + b"{}]}", b"[" + b"0," * 40_000 + b"0]"):
        problem(live.post(body), 413, "too-large")
    many = problem(live.post({f"m{n}": 1 for n in range(5000)}), 422, "invalid")
    assert pointers(many) == ["#"]


def test_an_own_time_is_taken_up_to_a_day_ahead(simulated: Service) -> None:
    day, now = 86_400_000_000, simulated.post(click("now")).json()["ts"]
    assert now
    assert simulated.post(click("early", time=0)).json()["ts"] == "1970-01-01T00:00:00.000000Z"
    at = simulated.decider.stamps["now"][0]
    assert simulated.post(click("ahead", time=at + day)).status_code == 200
    for time in (at + 2 * day, 10**18, 10**400):
        found = problem(simulated.post(click("far", time=time)), 422, "invalid")
        assert pointers(found) == ["#/time"]


@pytest.mark.parametrize(
    "headers",
    [
        *({"content-type": kind} for kind in ("text/plain", "", "application/jsonp")),
        *({"content-encoding": kind} for kind in ("gzip", "identity, gzip", "x")),
    ],
)
def test_other_media_are_refused(live: Service, headers: dict[str, str]) -> None:
    response = live.post(click(), **headers)
    problem(response, 415, "unsupported-media-type")
    assert response.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json ;x"]
)
def test_json_may_be_named_in_other_ways(live: Service, kind: str) -> None:
    assert live.post(click(), **{"content-type": kind}).status_code == 200
    assert live.post(click(), **{"content-encoding": "identity"}).status_code == 200


def test_a_full_log_refuses_before_anything_is_counted(live: Service) -> None:
    before = len(live.decider.seen)
    live.state.room = False
    try:
        response = live.post(click("unlogged"))
    finally:
        live.state.room = True
    problem(response, 503, "no-room")
    assert response.headers["retry-after"] == "1"
    assert len(live.decider.seen) == before
    assert live.post(click("unlogged")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        *((method, "/v1/decisions", "POST") for method in ("GET", "HEAD", "PUT", "OPTIONS")),
        *((method, "/healthz", "GET, HEAD") for method in ("POST", "DELETE", "OPTIONS", "PATCH")),
    ],
)
def test_a_wrong_method_hears_the_right_ones(
    live: Service, method: str, path: str, allow: str
) -> None:
    response = live.client.request(method, path)
    assert response.status_code == 405
    assert sorted(response.headers["allow"].split(", ")) == allow.split(", ")
    if method != "HEAD":
        problem(response, 405, "method-not-allowed")


@pytest.mark.parametrize("path", ["/", "/healthz/", "/v1/decisions/", "//healthz", "/%00", "/é"])
def test_a_wrong_path_is_not_found(live: Service, path: str) -> None:
    problem(live.client.get(path), 404, "not-found")
    problem(live.client.post(path, json=click()), 404, "not-found")


def test_a_path_may_be_escaped_and_have_a_query(live: Service) -> None:
    assert live.client.get("/%68ealthz?x=%zz").json() == {"status": "alive"}


def test_pages_answer_head_like_get(live: Service) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json"):
        got, headed = live.client.get(path), live.client.head(path)
        assert headed.status_code == got.status_code == 200
        assert headed.content == b""
        assert headed.headers["content-length"] == str(len(got.content))


def test_ready_tells_what_is_missing(live: Service) -> None:
    assert live.client.get("/readyz").json() == {"status": "ready", "model_version": "v1"}
    gone = ("no version stands in production", "the store is away")
    live.state.found = Health(gone, None, None, None, store_open=True)
    try:
        found = problem(live.client.get("/readyz"), 503, "not-ready")
        assert found["missing"] == list(gone)
        assert live.client.get("/healthz").status_code == 200
    finally:
        live.state.found = HEALTHY


def test_a_bug_tells_nothing(live: Service, caplog: pytest.LogCaptureFixture) -> None:
    live.decider.fails = True
    try:
        found = problem(live.post(click("unlucky")), 500, "internal")
    finally:
        live.decider.fails = False
    assert set(found) == {"type", "title", "status", "detail"}
    eventually(lambda: "a bug in the decider" in caplog.text)
    assert live.post(click()).status_code == 200
