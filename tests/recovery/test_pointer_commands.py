"""`replay models rollback`, `history` and `at`, as they are typed; and tables that are corrupt."""

import json
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from replay.lake import Lake
from replay.production import read_production
from replay.span import iso
from tests.lakes import add_rows, make_lake
from tests.recovery.typed import Replay, suggested, typed
from tests.versions import at_least

DAY = 86_400_000_000
MARCH = 1_772_323_200_000_000  # 2026-03-01T00:00Z


def row(at: int, version: str, action: str = "promote", **changed: object) -> dict[str, Any]:
    texts = {"by": "her", "reason": "because", "metrics": '{"fpr": 0.01}'}
    return {"at": at, "model_version": version, "action": action, **texts, **changed}


PROMOTED = [row(MARCH + n * DAY, f"v{n + 1}") for n in range(3)]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """v1 to v3, promoted on the first three days of March."""
    made = make_lake(tmp_path / "lake", promotions=PROMOTED)
    for name in ("v1", "v2", "v3"):
        at_least(made, name, 2)
    monkeypatch.setenv("REPLAY_HOME", str(made.home))
    return made


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str]) -> Replay:
    return typed(capsys)


def production(lake: Lake) -> str | None:
    return read_production(lake).production()


def refused(replay: Replay, *line: str) -> str:
    code, out, err = replay("models", *line)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


def test_a_rollback_needs_no_argument_and_can_be_undone(lake: Lake, replay: Replay) -> None:
    code, out, err = replay("models", "rollback")
    assert (code, err, production(lake)) == (0, "", "v2")
    assert out.startswith("production: v3 → v2, since 2")
    assert "To undo:\n" in out
    code, out, err = replay(*suggested(out))
    assert (code, err, production(lake)) == (0, "", "v3")
    assert out.startswith("production: v2 → v3, since 2")
    _, out, _ = replay("models", "history", "--json")
    newest = json.loads(out)["history"][0]
    assert (newest["action"], newest["reason"]) == ("promote", "undoes the rollback from v3")


def test_one_rollback_after_another_until_nothing_is_left(lake: Lake, replay: Replay) -> None:
    for before, after in (("v3", "v2"), ("v2", "v1")):
        _, out, _ = replay("models", "rollback", "--json", "--by", "me", "--reason", "night")
        moved = json.loads(out)
        assert (moved["before"], moved["model_version"]) == (before, after)
        assert (moved["action"], moved["by"], moved["reason"]) == ("rollback", "me", "night")
        assert moved["undo"].endswith(
            f"models promote {before} --reason 'undoes the rollback from {before}'"
        )
    assert "there is nothing to roll back to" in refused(replay, "rollback")
    assert "'v3' was rolled back from at 2" in refused(replay, "rollback", "--to", "v3")
    assert production(lake) == "v1"


@pytest.mark.usefixtures("lake")
def test_a_rollback_to_a_version_by_name(replay: Replay) -> None:
    _, out, _ = replay("models", "rollback", "--to", "v1")
    assert out.startswith("production: v3 → v1, since 2")


@pytest.mark.usefixtures("lake")
def test_the_history_is_told_newest_first(replay: Replay) -> None:
    code, out, err = replay("models", "history")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["since", "(UTC)", "version", "action", "from", "by", "reason"]
    assert lines[1] == ["2026-03-03", "00:00:00", "v3", "promote", "v2", "her", "because"]
    assert [line[2] for line in lines[1:]] == ["v3", "v2", "v1"]
    _, out, _ = replay("models", "history", "--json")
    assert json.loads(out)["history"] == [
        {
            "before": before,
            **row(0, version, metrics={"fpr": 0.01}),
            "at": f"2026-03-0{day}T00:00:00Z",
            "until": None if day == 3 else f"2026-03-0{day + 1}T00:00:00Z",
        }
        for day, version, before in ((3, "v3", "v2"), (2, "v2", "v1"), (1, "v1", None))
    ]
    _, out, _ = replay("models", "history", "--limit", "1")
    assert out.splitlines()[1].split()[2] == "v3"
    assert out.endswith("2 older; --limit shows more of them\n")


def test_an_empty_history_is_said(tmp_path: Path, replay: Replay) -> None:
    home = str(make_lake(tmp_path).home)
    assert replay("models", "history", "--home", home)[:2] == (
        0,
        "nothing was ever in production\n",
    )
    assert json.loads(replay("models", "history", "--json", "--home", home)[1]) == {"history": []}
    assert "nothing was ever in production" in refused(replay, "rollback", "--home", home)


