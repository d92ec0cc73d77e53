"""Delivery: several sinks at once, dead letters, locks, and what a kill leaves behind."""

import fcntl
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any

import pytest

from recovery.delivery import check_sinks, deliver
from recovery.sinks import open_sinks
from recovery.sinks.sink import (
    BadSink,
    Batch,
    Pause,
    SinkUnreachable,
)
from replay.cli import main
from replay.cursors import Cursor, cursor_path, write_cursor
from replay.lake import Lake
from replay.span import to_micros
from tests.recovery.refusing import (
    Tried,
    cursor,
    got,
    hooked,
    refuse,
    telling,
    unreachable,
    use_tried,
)
from tests.recovery.sending import add_verdicts, expected, ledger_lake, with_sinks
from tests.servers import Answer, Receiver, Request, free_port
from tests.versions import START

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> None:
    use_tried(monkeypatch)


def test_every_sink_gets_every_verdict_once_and_in_order(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 20, telling(a={"rows": 1}, b={"rows": 7}, c={"rows": 100}))
    counted: list[int] = []
    report = deliver(lake, advance=counted.append, clock=lambda: START)
    assert [served.sink for served in report.sinks] == ["a", "b", "c"]
    assert report.exit_code == 0
    assert sum(counted) == 60
    for name in "abc":
        assert [text for _, text in Tried.made[name].taken] == expected(lake)
        kept = cursor(lake, name)
        assert (kept.ledger_seq, kept.delivered_at) == (20, kept.delivered_at)
        assert kept.delivered_at is not None
        assert to_micros(kept.delivered_at) == START
    assert [served.sent for served in deliver(lake).sinks] == [0, 0, 0]


def test_an_empty_ledger_is_delivered(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 0, telling(a={}))
    (served,) = deliver(lake).sinks
    assert (served.sent, served.head, served.error) == (0, 0, None)


def test_no_sinks_is_no_error(tmp_path: Path) -> None:
    lake = with_sinks(ledger_lake(tmp_path), {})
    assert deliver(lake).sinks == ()


def test_the_sinks_named_alone(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 4, telling(a={}, b={}))
    assert [served.sink for served in deliver(lake, ["b"]).sinks] == ["b"]
    assert "a" not in Tried.made
    with pytest.raises(BadSink, match=r"no sink named 'bb'\. Did you mean b"):
        deliver(lake, ["bb"])


def test_a_dead_sink_and_a_slow_one_hold_up_no_other(tmp_path: Path) -> None:
    """The slow sink takes nothing until the others are done."""
    lake = ledger_lake(tmp_path, 9, telling(dead={}, slow={"rows": 2}, well={"rows": 2}))
    done = Event()

    def slow(_batch: Batch, _pause: Pause) -> None:
        assert done.wait(60)

    def well(batch: Batch, _pause: Pause) -> None:
        if batch.last == 9:
            done.set()

    Tried.meets = {"dead": unreachable, "slow": slow, "well": well}
    report = deliver(lake)
    assert (got("dead"), got("slow"), got("well")) == ([], [*range(1, 10)], [*range(1, 10)])
    assert report.exit_code == 2
    assert report.problems == ["it is away"]


def test_the_cursor_moves_after_the_send_and_never_before(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 6, telling(s={"rows": 2, "tells": False}))
    seen: list[tuple[int, int]] = []

    def meet(batch: Batch, _pause: Pause) -> None:
        seen.append((batch.first, cursor(lake, "s").ledger_seq))

    Tried.meets = {"s": meet}
    deliver(lake)
    assert seen == [(1, 0), (3, 2), (5, 4)]


def test_a_sink_that_cannot_tell_goes_on_from_its_cursor(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 6, telling(s={"tells": False}))
    write_cursor(lake, Cursor(sink="s", kind="tried", ledger_seq=4))
    deliver(lake)
    assert got("s") == [5, 6]


def test_a_sink_that_can_tell_is_believed_over_its_cursor(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 6, telling(s={}))
    write_cursor(lake, Cursor(sink="s", kind="tried", ledger_seq=4))
    deliver(lake)
    assert got("s") == [1, 2, 3, 4, 5, 6]


def test_a_cursor_beyond_the_ledger_is_of_another(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 6, telling(s={"tells": False}))
    write_cursor(lake, Cursor(sink="s", kind="tried", ledger_seq=7))
    (problem,) = deliver(lake).problems
    assert "is at verdict 7 and the ledger ends at 6" in problem
    assert str(cursor_path(lake, "s")) in problem


def test_a_damaged_cursor_stops_its_sink_alone(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 6, telling(a={}, b={}))
    (lake.home / "sinks").mkdir()
    cursor_path(lake, "a").write_text("{")
    report = deliver(lake)
    assert "is damaged" in report.problems[0]
    assert (report.exit_code, got("b")) == (2, [1, 2, 3, 4, 5, 6])
    assert cursor_path(lake, "a").read_text() == "{"


