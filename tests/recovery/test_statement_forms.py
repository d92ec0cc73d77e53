"""A statement's forms: the screen, CSV and JSON."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from recovery.statement import Statement, statement
from recovery.statement_forms import COLUMNS, statement_csv, statement_json, statement_report
from replay.console import screen
from tests.lakes import click, make_lake
from tests.recovery.books import MIDNIGHT, NOW, Book, sample_book

WORDS = ("valid", "invalid", "undecided")
ID_COLUMNS = ("advertiser_id", "campaign_id", "run_id")


def text_of(found: Statement) -> str:
    console = screen()
    with console.capture() as captured:
        for part in statement_report(found):
            console.print(part)
    return captured.get()


@pytest.mark.parametrize("everyone", [False, True])
def test_a_statement_of_nothing_is_one_line(tmp_path: Path, everyone: bool) -> None:
    lake = make_lake(tmp_path, [click(0)])
    found = statement(lake, everyone=everyone)
    assert text_of(found) == "no correction: nothing to state\n"
    assert len(list(statement_csv(found))) == 1
    document = statement_json(found)
    assert (document["advertisers"], document["from"], document["days"]) == ([], None, [])


def read_csv(found: Statement) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(statement_csv(found)), newline="")))


def number(text: str) -> int:
    """Read units with six places as micros, without a float."""
    whole, _, part = text.partition(".")
    assert len(part) == 6
    return int(whole + part)


def test_csv_is_exact_and_adds_up(tmp_path: Path) -> None:
    book = sample_book()
    found = statement(book.write(tmp_path))
    rows = read_csv(found)
    assert tuple(rows[0]) == COLUMNS
    assert {row["currency"] for row in rows} == {"USD"}
    for row in rows:
        assert number(row["amount"]) == int(row["micros"])
    for account in found.accounts:
        mine = [
            row
            for row in rows
            if (row["advertiser_id"], row["campaign_id"])
            == (account.advertiser_id, account.campaign_id)
        ]
        assert [mine[0]["line"], mine[-1]["line"]] == ["before", "after"]
        assert {row["line"] for row in mine[1:-1]} <= {"credit", "re-bill", "neutral"}
        for name in (*WORDS, "micros"):
            figures = [int(row[name]) for row in mine]
            assert sum(figures[:-1]) == figures[-1]
        for row in (mine[0], mine[-1]):
            assert int(row["clicks"]) == sum(int(row[word]) for word in WORDS)
            assert row["run_id"] == row["issued_at"] == ""
    credit = next(row for row in rows if row["run_id"] == "elsewhere" and row["line"] == "credit")
    assert credit["issued_at"] == "2026-03-11T00:00:00Z"
    assert (credit["clicks"], credit["valid"], credit["invalid"]) == ("1", "-1", "1")
    assert (credit["micros"], credit["amount"]) == ("-250000", "-0.250000")


NASTY = ["=1+2", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'=1", 'a"b', "a,b", "a\nb", "ü [b]", " "]


def test_ids_are_no_formulas_and_can_be_had_again(tmp_path: Path) -> None:
    rows = [
        click(MIDNIGHT + n, n, f"c{n}", advertiser_id=name, campaign_id=name)
        for n, name in enumerate(NASTY)
    ]
    book = Book(rows, {})
    book.publish("=run", {row["click_id"]: "invalid" for row in rows}, NOW)
    found = statement(book.write(tmp_path))
    written = read_csv(found)
    assert not any(row[name][:1] in set("=+-@\t\r") for row in written for name in ID_COLUMNS)
    for name in ID_COLUMNS[:2]:
        assert sorted({row[name].removeprefix("'") for row in written}) == sorted(NASTY)
    assert {row["run_id"] for row in written} == {"", "'=run"}
    kept = [one["advertiser_id"] for one in statement_json(found)["advertisers"]]
    assert sorted(kept) == sorted(NASTY)
    assert "ü [b]" in text_of(found)


def test_json_has_the_figures_of_the_csv(tmp_path: Path) -> None:
    found = statement(sample_book().write(tmp_path))
    document: dict[str, Any] = json.loads(json.dumps(statement_json(found)))
    assert (document["from"], document["to"]) == ("2026-03-01T00:00:00Z", "2026-03-03T00:00:00Z")
    assert document["days"] == ["2026-03-01", "2026-03-02"]
    assert document["verdicts"] == {"first": 1, "last": 14}
    lines = []
    for one in document["advertisers"]:
        for campaign in one["campaigns"]:
            names = (one["advertiser_id"], campaign["campaign_id"])
            lines.append((*names, "before", "", campaign["before"]["micros"]))
            lines += [(*names, i["line"], i["run_id"], i["micros"]) for i in campaign["items"]]
            lines.append((*names, "after", "", campaign["after"]["micros"]))
    wanted = ("advertiser_id", "campaign_id", "line", "run_id")
    assert lines == [(*(r[n] for n in wanted), int(r["micros"])) for r in read_csv(found)]
    before = sum(one["total"]["before"]["micros"] for one in document["advertisers"])
    assert before == document["total"]["before"]["micros"]


def test_the_screen_shows_subtotals_and_the_grand_total(tmp_path: Path) -> None:
    lake = sample_book().write(tmp_path)
    found = statement(lake)
    shown = text_of(found)
    assert "2 days (UTC), 2026-03-01 to 2026-03-02; as production decided" in shown
    assert shown.count("advertiser adv") == 2
    assert "all 2 advertisers" in shown
    assert shown.endswith("reconciles: for every campaign, before + corrections = after\n")
    lines = shown.splitlines()
    after = [line.split()[-2] for line in lines if line.strip().startswith("after")]
    assert after[-1] == "2.00"  # 11 clicks at 0.25 were billed; three are credited
    assert "before and after run r1" in text_of(statement(lake, None, "r1"))
