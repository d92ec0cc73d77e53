"""Which rows land, which go to quarantine and why, which are dropped."""

from pathlib import Path

import pytest

from replay.span import parse_time
from tests.replay.importing.files import HEADER, NOW, bring, line, rows

NOON = parse_time("2026-03-01T12:00", 0)


@pytest.mark.parametrize(
    ("bad", "column", "reason"),
    [
        (line(ts="yesterday"), "ts", "unparsable time"),
        (line(ts="infinity"), "ts", "unparsable time"),
        (line(ts="1969-12-31"), "ts", "unparsable time"),
        (line(ts=""), "ts", "missing value"),
        (line(click_id=""), "click_id", "missing value"),
        (line(device=""), "device", "missing value"),
        (line(price_micros=-1), "price_micros", "negative price"),
        (line(price_micros="1.5"), "price_micros", "not a whole number of micros"),
        (line(price_micros="1e30"), "price_micros", "not a whole number of micros"),
        (line(price_micros="9223372036854775808"), "price_micros", "not a whole number of micros"),
        (line(logged_in="maybe"), "logged_in", "not true or false"),
        ("c9,2026-03-01\n", None, "wrong number of fields"),
        (line(click_id="c9\\xff"), None, "not UTF-8"),
    ],
)
def test_a_bad_row_goes_to_quarantine_and_the_rest_lands(
    tmp_path: Path, bad: str, column: str | None, reason: str
) -> None:
    content = (HEADER + line("c1") + bad + line("c2")).encode().replace(b"\\xff", b"\xff")
    report = bring(tmp_path / "lake", "clicks", content)
    assert (report.read, report.added, report.quarantined) == (3, 2, {reason: 1})
    assert [row["click_id"] for row in rows(tmp_path / "lake", "clicks")] == ["c1", "c2"]
    (row,) = rows(tmp_path / "lake", "quarantine", '* EXCLUDE ("at")')
    assert row == {
        "table": "clicks",
        "file": "file.csv",
        "line": 3,
        "column": column,
        "reason": reason,
        "row": bad.rstrip("\n"),
    }


def test_an_empty_field_is_null(tmp_path: Path) -> None:
    bring(tmp_path / "lake", "clicks", HEADER + line(user_id=""))
    assert rows(tmp_path / "lake", "clicks", "user_id, ip") == [{"user_id": None, "ip": None}]


def test_the_first_row_of_an_id_wins_within_a_file_and_across_files(tmp_path: Path) -> None:
    home = tmp_path / "lake"
    first = bring(home, "clicks", HEADER + line("a", user_id="u1") + line("a", user_id="u2"))
    assert (first.added, first.duplicates) == (1, 1)
    again = bring(home, "clicks", HEADER + line("b") + line("a", user_id="u3"))
    assert (again.added, again.duplicates) == (1, 1)
    assert rows(home, "clicks", "click_id, user_id") == [
        {"click_id": "a", "user_id": "u1"},
        {"click_id": "b", "user_id": "u"},
    ]


def test_a_bad_first_row_does_not_shadow_a_good_second_one(tmp_path: Path) -> None:
    report = bring(tmp_path / "lake", "clicks", HEADER + line("a", price_micros=-1) + line("a"))
    assert (report.added, report.duplicates, sum(report.quarantined.values())) == (1, 0, 1)


def test_places_in_log_order_are_by_time_then_row(tmp_path: Path) -> None:
    later = "2026-03-01T12:00:00.000001Z"
    content = HEADER + line("b") + line("late", later) + line("a") + line("0", "2026-02-28")
    bring(tmp_path / "lake", "clicks", content)
    found = rows(tmp_path / "lake", "clicks", "click_id, seq, source", "ts, seq, click_id")
    assert [row["click_id"] for row in found] == ["0", "b", "a", "late"]
    # `a` shares its time with `b`, so it takes the next number, and `late` the one after that.
    assert [row["seq"] - NOON for row in found[1:]] == [0, 1, 2]
    assert {row["source"] for row in found} == {"import"}


def test_an_order_column_decides_between_equal_times(tmp_path: Path) -> None:
    content = "n," + HEADER + "10," + line("b") + "9," + line("a") + "x," + line("c")
    names = HEADER.strip().split(",")
    mapped = 'order = "n"\n[columns]\n' + "\n".join(f'{name} = "{name}"' for name in names)
    report = bring(tmp_path / "lake", "clicks", content, mapped)
    assert report.quarantined == {"order is not a whole number": 1}
    found = rows(tmp_path / "lake", "clicks", "click_id", "ts, seq")
    assert [row["click_id"] for row in found] == ["a", "b"]


