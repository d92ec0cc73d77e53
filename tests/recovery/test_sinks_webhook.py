"""The webhook: what it sends, and what it makes of each answer."""

import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from recovery.delivery import check_sinks, deliver
from recovery.sinks import open_sinks
from recovery.sinks.backoff import retry_after
from recovery.sinks.signature import sign, verify
from recovery.sinks.sink import BadSink, Batch, SinkRefused, SinkUnreachable
from recovery.sinks.webhook import Webhook
from recovery.sinks.webhook_options import WebhookOptions
from replay.lake import Lake
from tests.recovery.sending import batch, expected, ledger_lake, with_sinks
from tests.servers import Answer, Receiver, free_port

KEY = "a secret of some length"
NOW = 1_772_323_200.75


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", KEY)


@pytest.fixture
def sent(tmp_path: Path) -> Batch:
    return batch(ledger_lake(tmp_path / "ledger", 3))


Hook = Callable[..., Webhook]


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[Hook]:
    """Makes webhooks whose clock stands and whose jitter is always the longest."""
    made: list[Webhook] = []

    def make(url: str, **options: object) -> Webhook:
        given = {"url": url, "secret_env": "HOOK_SECRET", **options}
        chosen = WebhookOptions.model_validate(given)
        made.append(Webhook("hook", chosen, tmp_path, lambda: NOW, lambda _, high: high))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


def lake_for(receiver: Receiver, home: Path, count: int = 10, **options: object) -> Lake:
    table = {"kind": "webhook", "url": receiver.url, "secret_env": "HOOK_SECRET", **options}
    return ledger_lake(home, count, {"hook": {"backoff_seconds": 0.001, **table}})


