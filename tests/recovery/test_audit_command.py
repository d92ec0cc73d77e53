"""`replay audit` as it is typed."""

import json
from pathlib import Path

import pytest

from replay.lake import Lake
from tests.lakes import add_rows, make_lake
from tests.recovery.typed import Replay, typed
from tests.versions import at_least, burst, logged

LINE = ("audit", "--from", "2026-03-01T12:00", "--to", "2026-03-03T12:00")


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Four clicks of one user, all valid in production, for two advertisers."""
    rows = burst(2, price_micros=333_333) + burst(2, "w", advertiser_id="adv2")
    made = make_lake(tmp_path / "lake")
    b = at_least(made, "b", 2)
    at_least(made, "c", 3)
    add_rows(made, "decisions", [logged(row, b, "valid", [1]) for row in rows])
    add_rows(made, "purchases", [{"purchase_id": "p", "ts": rows[0]["ts"] + 9, "click_id": "u1"}])
    add_rows(made, "clicks", rows)
    monkeypatch.setenv("REPLAY_HOME", str(made.home))
    return made


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str]) -> Replay:
    return typed(capsys)


@pytest.mark.usefixtures("lake")
def test_tables_say_what_differs_and_where_the_files_are(replay: Replay, tmp_path: Path) -> None:
    code, out, err = replay(*LINE, "--models", "b,c", "--out", str(tmp_path / "out"))
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert (code, err) == (0, "")
    for line in (
        "4 clicks; two of the versions differ on 2",
        "b 50.00 [15.00-85.00] 100.00 [20.65-100.00] unknown 100.00 [51.01-100.00]",
        "decided alike production b c",
        "b 50.00% 50.00%",
        "c 100.00% 50.00%",
        "c 1.17 USD 1.17 USD 0.00 USD 0.00 USD 1.17 USD",
        "all 4 1.17 USD 1.17 USD 0.58 USD 1.17 USD",
        "b features production saw other features than the log gives 2 -0.58 USD",
    ):
        assert line in lines
    assert lines[-1].endswith(f"and manifest.json to {tmp_path / 'out'}")
    assert "in effect" not in out  # no verdict made it differ


def test_json_is_one_document_of_the_files(replay: Replay, lake: Lake) -> None:
    code, out, err = replay(*LINE, "--models", "b,c", "--json")
    document = json.loads(out)
    folder = Path(document["folder"])
    assert (code, err, folder.parent) == (0, "", lake.home / "audits")
    assert json.loads((folder / "audit.json").read_text()) == document["audit"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest.items() <= document.items()
    assert document["audit"]["overall"]["metrics"]["b"]["fpr"]["rate"] == 1.0
    assert document["audit"]["money_of_all"]["billed_micros"] == {
        "production": 1_166_666,
        "in effect": 1_166_666,
        "b": 583_333,
        "c": 1_166_666,
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ((*LINE, "--models", "b,"), "--models 'b,' holds an empty name"),
        ((*LINE, "--models", "b,bc"), "no model version named 'bc'. Did you mean"),
        ((*LINE, "--models", "b,b"), "--models names b twice"),
        ((*LINE[:3], "--to", "2026-03-01T12:00", "--models", "b"), "is not before --to"),
        ((*LINE[:3], "--to", "soon", "--models", "b"), "'soon' is no time"),
        (("audit", "--from", "2020-01-01", "--to", "2020-01-02", "--models", "b"), "no click in"),
        ((*LINE, "--models", "b", "--as-of", "2020-01-01"), "before the lake's first clicks"),
        (LINE, "Missing option '--models'"),
    ],
)
def test_bad_input_is_one_line(
    replay: Replay, lake: Lake, line: tuple[str, ...], words: str
) -> None:
    code, out, err = replay(*line)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err
    assert not (lake.home / "audits").exists()


@pytest.mark.usefixtures("lake")
def test_an_audit_is_never_written_over(replay: Replay, tmp_path: Path) -> None:
    line = (*LINE, "--models", "b", "--out", str(tmp_path / "out"))
    assert replay(*line)[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    code, _, err = replay(*line)
    assert (code, err.count("\n")) == (2, 1)
    assert "is there already, and audits never change; choose another --out" in err
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