def test_decisions_take_their_place_from_their_click(tmp_path: Path) -> None:
    home = tmp_path / "lake"
    bring(home, "clicks", HEADER + line("a") + line("b"))
    content = (
        "click_id,decision,reason,probability,facts\n"
        'b,valid,model,0.25,"[1, 2]"\n'
        "nosuch,valid,model,0.5,\n"
        "a,maybe,model,0.5,\n"
        "a,invalid,model,1.5,\n"
        "a,invalid,model,nan,\n"
        'a,invalid,model,0.5,"[1, x]"\n'
        "b,invalid,model,0.5,\n"
    )
    report = bring(home, "decisions", content)
    assert report.quarantined == {
        "no such click in the log": 1,
        "no decision: valid, invalid or undecided": 1,
        "probability outside 0 to 1": 2,
        "not a list of numbers": 1,
    }
    assert (report.added, report.duplicates) == (1, 1)
    (decision,) = rows(home, "decisions", "* EXCLUDE (ts), epoch_us(ts) AS ts")
    click = rows(home, "clicks", "seq, epoch_us(ts) AS ts", "click_id")[1]
    assert {name: decision[name] for name in click} == click
    assert (decision["probability"], decision["facts"]) == (0.25, [1, 2])
    (at,) = rows(home, "decisions", "epoch_us(decided_at) AS at")
    assert at["at"] == NOON


def test_a_decision_lands_once_its_click_is_there(tmp_path: Path) -> None:
    home, content = tmp_path / "lake", "click_id,decision,reason\nb,valid,model\n"
    assert bring(home, "decisions", content).added == 0
    bring(home, "clicks", HEADER + line("b"))
    assert bring(home, "decisions", content).added == 1
    again = bring(home, "decisions", content)
    assert (again.added, again.duplicates, again.already) == (0, 1, True)
    assert len(rows(home, "quarantine")) == 1


VERDICTS = "verdict_id,run_id,click_id,issued_at,previous,decision,adjustment_micros,\
advertiser_id,campaign_id,reason\n"


def test_the_ledger_goes_on_in_log_order_without_a_gap(tmp_path: Path) -> None:
    home = tmp_path / "lake"
    bring(home, "clicks", HEADER + line("a") + line("b") + line("c"))

    def verdict(name: str, click_id: str) -> str:
        return f"{name},r,{click_id},2026-03-02,valid,invalid,-5,a,c,model\n"

    assert bring(home, "verdicts", VERDICTS + verdict("v1", "b") + verdict("v2", "a")).added == 2
    more = VERDICTS + verdict("v1", "b") + verdict("v3", "nosuch") + verdict("v4", "c")
    report = bring(home, "verdicts", more)
    assert (report.added, report.duplicates) == (1, 1)
    assert rows(home, "verdicts", "verdict_id, ledger_seq", "ledger_seq") == [
        {"verdict_id": "v2", "ledger_seq": 1},
        {"verdict_id": "v1", "ledger_seq": 2},
        {"verdict_id": "v4", "ledger_seq": 3},
    ]


def test_profiles_land_in_time_or_not_at_all(tmp_path: Path) -> None:
    home, late = tmp_path / "lake", NOW + 299_999_999
    stamped = 'columns.key = "key"\ncolumns.age = "age"\n'
    stamped += 'columns.valid_from = { column = "valid_from", format = "epoch_micros" }\n'
    content = f"key,valid_from,age\nu,{late},1\nu,{late + 1},2\n"
    report = bring(home, "profiles_user", content, stamped)
    assert (report.added, sum(report.quarantined.values())) == (1, 1)
    assert bring(home, "profiles_user", content, stamped, backfill=True).added == 1
    assert [row["age"] for row in rows(home, "profiles_user", "age")] == [1.0, 2.0]


def test_profiles_bring_columns_of_their_own(tmp_path: Path) -> None:
    home = tmp_path / "lake"
    first = "key,valid_from,age,is_dc\nu,2026-01-01,1.5,true\nv,2026-01-01,,\nw,2026-01-01,nan,no\n"
    first += "x,2026-01-01,1e39,no\n"  # more than a feature, a float32, can be
    report = bring(home, "profiles_ip", first, backfill=True)
    assert report.quarantined == {"not a finite number": 2}
    second = "key,valid_from,is_dc,score\nu,2026-01-02,false,7\nx,2026-01-02,3,8\n"
    report = bring(home, "profiles_ip", second, backfill=True)
    assert report.quarantined == {"not of its column's type": 1}
    assert rows(home, "profiles_ip", "key, age, is_dc, score") == [
        {"key": "u", "age": 1.5, "is_dc": True, "score": None},
        {"key": "u", "age": None, "is_dc": False, "score": 7.0},
        {"key": "v", "age": None, "is_dc": None, "score": None},
    ]


def test_only_headers_is_no_rows(tmp_path: Path) -> None:
    report = bring(tmp_path / "lake", "clicks", HEADER)
    assert (report.read, report.added) == (0, 0)