class Pauses(list[float]):
    """Keeps how long was waited, and waits for nothing."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def test_a_batch_of_events(tmp_path: Path) -> None:
    with Receiver() as receiver:
        lake = lake_for(receiver, tmp_path / "lake", batch=4)
        (served,) = deliver(lake).sinks
    assert (served.sent, served.ledger_seq, served.error) == (10, 10, None)
    assert [len(request.events) for request in receiver.requests] == [4, 4, 2]
    documents = [json.loads(document) for document in expected(lake)]
    assert receiver.taken == [
        {
            "specversion": "1.0",
            "type": "slidr.replay.verdict.v1",
            "source": "urn:slidr-replay:verdicts",
            "id": document["verdict_id"],
            "subject": document["click_id"],
            "time": document["issued_at"],
            "datacontenttype": "application/json",
            "data": document,
        }
        for document in documents
    ]
    for request in receiver.requests:
        assert request.headers["Content-Type"] == "application/cloudevents-batch+json"


def test_sent_again_it_is_the_same_bytes(tmp_path: Path) -> None:
    with Receiver() as receiver:
        lake = lake_for(receiver, tmp_path / "lake")
        deliver(lake)
        (lake.home / "sinks" / "hook.json").unlink()
        deliver(lake)
    first, second = receiver.requests
    assert first.body == second.body


def test_requests_are_signed_over_time_and_body(sent: Batch, hook: Hook) -> None:
    with Receiver() as receiver:
        hook(receiver.url).send(sent, Pauses())
    (request,) = receiver.requests
    timestamp, signature = (request.headers[f"Replay-{n}"] for n in ("Timestamp", "Signature"))
    assert timestamp == "1772323200"
    signed = f"{timestamp}.".encode() + request.body
    assert signature == "v1=" + hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()
    assert verify(KEY.encode(), timestamp, signature, request.body, NOW)


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"now": NOW + 299}, True),
        ({"now": NOW - 300}, True),
        ({"now": NOW + 301}, False),
        ({"now": NOW - 302}, False),
        ({"now": NOW + 301, "tolerance": 600.0}, True),
        ({"body": b"[1]"}, False),
        ({"secret": b"another secret of it"}, False),
        ({"timestamp": "1772323201"}, False),
        ({"timestamp": " 1772323200"}, False),
        ({"timestamp": "-1"}, False),
        ({"timestamp": "١٢"}, False),
        ({"timestamp": "9" * 5000}, False),
        ({"timestamp": ""}, False),
        ({"signature": ""}, False),
        ({"signature": "v1=é"}, False),
        ({"signature": "v0=" + "0" * 64}, False),
    ],
)
def test_verifying(changes: dict[str, object], holds: bool) -> None:
    secret, body, at = KEY.encode(), b"[]", int(NOW)
    given: dict[str, object] = {
        "secret": secret,
        "timestamp": str(at),
        "signature": sign(secret, at, body),
        "body": body,
        "now": NOW,
    }
    assert verify(**{**given, **changes}) is holds  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_answers_that_pass_are_waited_out(status: int, sent: Batch, hook: Hook) -> None:
    pauses = Pauses()
    with Receiver(*[Answer(status)] * 3, Answer(202)) as receiver:
        hook(receiver.url, backoff_seconds=0.5).send(sent, pauses)
    assert pauses == [0.5, 1.0, 2.0]
    assert len({request.body for request in receiver.requests}) == 1
    assert len(receiver.requests) == 4


@pytest.mark.parametrize("status", [301, 302, 304, 400, 401, 403, 404, 410, 413, 422])
def test_answers_that_do_not_pass_are_final(status: int, sent: Batch, hook: Hook) -> None:
    with (
        Receiver(Answer(status, {"Location": "/elsewhere"})) as receiver,
        pytest.raises(SinkRefused, match=f"answers {status}") as caught,
    ):
        hook(receiver.url).send(sent, Pauses())
    assert (caught.value.attempts, len(receiver.requests)) == (1, 1)
    assert "verdicts 1 to 3, after 1 attempt)" in str(caught.value)


def test_it_gives_up_after_so_many_attempts(sent: Batch, hook: Hook) -> None:
    pauses = Pauses()
    with (
        Receiver(Answer(500)) as receiver,
        pytest.raises(SinkRefused, match="500 Internal Server Error") as caught,
    ):
        hook(receiver.url, attempts=4, backoff_cap_seconds=0.7).send(sent, pauses)
    assert (caught.value.attempts, len(receiver.requests)) == (4, 4)
    assert pauses == [0.5, 0.7, 0.7]


@pytest.mark.parametrize(
    ("header", "waits"),
    [
        ("7", 7.0),
        (format_datetime(datetime.fromtimestamp(int(NOW), UTC) + timedelta(seconds=9), True), 8.25),
        (format_datetime(datetime.fromtimestamp(int(NOW), UTC) - timedelta(days=9), True), 0.5),
        ("999999", 60.0),
        ("9" * 400, 60.0),
        ("-5", 0.5),
        ("1.5", 0.5),
        ("soon", 0.5),
        ("", 0.5),
    ],
)
def test_retry_after_is_honoured(header: str, waits: float, sent: Batch, hook: Hook) -> None:
    pauses = Pauses()
    with Receiver(Answer(429, {"Retry-After": header}), Answer()) as receiver:
        hook(receiver.url, retry_after_cap_seconds=60).send(sent, pauses)
    assert pauses == [waits]


@pytest.mark.parametrize("take", ["half", "hang"])
def test_a_batch_that_may_have_been_taken_is_sent_again(take: str, sent: Batch, hook: Hook) -> None:
    """Half of it read, or all of it and no answer: the same ids come again."""
    pauses = Pauses()
    with Receiver(Answer(take=take), Answer()) as receiver:
        hook(receiver.url, timeout_seconds=0.3).send(sent, pauses)
        assert len(pauses) == 1
        assert len(receiver.requests) == 2
    assert [event["id"] for event in receiver.taken[-3:]] == sent.column("verdict_id")


def test_an_answer_that_breaks_off_is_still_an_answer(sent: Batch, hook: Hook) -> None:
    with Receiver(Answer(200, take="torn")) as receiver:
        hook(receiver.url).send(sent, Pauses())
    assert len(receiver.requests) == 1


def test_nobody_there(sent: Batch, hook: Hook) -> None:
    pauses = Pauses()
    sink = hook(f"http://127.0.0.1:{free_port()}/x?token=hush", attempts=3)
    with pytest.raises(SinkUnreachable, match="does not answer") as caught:
        sink.send(sent, pauses)
    assert len(pauses) == 2
    with pytest.raises(SinkUnreachable) as checked:
        sink.check()
    for text in (str(caught.value), str(checked.value), sink.where):
        assert "hush" not in text
        assert "\n" not in text


def test_a_check_sends_no_verdict(tmp_path: Path) -> None:
    with Receiver() as receiver:
        check_sinks(open_sinks(lake_for(receiver, tmp_path / "lake")))
    assert (receiver.checks, receiver.requests) == (1, [])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"secret": "hush-hush-hush-hush"}, "does not belong in replay.toml"),
        ({}, "give secret_env"),
        ({"secret_env": "HOOK_SECRET", "secret_file": "x"}, "not both"),
        ({"secret_env": "NO_SUCH_SECRET"}, "NO_SUCH_SECRET (secret_env) is not set"),
        ({"secret_env": "EMPTY_SECRET"}, "holds 0 bytes"),
        ({"secret_env": "SHORT_SECRET"}, "holds 15 bytes"),
        ({"secret_file": "nosuch"}, "nosuch (secret_file) cannot be read"),
        ({"secret_file": "short"}, "holds 5 bytes"),
        ({"secret_env": "HOOK_SECRET", "url": "http://example.com/"}, "write https"),
        ({"secret_env": "HOOK_SECRET", "url": "http://10.0.0.1/"}, "write https"),
        ({"secret_env": "HOOK_SECRET", "url": "http://localhost.example.com/"}, "write https"),
        ({"secret_env": "HOOK_SECRET", "url": "ftp://example.com/"}, "write https"),
        ({"secret_env": "HOOK_SECRET", "url": "https://u:hush@example.com/"}, "a password"),
        ({"secret_env": "HOOK_SECRET", "url": "https://"}, "write https"),
        ({"secret_env": "HOOK_SECRET", "url": "https://x:y:z/"}, "url: "),
        ({"secret_env": "HOOK_SECRET", "url": "https://u:hush/x@example.com/"}, "cannot be read"),
        ({"secret_env": "HOOK_SECRET", "url": "https://x:99999/"}, "url: "),
        ({"secret_env": "HOOK_SECRET", "url": "https://x/\0"}, "cannot be read"),
        ({"secret_file": "~nosuchuser/k"}, "secret_file: ~nosuchuser is the home of no user"),
        ({"secret_file": "a\0b"}, "secret_file: a path cannot hold a zero byte"),
        ({"secret_env": "HOOK_SECRET", "attempts": 0}, "attempts: "),
        ({"secret_env": "HOOK_SECRET", "batch": "many"}, "batch: "),
        ({"secret_env": "HOOK_SECRET", "tineout": 1}, "tineout: "),
    ],
)
def test_options_that_do_not_hold(
    tmp_path: Path, options: dict[str, object], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY_SECRET", "")
    monkeypatch.setenv("SHORT_SECRET", "hush-hush-hush-")
    table = {"kind": "webhook", "url": "https://example.com/", **options}
    lake = ledger_lake(tmp_path / "lake", 1, {"hook": table})
    (lake.home / "short").write_text("hush!\n")
    with pytest.raises(BadSink) as caught:
        deliver(lake)
    text = str(caught.value)
    assert says in text
    assert f"{lake.home / 'replay.toml'}, [sinks.hook]: " in text
    assert "hush" not in text
    assert "\n" not in text
    assert not (lake.home / "sinks").exists()


@pytest.mark.parametrize("value", [1e20, float("inf"), float("-inf"), float("nan"), -1, 3601])
@pytest.mark.parametrize(
    "option",
    ["timeout_seconds", "backoff_seconds", "backoff_cap_seconds", "retry_after_cap_seconds"],
)
def test_times_that_nobody_waits(tmp_path: Path, option: str, value: float) -> None:
    table = {"kind": "webhook", "url": "https://example.com/", "secret_env": "HOOK_SECRET"}
    lake = ledger_lake(tmp_path / "lake", 0)
    lake = with_sinks(lake, {"hook": {**table, option: value}})
    with pytest.raises(BadSink, match=rf"\[sinks.hook\]: {option}: ") as caught:
        open_sinks(lake)
    assert "\n" not in str(caught.value)


def test_a_secret_of_any_bytes(sent: Batch, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    key = bytes(range(200, 256))
    monkeypatch.setenv("HOOK_SECRET", os.fsdecode(key))
    with Receiver() as receiver:
        hook(receiver.url).send(sent, Pauses())
    (request,) = receiver.requests
    timestamp = request.headers["Replay-Timestamp"]
    assert request.headers["Replay-Signature"] == sign(key, int(timestamp), request.body)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_date_without_a_zone_is_in_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert retry_after("Thu Jan  1 00:01:00 1970", 15.0) == 45.0
        assert retry_after("Thu, 01 Jan 1970 00:01:00 -0000", 15.0) == 45.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("url", ["http://localhost/", "http://[::1]/", "http://127.9.9.9:1/"])
def test_http_will_do_on_this_machine(url: str, hook: Hook) -> None:
    assert hook(url).where == url


def test_http_elsewhere_is_for_those_who_ask(hook: Hook) -> None:
    assert hook("http://10.0.0.1/", allow_http=True).where == "http://10.0.0.1/"


def test_a_secret_in_a_file(tmp_path: Path, sent: Batch, hook: Hook) -> None:
    kept = tmp_path / "kept"
    kept.write_text(KEY + "\n")
    with Receiver() as receiver:
        hook(receiver.url, secret_env=None, secret_file=kept.name).send(sent, Pauses())
    (request,) = receiver.requests
    timestamp = request.headers["Replay-Timestamp"]
    assert request.headers["Replay-Signature"] == sign(KEY.encode(), int(timestamp), request.body)


def test_places_that_differ_in_their_query_alone_differ(hook: Hook) -> None:
    places = {hook(f"https://x/y?tenant={t}").where for t in "ab"}
    assert len(places) == 2
    assert all("tenant" not in place for place in places)
