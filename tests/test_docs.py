"""The docs against what they describe."""

import re
from pathlib import Path

import click
import pytest

from docs.generate import PAGE, commands, page
from docs.type_commands import main, markdown_commands, suggested_commands

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
WRITTEN = "\n".join(file.read_text() for file in PAGES if file != PAGE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")


def test_the_reference_is_what_the_commands_say() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


@pytest.mark.parametrize("context", commands(), ids=lambda context: str(context.command_path))
def test_every_command_stands_in_the_written_docs(context: click.Context) -> None:
    assert re.search(rf"\b{re.escape(context.command_path)}\b", WRITTEN)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(file: Path) -> None:
    for target in LINK.findall(file.read_text()):
        assert (file.parent / target).exists(), target


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    named = {(index.parent / target).resolve() for target in LINK.findall(index.read_text())}
    assert set(ROOT.glob("docs/**/*.md")) - named == {index}


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