def test_a_damaged_ledger_is_named(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 6, telling(a={"rows": 3}))
    last = sorted((lake.home / "verdicts").glob("date=*"))[-1]
    (file,) = last.glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-200])
    report = deliver(lake)
    assert str(file) in report.problems[0]
    assert got("a") == [1, 2, 3]
    assert cursor(lake, "a").ledger_seq == 3


def test_a_refused_batch_becomes_a_dead_letter_and_the_rest_arrives(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 10, telling(s={"rows": 2, "tells": False}))
    Tried.meets = {"s": refuse(5)}
    report = deliver(lake, clock=lambda: START)
    (served,) = report.sinks
    assert got("s") == [1, 2, 3, 4, 7, 8, 9, 10]
    assert (served.sent, served.error, report.exit_code) == (8, None, 1)
    (letter,) = served.dead_letters
    assert (letter.first, letter.last, letter.attempts, letter.error) == (5, 6, 5, "no 5")
    assert (deliver(lake).exit_code, got("s")[8:]) == (1, [])


def test_a_sink_that_is_away_leaves_nothing_behind(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 10, telling(s={"rows": 2, "tells": False}))
    Tried.meets = {"s": unreachable}
    first = deliver(lake, clock=lambda: START)
    again = deliver(lake, clock=lambda: START + 60_000_000)
    assert (first.exit_code, again.exit_code) == (2, 2)
    kept = cursor(lake, "s")
    assert (kept.ledger_seq, kept.dead_letters) == (0, ())
    assert kept.error is not None
    assert (kept.error.message, to_micros(kept.error.since)) == ("it is away", START)
    Tried.meets = {}
    deliver(lake)
    assert cursor(lake, "s").error is None


def test_a_sink_that_tells_its_place_has_no_dead_letters(tmp_path: Path) -> None:
    """A gap in it could not be filled later."""
    lake = ledger_lake(tmp_path, 10, telling(s={"rows": 2}))
    Tried.meets = {"s": refuse(5)}
    (served,) = deliver(lake).sinks
    assert (served.ledger_seq, served.dead_letters, served.error) == (4, (), "no 5")


def test_a_bug_in_one_sink_is_raised_after_the_others_are_served(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 6, telling(a={}, b={"rows": 1}))

    def broken(_batch: Batch, _pause: Pause) -> None:
        raise ZeroDivisionError

    Tried.meets = {"a": broken}
    with pytest.raises(ZeroDivisionError):
        deliver(lake)
    assert got("b") == [1, 2, 3, 4, 5, 6]


def test_two_deliveries_take_turns_at_a_sink(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 6, telling(s={"rows": 2, "tells": False}))
    entered, go = Event(), Event()

    def meet(_batch: Batch, _pause: Pause) -> None:
        entered.set()
        assert go.wait(60)

    Tried.meets = {"s": meet}
    sent: list[int] = []
    said: list[str] = []
    told = Event()

    def say(text: str) -> None:
        said.append(text)
        told.set()

    def run_one() -> None:
        sent.append(deliver(lake, say=say).sinks[0].sent)

    runs = [Thread(target=run_one) for _ in range(2)]
    for run in runs:
        run.start()
    assert entered.wait(60)
    assert told.wait(60)
    time.sleep(0.2)  # the second may not enter, however long it has
    go.set()
    for run in runs:
        run.join()
    assert sorted(sent) == [0, 6]
    assert said == ["another delivery is sending to sink 's'; waiting for it"]
    assert cursor(lake, "s").ledger_seq == 6


def test_who_waited_sees_what_was_published_meanwhile(tmp_path: Path) -> None:
    """The first delivery holds the lock while more is published, and another one waits for it."""
    lake = ledger_lake(tmp_path, 6, telling(s={"rows": 2}))
    entered, go = Event(), Event()

    def meet(_batch: Batch, _pause: Pause) -> None:
        entered.set()
        assert go.wait(60)

    Tried.meets = {"s": meet}
    first = Thread(target=deliver, args=[lake])
    first.start()
    assert entered.wait(60)
    problems: list[str] = []
    waiting = [Thread(target=lambda: problems.extend(deliver(lake).problems)) for _ in range(3)]
    waiting[0].start()
    time.sleep(0.3)  # long enough to have looked at the ledger, if it did
    add_verdicts(lake, 3, after=6)
    for run in waiting[1:]:
        run.start()
    go.set()
    for run in (first, *waiting):
        run.join()
    assert problems == []
    assert got("s") == [*range(1, 10)]


