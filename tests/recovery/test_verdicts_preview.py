"""What on-call sees before anything is published, of the sample lake's incident."""

import re
import shutil
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from recovery.gates import GATES
from replay.cli import main
from replay.lake import Lake
from replay.span import Span
from tests.versions import HOUR, START, run

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "samples" / "lake"
README = (ROOT / "README.md").read_text()
DOCS = (ROOT / "docs" / "verdicts.md").read_text()
AFTERNOON = Span(START + 26 * HOUR, START + 32 * HOUR)  # 2 March, 14:00 to 20:00
LINES, COLUMNS = 48, 110


@dataclass(frozen=True)
class Incident:
    """A copy of the sample lake with a sink, a run of the version before, and its previews."""

    lake: Lake
    run_id: str
    credits: str
    rebill: str


@pytest.fixture(scope="module")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Incident:
    home = tmp_path_factory.mktemp("sample") / "lake"
    shutil.copytree(SAMPLE, home)
    with (home / "replay.toml").open("a") as file:
        file.write('\n[sinks.billing]\nkind = "ndjson"\npath = "corrections.ndjson"\n')
    lake = Lake.open(home)
    run_id = run(lake, "previous", AFTERNOON).manifest.run_id
    line = ("verdicts", "publish", run_id, "--home", str(home))
    return Incident(lake, run_id, shown(*line), shown(*line, "--rebill"))


def shown(*line: str) -> str:
    """Return what a preview that gates object to shows."""
    with redirect_stdout(StringIO()) as out, pytest.raises(SystemExit) as stop:
        main(line)
    assert stop.value.code == 1
    return out.getvalue()


@pytest.mark.parametrize("kind", ["credits", "rebill"])
def test_it_fits_a_screen(incident: Incident, kind: str) -> None:
    lines = getattr(incident, kind).splitlines()
    assert len(lines) <= LINES
    for line in lines[:-1]:  # the last is a command to copy
        assert len(line) <= COLUMNS, line


def test_it_shows_changes_money_causes_outcomes_gates_and_sinks(incident: Incident) -> None:
    lake, run_id, shown = incident.lake, incident.run_id, incident.rebill
    assert shown.startswith(f"publish of run {run_id} (v1), 5,141 clicks of 2026-03-02T14:00")
    assert "1,948 clicks credited (-919.53 USD), 717 billed again (+273.22 USD)" in shown
    assert "net -646.31 USD" in shown
    for way, clicks, money in (
        ("valid → invalid", "1,948", "-919.53"),
        ("invalid → valid", "717", "+273.22"),
        ("model", "2,665", "-646.31"),
        ("too_early", "1,948", "-919.53"),
    ):
        assert re.search(rf"{way} +{re.escape(clicks)} +{re.escape(money)} USD", shown), way
    for name in (gate.name for gate in GATES):
        assert re.search(
            rf"^{name} +(no|[\d.,]+(%| h|)) +(no|[\d.,]+(%| h|)) +[✓✗] ", shown, re.M
        ), name
    assert re.search(r"^changed +51\.84% +10\.00% +✗ objects", shown, re.M)
    assert re.search(r"^fpr +0\.00% +5\.00% +✓ pass", shown, re.M)
    assert f"to {lake.home / 'corrections.ndjson'}: 2,665 verdicts" in shown


@pytest.mark.parametrize("kind", ["credits", "rebill"])
def test_advertisers_are_in_the_order_of_their_money_and_add_up(
    incident: Incident, kind: str
) -> None:
    shown = getattr(incident, kind)
    row = re.compile(r"^(\S+|\d+ others) +([\d,]+) +([\d,]+) +(\S+) USD +(\S+) USD", re.M)
    rows = [
        (name, *(float(figure.replace(",", "")) for figure in figures))
        for name, *figures in row.findall(shown)
    ]
    named = rows[:-2]
    assert [name for name, *_ in named[:3]] == ["adv-010", "adv-000", "adv-007"]
    moved = [rebill - credit for _, _, _, credit, rebill in named]
    assert moved == sorted(moved, reverse=True)
    assert rows[-2][0] == "11 others"
    assert rows[-1][0] == "all"
    for column in range(1, 5):
        total = sum(float(r[column]) for r in rows[:-1])
        assert total == pytest.approx(float(rows[-1][column]), abs=0.04)


def test_what_is_withheld_is_said(incident: Incident) -> None:
    shown = incident.credits
    assert "717 re-bills (+273.22 USD) are withheld without --rebill; a run is published" in shown
    assert "invalid → valid" not in shown


def test_the_readme_shows_the_ledger_of_the_demo(incident: Incident, tmp_path: Path) -> None:
    """As the demo does: published with overrides, reconciled, undone, reconciled."""
    home = tmp_path / "lake"
    shutil.copytree(incident.lake.home, home)
    words = ["--reason", "demo", "--yes", "--no-deliver", "--override"]
    gates = ("changed,credit_clicks,credit_money,advertiser",)
    late = ("--rebill", *words, "rebill_clicks,rebill_money,billing_window")
    said = []
    for action, terms in (("publish", (*words, *gates)), ("revert", late)):
        done("verdicts", action, incident.run_id, *terms, "--home", str(home))
        said.append(done("verdicts", "reconcile", "--home", str(home)).splitlines()[-3])
    block = README.partition("after each step:\n\n```text\n")[2].partition("```")[0]
    assert block.splitlines() == said


def done(*line: str) -> str:
    """Return what a command says that has nothing to object to."""
    with redirect_stdout(StringIO()) as out, pytest.raises(SystemExit) as stop:
        main(line)
    assert stop.value.code == 0
    return out.getvalue()


def test_the_docs_name_every_gate_and_its_bound() -> None:
    table = DOCS.partition("### Gates")[2].partition("A lake sets")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([\d.]+|never)", table, re.M)
    bounds = [
        (g.name, "never" if g.name == "sampled" else f"{g.bound * 100:g}")
        if g.unit in ("share", "flag")
        else (g.name, f"{g.bound:g}")
        for g in GATES
    ]
    assert rows == bounds
