"""`replay verdicts list` and `show`, as they are typed."""

import json
from pathlib import Path

import pytest

from recovery.publishing import publish, revert
from replay.lake import Lake
from tests.oracles.ledger import verdict_id
from tests.recovery.corrections import BY_TWO, SOON, SPAN, known
from tests.recovery.ledgers import all_terms, stored
from tests.recovery.typed import Replay, configured, open_lake, typed
from tests.versions import run

ALL, CREDITS = all_terms(rebill=True), all_terms(rebill=False)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Two published, then three; then two reverted, as far as three left it."""
    made = configured(open_lake(tmp_path, monkeypatch), "")
    publish(made, known().id("two"), ALL, SOON)
    publish(made, known().id("three"), ALL, SOON + 1)
    revert(made, known().id("two"), ALL, SOON + 2)
    return made


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str]) -> Replay:
    return typed(capsys)


@pytest.mark.usefixtures("lake")
def test_a_list_has_every_run_the_newest_first(replay: Replay) -> None:
    code, out, err = replay("verdicts", "list")
    assert (code, err) == (0, "")
    two, three = known().id("two"), known().id("three")
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows] == ["run", f"revert-{two}", three, two]
    assert [row[1] for row in rows[1:]] == ["revert", "publish", "publish"]
    _, out, _ = replay("verdicts", "list", "--json")
    found = json.loads(out)["runs"]
    assert [(run["run_id"], run["verdicts"], run["in_effect"]) for run in found] == [
        (f"revert-{two}", 3, 3),
        (three, 1, 1),
        (two, 4, 0),
    ]
    assert found[2]["credits"] == {"clicks": 4, "micros": -1_500_000}
    assert found[0]["rebills"] == {"clicks": 3, "micros": 1_250_000}
    assert found[0]["records"][0]["of"] == two
    assert [run["since"] for run in found[1:]] == [
        "2026-03-02T12:00:00.000001Z",
        "2026-03-02T12:00:00Z",
    ]


def test_a_runs_verdicts_at_most_so_many(lake: Lake, replay: Replay) -> None:
    two = known().id("two")
    code, out, err = replay("verdicts", "list", "--run", two)
    assert (code, err) == (0, "")
    assert [line.split()[1] for line in out.splitlines()[1:]] == list(BY_TWO)
    _, out, _ = replay("verdicts", "list", "--run", two, "--limit", "3")
    assert out.splitlines()[-1].startswith("1 more; --limit")
    _, out, _ = replay("verdicts", "list", "--run", two, "--limit", "3", "--json")
    found = json.loads(out)
    assert found["run_id"] == two
    for shown, row in zip(found["verdicts"], stored(lake)[:3], strict=True):
        assert shown.keys() == row.keys()
        times = {"ts": shown["ts"], "issued_at": shown["issued_at"]}
        assert shown == {**row, **times, "probability": pytest.approx(row["probability"])}
        assert times["issued_at"] == "2026-03-02T12:00:00Z"


def test_latest_is_what_was_published_last(lake: Lake, replay: Replay) -> None:
    """Also where a run that came before was reverted before, and is reverted to the end now."""
    _, out, _ = replay("verdicts", "list", "--run", "latest", "--json")
    assert json.loads(out)["run_id"] == f"revert-{known().id('two')}"
    publish(lake, known().id("four"), ALL, SOON + 3)
    revert(lake, known().id("four"), CREDITS, SOON + 4)  # the re-bills are left
    between = run(lake, "two", SPAN).manifest.run_id
    publish(lake, between, CREDITS, SOON + 5)
    _, out, _ = replay("verdicts", "show", "latest", "--json")
    assert json.loads(out)["run_id"] == between
    revert(lake, known().id("four"), ALL, SOON + 6)
    assert stored(lake)[-1]["run_id"] == f"revert-{known().id('four')}"
    _, out, _ = replay("verdicts", "show", "latest", "--json")
    assert json.loads(out)["run_id"] == f"revert-{known().id('four')}"


@pytest.mark.usefixtures("lake")
def test_a_publication_with_its_gates(replay: Replay) -> None:
    code, out, err = replay("verdicts", "show", known().id("two"))
    assert (code, err) == (0, "")
    assert f"run {known().id('two')} published at 2026-03-02T12:00:00Z" in out
    assert "by tests: 4 verdicts, 1 to 4 of the ledger" in out
    assert "4 clicks credited (-1.50 USD)" in out
    assert "! overridden" in out
    assert out.endswith("0 of its 4 verdicts are in effect\n")
    _, out, _ = replay("verdicts", "show", known().id("two"), "--json")
    shown = json.loads(out)
    assert (shown["action"], shown["neutral"]) == ("publish", 0)
    assert shown["records"][0]["reason"] == "a test"


def test_a_click_and_each_of_its_verdicts_tell_the_same_chain(lake: Lake, replay: Replay) -> None:
    first = verdict_id("u1", None)
    second = verdict_id("u1", first)
    told = [replay("verdicts", "show", name) for name in ("u1", first, second)]
    assert told[0] == told[1] == told[2]
    code, out, err = told[0]
    assert (code, err) == (0, "")
    assert first in out
    assert second in out
    assert "valid → invalid" in out
    assert "invalid → valid" in out
    assert "a test" in out
    _, out, _ = replay("verdicts", "show", second, "--json")
    found = json.loads(out)
    assert found["click_id"] == "u1"
    assert [row["follows"] for row in found["verdicts"]] == [None, first]
    assert sum(row["adjustment_micros"] for row in found["verdicts"]) == 0
    assert len(stored(lake)) == 8


def test_an_empty_ledger_is_listed_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replay: Replay
) -> None:
    open_lake(tmp_path, monkeypatch)
    code, out, err = replay("verdicts", "list")
    assert (code, err) == (0, "")
    assert "nothing was published" in out
    code, out, _ = replay("verdicts", "list", "--json")
    assert (code, json.loads(out)) == (0, {"runs": []})