def test_a_webhook_that_takes_half_and_hangs_up_gets_it_all_again(tmp_path: Path) -> None:
    with Receiver(Answer(take="half"), Answer(take="hang"), Answer(500), Answer()) as receiver:
        lake = ledger_lake(tmp_path, 10, hooked(receiver.url, timeout_seconds=0.3))
        report = deliver(lake)
    assert (report.exit_code, report.sinks[0].sent) == (0, 10)
    ids = [event["id"] for event in receiver.taken]
    assert list(dict.fromkeys(ids)) == [f"v{n}" for n in range(1, 11)]
    by_id: dict[str, dict[str, Any]] = {}
    for event in receiver.taken:
        assert by_id.setdefault(event["id"], event) == event


def test_a_webhook_that_chokes_on_one_verdict(tmp_path: Path) -> None:
    def judge(request: Request) -> Answer:
        return Answer(500 if "v5" in {event["id"] for event in request.events} else 204)

    with Receiver(judge=judge) as receiver:
        lake = ledger_lake(tmp_path, 10, hooked(receiver.url))
        report = deliver(lake)
    (letter,) = report.sinks[0].dead_letters
    assert (letter.first, letter.last, letter.attempts) == (5, 6, 4)
    assert "answers 500 Internal Server Error (verdicts 5 to 6, after 4 attempts)" in letter.error
    assert [event["id"] for event in receiver.taken] == [f"v{n}" for n in (1, 2, 3, 4, 7, 8, 9, 10)]


def test_checks_name_every_sink_that_is_away(tmp_path: Path) -> None:
    sinks: dict[str, dict[str, object]] = {
        "a": {"kind": "ndjson", "path": "nosuch/a"},
        "b": {"kind": "redis", "url": f"redis://127.0.0.1:{free_port()}"},
        "c": {"kind": "ndjson", "path": "c"},
        **hooked(f"http://127.0.0.1:{free_port()}/"),
    }
    lake = ledger_lake(tmp_path, 1, sinks)
    with pytest.raises(SinkUnreachable) as caught:
        check_sinks(open_sinks(lake))
    said = str(caught.value)
    assert [name for name in ("'a'", "'b'", "'c'", "'hook'") if name in said] == [
        "'a'",
        "'b'",
        "'hook'",
    ]
    assert not (lake.home / "c").exists()


# What a kill leaves: a delivery in a process of its own that dies at a chosen batch and moment.
DYING = """
import os, signal, sys
sys.path.insert(0, {root!r})
from pathlib import Path
import recovery.delivery
from recovery.sinks import SINKS
from replay.lake import Lake
kind, moment, left = sys.argv[2], sys.argv[3], int(sys.argv[4])
sink = SINKS[kind].load()
send, write = sink.send, recovery.delivery.write_cursor
def dying(*args):
    global left
    left -= 1
    if left == 0 and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    send(*args)
    if left == 0 and moment == "after":
        os.kill(os.getpid(), signal.SIGKILL)
def writing(*args):
    write(*args)
    if left == 0 and moment == "cursor":
        os.kill(os.getpid(), signal.SIGKILL)
sink.send = dying
recovery.delivery.write_cursor = writing
lake = Lake.open(Path(sys.argv[1]))
recovery.delivery.deliver(lake)
"""


def die(lake: Lake, kind: str, moment: str, batch: int) -> None:
    line = [sys.executable, "-c", DYING.format(root=str(ROOT)), str(lake.home), kind]
    done = subprocess.run([*line, moment, str(batch)], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["before", "after", "cursor"])
def test_a_kill_around_a_send_loses_nothing(tmp_path: Path, moment: str) -> None:
    with Receiver() as receiver:
        lake = ledger_lake(tmp_path, 10, hooked(receiver.url))
        die(lake, "webhook", moment, 3)
        assert cursor(lake, "hook", "webhook").ledger_seq == (6 if moment == "cursor" else 4)
        assert deliver(lake).exit_code == 0
    ids = [event["id"] for event in receiver.taken]
    assert list(dict.fromkeys(ids)) == [f"v{n}" for n in range(1, 11)]
    assert len(ids) == (12 if moment == "after" else 10)


@pytest.mark.parametrize("moment", ["before", "after", "cursor"])
def test_a_kill_around_a_write_repeats_nothing(tmp_path: Path, moment: str) -> None:
    lake = ledger_lake(tmp_path, 10)
    die(lake, "ndjson", moment, 1)
    assert deliver(lake).exit_code == 0
    assert (lake.home / "out.ndjson").read_text().split("\n")[:-1] == expected(lake)
    assert cursor(lake, "file", "ndjson").ledger_seq == 10


