"""The docs against what they describe."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from docs.generate import PAGE, commands, page
from docs.type_commands import main, markdown_commands, suggested_commands

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text()
WRITTEN = "\n".join(file.read_text() for file in PAGES if file != PAGE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A copy of the sample lake in which the demo's replay ran, and what it said."""
    home = tmp_path_factory.mktemp("demo") / "lake"
    shutil.copytree(ROOT / "data" / "samples" / "lake", home)
    span = ["--from", "2026-03-02T14:00", "--to", "2026-03-02T20:00"]
    command = [
        sys.executable,
        "-m",
        "replay.cli",
        *span,
        "--model",
        "previous",
        "--home",
        str(home),
    ]
    return home, subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_reference_is_what_the_commands_say() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


@pytest.mark.parametrize("path", [context.command_path for context in commands()])
def test_every_command_stands_in_the_written_docs(path: str) -> None:
    assert re.search(rf"\b{re.escape(path)}\b", WRITTEN)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(file: Path) -> None:
    for target in LINK.findall(file.read_text()):
        assert (file.parent / target).exists(), target


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    named = {(index.parent / target).resolve() for target in LINK.findall(index.read_text())}
    assert set(ROOT.glob("docs/**/*.md")) - named == {index}


def test_the_readme_shows_what_the_replay_says(replayed: tuple[Path, str]) -> None:
    said = {" ".join(line.split()) for line in replayed[1].splitlines()}
    block = README.partition("From its answer:\n\n```text\n")[2].partition("```")[0]
    shown = [" ".join(line.split()) for line in block.splitlines()]
    assert len(shown) > 5
    assert [line for line in shown if line not in said] == []


def test_the_readme_tells_the_truth_of_the_sample(replayed: tuple[Path, str]) -> None:
    home = replayed[0]
    wrong = duckdb.execute(
        f"""
        SELECT count(*) FILTER (kind = 'to_invalid' AND NOT is_robot),
          count(*) FILTER (kind = 'to_valid' AND is_robot)
        FROM '{home}/runs/*/changes/*.parquet' JOIN
          (SELECT click_id, is_robot FROM '{home}/truth/*/*.parquet') USING (click_id)
        """
    ).fetchall()[0]
    told = " ".join(README.split())
    assert wrong == (1948 - 1946, 717 - 714)
    assert "1,946 of the 1,948 are robots' clicks and 714 of the 717 are people's" in told


def test_every_make_target_stands_in_the_makefile_help() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony
    for target in phony[1].split():
        assert target == "help" or f"@echo 'make {target} " in text


def test_commands_are_found_in_markdown_and_in_output() -> None:
    text = "a\n```sh\nmake demo\nmake test\n```\n```text\nno\n```\n```sh\nls\n```\n"
    assert markdown_commands(text) == ["make demo\nmake test", "ls"]
    output = "$ .venv/bin/replay status\n12 clicks\nNext:\n  .venv/bin/replay explain c-1\n"
    assert suggested_commands(output) == [".venv/bin/replay explain c-1"]


def test_typing_stops_at_the_first_failure(tmp_path: Path) -> None:
    file, touched = tmp_path / "page.md", tmp_path / "touched"
    file.write_text(f"```sh\nfalse\ntouch {touched}\n```\n```sh\ntouch {touched}\n```\n")
    assert main(file) == 1
    assert not touched.exists()


def test_a_page_without_commands_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("nothing to type here\n")
    assert main(tmp_path / "page.txt") == 1
