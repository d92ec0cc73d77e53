"""`replay verdicts publish` and `revert`, as they are typed: preview, ask, commit, deliver."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from replay.cli import INTERRUPTED
from replay.lake import Lake
from tests.recovery.corrections import BY_TWO, SPAN, contents, known, moves
from tests.recovery.ledgers import stored
from tests.recovery.typed import (
    CTRL_C,
    FILE_SINK,
    Replay,
    at_a_terminal,
    configured,
    open_lake,
    suggested,
    typed,
)
from tests.versions import run

TWO = ("verdicts", "publish")


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    return open_lake(tmp_path, monkeypatch)


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str]) -> Replay:
    return typed(capsys)


def delivered(lake: Lake) -> list[dict[str, Any]]:
    path = lake.home / "out.ndjson"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def one_document(out: str) -> dict[str, Any]:
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def test_a_preview_says_what_to_type_and_writes_nothing(lake: Lake, replay: Replay) -> None:
    before = contents(lake)
    code, out, err = replay(*TWO, known().id("two"))
    assert (code, err) == (0, "")
    assert "4 clicks credited (-1.50 USD), 0 billed again (0.00 USD), 0 without money" in out
    assert f"to {lake.home / 'out.ndjson'}: 4 verdicts\n" in out
    assert "This is a preview: nothing was published" in out
    assert contents(lake) == before
    code, out, err = replay(*suggested(out))
    assert (code, moves(stored(lake))) == (0, BY_TWO)


def test_publishing_says_what_was_done_and_where_it_went(lake: Lake, replay: Replay) -> None:
    code, out, err = replay(*TWO, known().id("two"), "--yes", "--by", "me")
    assert (code, err) == (0, "")
    assert f"run {known().id('two')} published at " in out
    assert "by me: 4 verdicts, 1 to 4 of the ledger" in out
    assert moves(stored(lake)) == BY_TWO
    assert [d["ledger_seq"] for d in delivered(lake)] == [1, 2, 3, 4]
    before = contents(lake)
    for line in ((), ("--yes",), ("--rebill",), ("--rebill", "--yes")):
        code, out, err = replay(*TWO, known().id("two"), *line)
        assert (code, err) == (0, "")
        assert f"run {known().id('two')} is published since " in out
        assert "nothing is added" in out
    assert len(stored(lake)) == 4
    assert {k: v for k, v in contents(lake).items() if not k.startswith("sinks")} == {
        k: v for k, v in before.items() if not k.startswith("sinks")
    }


def test_what_was_not_delivered_is_delivered_the_next_time(lake: Lake, replay: Replay) -> None:
    code, _, _ = replay(*TWO, known().id("two"), "--yes", "--no-deliver")
    assert (code, len(stored(lake)), delivered(lake)) == (0, 4, [])
    code, out, _ = replay(*TWO, known().id("none"), "--rebill")
    assert (code, delivered(lake)) == (0, [])
    assert "5 verdicts, after the 4 that it lacks" in out
    code, _, _ = replay(*TWO, known().id("two"), "--yes")
    assert (code, len(stored(lake)), len(delivered(lake))) == (0, 4, 4)


def test_gates_that_object_say_how_to_override_them(lake: Lake, replay: Replay) -> None:
    configured(lake, "")
    before = contents(lake)
    for line in ((), ("--yes",), ("--yes", "--json"), ("--json",)):
        code, out, err = replay(*TWO, known().id("two"), *line)
        assert (code, err.count("\n")) == (1, 1)
        names = "changed, credit_clicks, credit_money, advertiser, fpr"
        assert err.startswith(f"replay: publish of {known().id('two')}: nothing was published")
        assert err.endswith(f"these gates object: {names}\n")
        if "--json" in line:
            assert one_document(out)["published"] is None
        else:
            command = suggested(out)
    assert contents(lake) == before
    assert "--yes" in command
    code, out, err = replay(*("the wave" if word == "WHY" else word for word in command))
    assert (code, err) == (0, "")
    assert f"overriding {names}\nreason: the wave\n" in out
    for row in stored(lake):
        assert row["reason"].endswith(f"; overriding {names}: the wave")


def test_terms_that_were_given_stay_in_what_is_suggested(lake: Lake, replay: Replay) -> None:
    line = (*TWO, known().id("four"), "--rebill", "--by", "o'né", "--no-deliver")
    _, out, _ = replay(*line)
    words = suggested(out)
    for word in line:
        assert word in words
    configured(lake, FILE_SINK)
    _, out, _ = replay(*line, "--reason", "the wave", "--override", "fpr")
    words = suggested(out)
    for word in (*line, "the wave"):
        assert word in words
    assert words[words.index("--override") + 1].split(",")[-1] == "fpr"
    assert "WHY" not in words


def test_fixed_gates_are_not_suggested(lake: Lake, replay: Replay) -> None:
    sampled = run(lake, "two", SPAN, sample="99.999%").manifest.run_id
    code, out, err = replay(*TWO, sampled, "--yes")
    assert code == 1
    assert err == (
        f"replay: publish of {sampled}: nothing was published, since this gate objects: sampled\n"
    )
    assert "can't be overridden" in out
    assert "--override" not in out
    assert stored(lake) == []


def test_nothing_to_publish_is_no_failure(lake: Lake, replay: Replay) -> None:
    replay(*TWO, known().id("two"), "--yes")
    again = run(lake, "two", SPAN).manifest.run_id
    for line in ((), ("--yes",), ("--json",), ("--json", "--yes")):
        code, out, err = replay(*TWO, again, *line)
        assert (code, err.count("\n")) == (0, 1)
        assert "nothing to publish, its decisions are all in effect already" in err
        if "--json" in line:
            assert one_document(out)["proposal"]["verdicts"] == 0
    assert len(stored(lake)) == 4


def test_a_revert_withholds_bills_and_does_it(lake: Lake, replay: Replay) -> None:
    name = known().id("two")
    replay(*TWO, name, "--yes")
    before = contents(lake)
    code, out, err = replay("verdicts", "revert", name, "--yes")
    assert (code, err.count("\n")) == (2, 1)
    assert "nothing is left but re-bills of 4 clicks, which are withheld without --rebill" in err
    code, out, err = replay("verdicts", "revert", name, "--rebill")
    assert (code, err) == (0, "")
    assert f"revert of run {name}" in out
    assert "0 clicks credited (0.00 USD), 4 billed again (+1.50 USD)" in out
    assert contents(lake) == before
    code, out, err = replay(*suggested(out))
    assert (code, err) == (0, "")
    assert f"run {name} undone at " in out
    assert sum(row["adjustment_micros"] for row in stored(lake)) == 0
    assert len(delivered(lake)) == 8
    code, out, err = replay("verdicts", "revert", name, "--rebill", "--yes")
    assert (code, err.count("\n")) == (0, 1)
    assert f"nothing is left to undo, revert-{name} came after all of its verdicts" in err


def test_json_is_one_document_with_the_figures(lake: Lake, replay: Replay) -> None:
    name = known().id("four")
    _, out, err = replay(*TWO, name, "--json")
    preview = one_document(out)
    assert (err, preview["published"], preview["delivered"]) == ("", None, None)
    proposal = preview["proposal"]
    assert proposal["credits"] == {"clicks": 3, "micros": -1_250_000}
    assert proposal["withheld"] == {"clicks": 1, "micros": 500_000}
    assert (proposal["verdicts"], proposal["net_micros"]) == (3, -1_250_000)
    assert proposal["span"] == {"from": "2026-03-01T12:00:00Z", "to": "2026-03-01T13:00:00Z"}
    assert {gate["name"]: gate["verdict"] for gate in preview["gates"]}["fpr"] == "pass"
    _, out, err = replay(*TWO, name, "--json", "--yes")
    published = one_document(out)
    assert (err, published["published"]["verdicts"]) == ("", 3)
    assert published["published"]["gates"] == preview["gates"]
    assert published["delivered"]["sinks"][0]["sent"] == 3
    _, out, _ = replay(*TWO, name, "--json", "--yes")
    assert one_document(out)["published"] == published["published"]
    _, out, err = replay("verdicts", "revert", name, "--rebill", "--json")
    assert (err, one_document(out)["proposal"]["action"]) == ("", "revert")
    _, out, err = replay("verdicts", "revert", name, "--rebill", "--json", "--yes")
    assert (err, one_document(out)["published"]["of"]) == ("", name)
    assert len(stored(lake)) == 6


SPANNED = ("--from", "2026-03-01T12:00", "--to", "2026-03-01T13:00", "--model", "two")


def test_a_run_can_go_on_to_its_publication(lake: Lake, replay: Replay) -> None:
    code, out, _ = replay("run", *SPANNED, "--publish")
    assert (code, stored(lake)) == (0, [])
    assert "two on recomputed features" in out
    assert "publish of run " in out
    code, out, _ = replay(*suggested(out))
    assert (code, moves(stored(lake))) == (0, BY_TWO)


def test_a_run_can_be_published_without_asking(lake: Lake, replay: Replay) -> None:
    code, out, _ = replay("run", *SPANNED, "--publish", "--yes")
    assert (code, moves(stored(lake))) == (0, BY_TWO)
    assert " published at " in out
    assert len(delivered(lake)) == 4


def test_a_run_with_its_publication_is_one_document(lake: Lake, replay: Replay) -> None:
    code, out, _ = replay("run", *SPANNED, "--publish", "--json")
    found = one_document(out)
    assert (code, found["published"], stored(lake)) == (0, None, [])
    assert found["run"]["run_id"] == found["proposal"]["run_id"]
    code, out, _ = replay("run", *SPANNED, "--publish", "--yes", "--json")
    found = one_document(out)
    assert found["published"]["run_id"] == found["run"]["run_id"]
    assert (code, moves(stored(lake))) == (0, BY_TWO)
    code, out, err = replay("run", *SPANNED, "--publish", "--yes", "--json")
    assert (code, one_document(out)["published"]) == (0, None)
    assert "nothing to publish" in err


def test_a_run_that_changes_too_much_is_not_published(lake: Lake, replay: Replay) -> None:
    for line in ((), ("--json",)):
        line = (*SPANNED, "--publish", "--yes", "--max-changed", "1%", *line)
        code, out, err = replay("run", *line)
        assert (code, err.count("\n"), stored(lake)) == (1, 1, [])
        assert "more than --max-changed 1%" in err
        if "--json" in line:
            assert one_document(out)["run_id"]


@pytest.mark.usefixtures("lake")
def test_yes_without_publish_is_a_mistake(replay: Replay) -> None:
    code, out, err = replay("run", *SPANNED, "--yes")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "it goes with --publish" in err


@pytest.mark.parametrize(
    ("key", "code", "published"),
    [(b"y\n", 0, True), (b"n\n", 0, False), (CTRL_C, 130, False)],
    ids=["y", "n", "ctrl-c"],
)
def test_at_a_terminal_it_asks(lake: Lake, key: bytes, code: int, published: bool) -> None:
    before = contents(lake)
    found, shown = at_a_terminal(lake, key, *TWO, known().id("two"))
    assert "Publish 4 verdicts? [y/N]" in shown
    assert found in ((code, -signal.SIGINT) if key == CTRL_C else (code,))
    if published:
        assert moves(stored(lake)) == BY_TWO
        assert len(delivered(lake)) == 4
    else:
        assert contents(lake) == before
        assert (INTERRUPTED in shown) == (found == 130)