@pytest.mark.parametrize("second", [Answer(503, {"Retry-After": "3600"}), Answer(take="hang")])
def test_ctrl_c_stops_promptly(tmp_path: Path, second: Answer) -> None:
    """The receiver asks for an hour, or says nothing; the cursor stays where the sink is."""
    with Receiver(Answer(), second) as receiver:
        patient = {"retry_after_cap_seconds": 3600, "timeout_seconds": 3600}
        lake = ledger_lake(tmp_path, 10, hooked(receiver.url, **patient))
        line = [sys.executable, "-m", "replay.cli", "verdicts", "deliver", "--home", str(lake.home)]
        process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 60
        while len(receiver.requests) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip() == "replay: interrupted; nothing half-done was kept"
    assert cursor(lake, "hook", "webhook").ledger_seq == 2


@pytest.mark.parametrize("seed", range(4))
def test_faults_at_random_end_with_everything_delivered(tmp_path: Path, seed: int) -> None:
    draw = Random(seed)

    def judge(_request: Request) -> Answer:
        chosen = draw.random()
        if chosen < 0.5:
            return Answer(draw.choice([200, 204]), take=draw.choice(["all", "all", "torn"]))
        if chosen < 0.6:
            return Answer(take="half")
        return Answer(draw.choice([400, 413, 429, 500, 503]))

    with Receiver(judge=judge) as receiver:
        lake = ledger_lake(tmp_path, 30, hooked(receiver.url, attempts=2))
        for _ in range(200):
            report = deliver(lake, dead_letters=True)
            if report.exit_code == 0:
                break
        assert report.exit_code == 0
    assert {event["id"] for event in receiver.taken} == {f"v{n}" for n in range(1, 31)}
    kept = cursor(lake, "hook", "webhook")
    assert (kept.ledger_seq, kept.dead_letters, kept.error) == (30, (), None)


class Replay:
    """Runs a command in this process; returns its exit code, stdout and stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str], lake: Lake) -> None:
        self._capsys, self._lake = capsys, lake

    def __call__(self, *line: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["verdicts", *line, "--home", str(self._lake.home)])
        assert isinstance(stop.value.code, int)
        return (stop.value.code, *self._capsys.readouterr())


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = ledger_lake(tmp_path, 7, telling(a={"rows": 2, "tells": False}, b={}))
    replay = Replay(capsys, lake)
    Tried.meets = {"a": refuse(3)}
    code, out, err = replay("deliver")
    lacks = (
        "replay: sink 'a' lacks 2 verdicts that it refused (dead letters); to send them again: "
        "replay verdicts deliver --dead-letters\n"
    )
    assert (code, err) == (1, lacks)
    assert [line.split()[:6] for line in out.splitlines()[1:]] == [
        ["a", "tried", "5", "7", "7", "2"],
        ["b", "tried", "7", "7", "7", "0"],
    ]
    Tried.meets = {"b": unreachable}
    add_verdicts(lake, 2, after=7)
    code, out, err = replay("deliver", "--json")
    assert (code, err) == (2, "replay: it is away\n" + lacks)
    assert [sink["sent"] for sink in json.loads(out)["sinks"]] == [2, 0]
    code, out, _ = replay("status", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["ledger"]["verdicts"] == found["ledger"]["head"] == 9
    assert found["ledger"]["credits"] == {"clicks": 9, "micros": -2_250_000}
    assert [(s["ledger_seq"], s["verdicts"], s["problem"]) for s in found["sinks"]] == [
        (9, 0, None),
        (7, 2, "it is away"),
    ]
    assert [d["first"] for d in found["sinks"][0]["dead_letters"]] == [3]
    code, out, _ = replay("status")
    assert "9 on 9 clicks" in out
    assert "b fails since " in out
    assert "a refused verdicts 3 to 4 (5 attempts, " in out
    Tried.meets = {}
    code, out, err = replay("deliver", "--dead-letters", "--sink", "a")
    assert (code, err) == (0, "")
    assert sorted(got("a")) == [*range(1, 10)]
    assert got("b") == [*range(1, 8)]


def test_the_command_says_what_it_waits_for(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path, 3)
    (lake.home / "sinks").mkdir()
    line = [sys.executable, "-m", "replay.cli", "verdicts", "deliver", "--home", str(lake.home)]
    with cursor_path(lake, "file").with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        said = process.stderr.readline()
    _, rest = process.communicate(timeout=60)
    assert said == "replay: another delivery is sending to sink 'file'; waiting for it\n"
    assert (process.returncode, rest) == (0, "")


def test_the_status_of_what_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOK_SECRET")
    lake = ledger_lake(tmp_path, 3, hooked("https://example.com/?token=hush"))
    code, out, _ = Replay(capsys, lake)("status")
    assert code == 0
    assert "not usable" in out
    assert "hush" not in out
    code, out, err = Replay(capsys, lake)("deliver")
    assert (code, out, err.count("\n")) == (2, "", 1)