@pytest.mark.parametrize(
    ("time", "version", "start", "end"),
    [
        ("2026-02-28", None, None, "2026-03-01T00:00:00Z"),
        ("2026-03-01", "v1", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
        ("2026-03-01T23:59:59.999999", "v1", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
        ("2026-03-02T01:00+01:00", "v2", "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"),
        ("now", "v3", "2026-03-03T00:00:00Z", None),
        ("-1s", "v3", "2026-03-03T00:00:00Z", None),
    ],
)
@pytest.mark.usefixtures("lake")
def test_what_stood_at_a_time(
    replay: Replay, time: str, version: str | None, start: str | None, end: str | None
) -> None:
    code, out, err = replay("models", "at", time, "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert (said["version"], said["from"], said["to"]) == (version, start, end)
    assert (said["put_there"] or {"model_version": None})["model_version"] == version
    code, out, err = replay("models", "at", time)
    assert (code, err) == (0, "")
    shown = {line[:15].strip(): line[15:].strip() for line in out.splitlines()}
    assert shown["in production"] == (version or "none")
    assert shown.get("from", "none").startswith(start or "none")
    assert shown["to"].startswith(end or "now")
    assert shown.get("put there") == ("by her (promote): because" if version else None)


@pytest.mark.usefixtures("lake")
def test_times_that_cannot_be_answered(replay: Replay) -> None:
    assert "is yet to come" in refused(replay, "at", "2999-01-01")
    assert "'yesterday' is no time" in refused(replay, "at", "yesterday")
    assert "Missing argument 'TIME'" in refused(replay, "at")
    assert "unexpected extra argument" in refused(replay, "at", "now", "--jsno")


def test_a_version_that_is_not_stored_is_warned_of(lake: Lake, replay: Replay) -> None:
    (lake.home / "models" / "v2").rename(lake.home / "v2")
    for line in (("history",), ("at", "2026-03-02")):
        code, out, err = replay("models", *line)
        assert code == 0
        assert "v2" in out
        assert err.startswith("warning: version 'v2' stands in the history and is not stored")
    said = refused(replay, "rollback")
    assert "can't go back to 'v2'" in said
    assert "no model version named 'v2'" in said
    assert production(lake) == "v3"


READING: Sequence[tuple[str, ...]] = (
    ("rollback",),
    ("promote", "v1", "--reason", "why"),
    ("history",),
    ("at", "now"),
    ("list",),
    ("compare", "v1", "production"),
)
LATER = MARCH + 9 * DAY
CORRUPT = {
    "has the action 'demote'": row(LATER, "v1", "demote"),
    "names 'V 1', which no version can be named": row(LATER, "V 1"),
    "two rows are of 2026-03-03T00:00:00Z": row(MARCH + 2 * DAY, "v1"),
}


@pytest.mark.parametrize("line", READING)
@pytest.mark.parametrize("said", CORRUPT)
def test_a_row_without_a_meaning_is_one_line(
    lake: Lake, replay: Replay, said: str, line: tuple[str, ...]
) -> None:
    add_rows(lake, "promotions", [CORRUPT[said]])
    assert said in refused(replay, *line)


def test_metrics_that_are_none_are_one_line(lake: Lake, replay: Replay) -> None:
    for number, metrics in zip(count(), ("oops", "NaN", ""), strict=False):
        add_rows(lake, "promotions", [row(LATER + number, "v1", metrics=metrics)])
        for line in (("history",), ("at", "now", "--json")):
            assert "are no JSON; restore" in refused(replay, *line)
        assert replay("models", "at", "now")[0] == 0


def files(lake: Lake, pattern: str) -> Iterator[Path]:
    return iter(sorted((lake.home / "promotions").rglob(pattern)))


@pytest.mark.parametrize("line", READING)
@pytest.mark.parametrize("content", [b"", b"PAR1", None])
def test_a_damaged_file_is_one_line(
    lake: Lake, replay: Replay, content: bytes | None, line: tuple[str, ...]
) -> None:
    file = next(files(lake, "*.parquet"))
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    assert f"{file}, a file of table promotions, cannot be read" in refused(replay, *line)


@pytest.mark.parametrize("line", READING)
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"{}\n", b'{"add": {}}\n', b"[1]\n"])
def test_a_log_that_cannot_be_read_is_one_line(
    lake: Lake, replay: Replay, content: bytes, line: tuple[str, ...]
) -> None:
    for file in files(lake, "*.json"):
        file.write_bytes(content)
    assert "promotions" in refused(replay, *line)


def test_a_long_history_is_told_whole(lake: Lake, replay: Replay) -> None:
    add_rows(lake, "promotions", [row(LATER + n, f"v{n % 2 + 1}") for n in range(99)])
    _, out, _ = replay("models", "history", "--json", "--limit", "200")
    found = json.loads(out)["history"]
    assert (len(found), found[0]["at"]) == (102, iso(LATER + 98))
    assert [move["at"] for move in found[:-1]] == [move["until"] for move in found[1:]]
