"""The truth is out of reach of what computes features, trains, labels, replays and audits.

By their sources: none names a table or a column of the truth, and none lists the tables that hold
it. By what they do: on a lake without the truth they write the same bytes.
"""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from recovery.audit import auditing
from recovery.audit.preparing import Request as AuditRequest
from recovery.audit.preparing import prepare
from replay.label_report import read_labels
from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import Span
from replay.tables import LOG_TABLES, TRUTH_TABLES
from replay.training import Request, train_version
from scorer.spec import load_spec
from tests.simulator.production import HOUR, make, repaired, small
from tests.versions import ignore, run

ROOT = Path(__file__).parents[2]
# What the tables are; one who asks by hand; a line of help that says the word.
MAY_NAME = {"replay/tables.py", "replay/commands/sql.py", "replay/cli.py"}
COLUMNS = {"is_robot", "actor"}
FORBIDDEN = {
    "TRUTH_TABLES",
    *(name for table in TRUTH_TABLES for name in (table.name, table.name.upper())),
    *COLUMNS,
}


def words(tree: ast.Module) -> Iterator[str]:
    """Every name and every word of a text in a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.alias(name=name) | ast.Attribute(attr=name):
                yield name
            case ast.Constant(value=str(text)):
                yield from "".join(c if c.isalnum() or c == "_" else " " for c in text).split()


def reaching(source: str) -> set[str]:
    """Return what of the truth a module names."""
    return FORBIDDEN & set(words(ast.parse(source)))


def test_the_tables_and_columns_are_those_of_the_truth() -> None:
    assert {table.name for table in TRUTH_TABLES} == {"truth", "incident_truth", "decision_truth"}
    assert not set(TRUTH_TABLES) & set(LOG_TABLES)
    assert {field.name for table in TRUTH_TABLES for field in table.schema} >= COLUMNS


@pytest.mark.parametrize("package", ["replay", "scorer", "recovery"])
def test_no_module_names_the_truth(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 30
    found = {str(f.relative_to(ROOT)): reaching(f.read_text()) for f in files}
    assert {file for file, named in found.items() if named} <= MAY_NAME


@pytest.mark.parametrize(
    "line",
    [
        "from replay.tables import TRUTH_TABLES",
        "import replay.tables as t; t.DECISION_TRUTH",
        "query = 'SELECT is_robot FROM x'",
        "source = snapshot.source('truth', span)",
        "query = f'SELECT * FROM {x} JOIN decision_truth USING (click_id)'",
        "def f(): return lake.home / 'incident_truth'",
    ],
)
def test_a_module_that_names_it_is_seen(line: str) -> None:
    assert reaching(line)


def written(lake: Lake, span: Span) -> dict[str, object]:
    """Compute features, labels, a version, a replay and an audit; return digests of it all."""
    hours = Span(span.end - 20 * HOUR, span.end)
    request = Request("v9", hours, load_spec("default"))
    version, trained = train_version(lake, Snapshot.take(lake), request, ignore, _no_epoch)
    ran = run(lake, "v2", span)
    prepared = prepare(lake, AuditRequest(("v1", "v2"), span, "cpu", None))
    manifest, _ = auditing.execute(prepared, lake.home / "audit", ignore)
    return {
        "labels": read_labels(Snapshot.take(lake), span, span.end),
        "weights": version.weights_digest,
        "metrics": trained.metrics,
        "parts": ran.manifest.digests,
        "audit": manifest.written,
    }


def _no_epoch(epoch: int, loss: float, held_out_loss: float) -> None:
    """Hear of an epoch."""


def test_a_lake_without_the_truth_gives_the_same_bytes(tmp_path: Path) -> None:
    scenario = small("threshold_mistyped")
    lake = make(tmp_path / "lake", scenario)
    shutil.copytree(lake.home, tmp_path / "bare")
    for table in TRUTH_TABLES:
        shutil.rmtree(tmp_path / "bare" / table.name)
    span = repaired(scenario)
    assert written(Lake.open(tmp_path / "bare"), span) == written(lake, span)
