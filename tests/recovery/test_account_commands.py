"""`replay verdicts reconcile` and `statement`, as they are typed."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from replay.cli import main
from replay.lake import Lake
from tests.lakes import click, make_lake
from tests.recovery.books import sample_book

Replay = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    made = sample_book().write(tmp_path / "lake")
    monkeypatch.setenv("REPLAY_HOME", str(made.home))
    return made


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str]) -> Replay:
    """Run a subcommand; return its exit code, stdout and stderr."""

    def run(*line: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["verdicts", *line])
        assert isinstance(stop.value.code, int)
        return (stop.value.code, *capsys.readouterr())

    return run


@pytest.mark.usefixtures("lake")
def test_reconcile_shows_checks_totals_and_says_so(replay: Replay) -> None:
    code, out, err = replay("reconcile")
    assert (code, err) == (0, "")
    assert "14 verdicts: 7 (-1.50 USD) credits, 4 (+0.75 USD) re-bills, 3 without money" in out
    assert "net -0.75 USD" in out
    assert "publications and reverts: 3; imported verdicts: 3" in out
    assert out.endswith("reconciles: every check holds\n")
    assert out.count("✓") == 12


@pytest.mark.usefixtures("lake")
def test_reconcile_as_json(replay: Replay) -> None:
    code, out, _ = replay("reconcile", "--json")
    found = json.loads(out)
    assert (code, found["reconciles"], found["currency"]) == (0, True, "USD")
    assert found["totals"]["net_micros"] == -750_000
    assert [one["net_micros"] for one in found["advertisers"]] == [-750_000, 0, 0]
    assert {check["differ"] for check in found["checks"]} == {0}
    assert found["days"] == 2


def test_reconcile_exits_1_and_says_what_differs_and_what_to_do(
    tmp_path: Path, replay: Replay
) -> None:
    book = sample_book()
    book.row("b10")["adjustment_micros"] -= 1
    home = str(book.write(tmp_path).home)
    code, out, err = replay("reconcile", "--home", home)
    assert code == 1
    assert "reconciles" not in out
    assert out.count("✗") == 3
    lines = err.splitlines()
    assert lines[0].startswith("adjustment: 1 of 14 differ from: each verdict moves")
    assert "of click b10 moves -250001 micros, due are -250000" in lines[1]
    assert lines[2].startswith("  what to do: ")
    assert lines[-1] == (
        "replay: the ledger does not reconcile: adjustment, click money, campaign money"
    )
    code, out, err = replay("reconcile", "--home", home, "--json")
    assert (code, err, json.loads(out)["reconciles"]) == (1, "", False)


def test_an_empty_ledger_reconciles_and_says_so(tmp_path: Path, replay: Replay) -> None:
    home = str(make_lake(tmp_path, [click(0)]).home)
    code, out, _ = replay("reconcile", "--home", home)
    assert (code, out.splitlines()[0]) == (0, "the ledger is empty: nothing was published")
    code, out, _ = replay("statement", "--home", home)
    assert (code, out) == (0, "no correction: nothing to state\n")


@pytest.mark.usefixtures("lake")
def test_statement_on_the_screen(replay: Replay) -> None:
    code, out, _ = replay("statement")
    assert code == 0
    assert "advertiser adv1" in out
    assert "adv3" not in out
    assert "adv3" in replay("statement", "--all")[1]
    assert "adv1" not in replay("statement", "--advertiser", "adv2")[1]
    assert "before and after run r1" in replay("statement", "--run", "r1")[1]


@pytest.mark.usefixtures("lake")
def test_statement_forms_agree(replay: Replay, tmp_path: Path) -> None:
    _, text, _ = replay("statement", "--csv")
    rows = list(csv.DictReader(text.splitlines()))
    document = json.loads(replay("statement", "--json")[1])
    after = sum(int(row["micros"]) for row in rows if row["line"] == "after")
    assert after == document["total"]["after"]["micros"] == 2_000_000
    path = tmp_path / "new" / "statement.csv"
    _, said, _ = replay("statement", "--out", str(path))
    assert said == f"wrote 3 campaigns with 12 items to {path}\n"
    assert path.read_bytes().decode().replace("\r\n", "\n") == text.replace("\r\n", "\n")
    assert b"\r\n" in path.read_bytes()
    _, said, _ = replay("statement", "--json", "--out", str(path))
    assert json.loads(said) == {"file": str(path), "campaigns": 3, "items": 12}
    assert json.loads(path.read_text()) == document
    assert [file.name for file in path.parent.iterdir()] == ["statement.csv"]


@pytest.mark.usefixtures("lake")
def test_statement_of_a_span(replay: Replay) -> None:
    line = ("statement", "--from", "2026-03-02", "--to", "2026-03-03", "--json")
    document = json.loads(replay(*line)[1])
    assert (document["from"], document["days"]) == ("2026-03-02T00:00:00Z", None)
    assert document["total"]["gross"] == 6


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("--csv", "--json"), "not both"),
        (("--from", "2026-03-02"), "together"),
        (("--from", "2026-03-02", "--to", "2026-03-02"), "is not before"),
        (("--from", "soon", "--to", "now"), "'soon' is no time"),
        (("--run", "r9"), "run 'r9' has no verdict in the ledger"),
        (("--out", "."), "names no file"),
        (("--out", "/dev/null/x/y.csv"), "cannot be written"),
    ],
)
@pytest.mark.usefixtures("lake")
def test_bad_input_is_one_line(replay: Replay, line: tuple[str, ...], message: str) -> None:
    code, out, err = replay("statement", *line)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_what_cannot_be_stated_leaves_an_earlier_file_alone(tmp_path: Path, replay: Replay) -> None:
    path = tmp_path / "statement.csv"
    path.write_text("earlier")
    book = sample_book()
    book.row("b10")["adjustment_micros"] -= 1
    home = str(book.write(tmp_path / "lake").home)
    code, out, err = replay("statement", "--home", home, "--out", str(path))
    assert (code, out) == (2, "")
    assert "campaign y of adv1 does not reconcile" in err
    assert "`replay verdicts reconcile` tells" in err
    assert path.read_text() == "earlier"


@pytest.mark.parametrize("name", ["reconcile", "statement"])
def test_a_home_that_is_none(replay: Replay, tmp_path: Path, name: str) -> None:
    code, out, err = replay(name, "--home", str(tmp_path))
    assert (code, out, "is no lake" in err) == (2, "", True)
