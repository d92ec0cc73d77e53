"""Column maps: every way to fill a column, and every way to get a map wrong."""

from pathlib import Path

import pytest

from docs.type_commands import main
from replay.errors import BadMap
from replay.span import parse_time
from replay.tables import DECISION_VALUES
from tests.replay.importing.files import HEADER, MAPS, ROOT, bring, data, line, refused, rows, run

CLICK = """
[columns]
click_id = { row_number = true, prefix = "r-" }
device = { constant = "d" }
logged_in = { constant = true }
advertiser_id = { constant = "a" }
campaign_id = { constant = "c" }
"""
FREE = "price_micros = { constant = 0 }\n"


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        ('"t"', "2026-03-01 12:00:00", "2026-03-01T12:00"),
        ('"t"', "2026-03-01T12:00:00.5+01:00", "2026-03-01T11:00:00.5"),
        ('"t"', "2026-03-01 00:00:00 UTC", "2026-03-01"),
        ('"t"', "2026-03-01", "2026-03-01"),
        ('{ column = "t", zone = "Asia/Shanghai" }', "2026-03-01 12:00", "2026-03-01T04:00"),
        ('{ column = "t", zone = "Asia/Shanghai" }', "2026-03-01 12:00Z", "2026-03-01T12:00"),
        ('{ column = "t", format = "%d.%m.%Y %H:%M" }', "01.03.2026 12:30", "2026-03-01T12:30"),
        (
            '{ column = "t", format = "%d.%m.%Y %H:%M", zone = "Europe/Berlin" }',
            "01.07.2026 12:30",
            "2026-07-01T10:30",
        ),
        ('{ column = "t", format = "%Y-%m-%d %z" }', "2026-03-01 +0100", "2026-02-28T23:00"),
        (
            '{ column = "t", format = "epoch_seconds" }',
            "1772323200.000001",
            "2026-03-01T00:00:00.000001",
        ),
        ('{ column = "t", format = "epoch_millis" }', "1772323200001", "2026-03-01T00:00:00.001"),
        (
            '{ column = "t", format = "epoch_micros" }',
            "1772323200000001",
            "2026-03-01T00:00:00.000001",
        ),
    ],
)
def test_times(tmp_path: Path, value: str, text: str, expected: str) -> None:
    report = bring(
        tmp_path / "lake", "clicks", f"t\n{text}\nnever\n", CLICK + FREE + f"ts = {value}"
    )
    assert (report.added, report.quarantined) == (1, {"unparsable time": 1})
    (row,) = rows(tmp_path / "lake", "clicks", "epoch_us(ts) AS ts")
    assert row["ts"] == parse_time(expected, 0)


@pytest.mark.parametrize(
    ("units", "micros"),
    [
        ("35.79", 35_790_000),
        ("0.1", 100_000),
        ("1e-3", 1000),
        ("0.0000014", 1),
        ("7", 7_000_000),
        ("9223372036854.775807", 9_223_372_036_854_775_807),
    ],
)
def test_units_become_micros_without_a_float(tmp_path: Path, units: str, micros: int) -> None:
    mapped = CLICK + 'ts = { constant = "2026-03-01" }\nprice = "p"'
    bad = "-0.01\nnan\n9223372036854.775808\n1,5\n"
    report = bring(tmp_path / "lake", "clicks", f"p\n{units}\n{bad}", mapped)
    assert (report.added, sum(report.quarantined.values())) == (1, 4)
    assert rows(tmp_path / "lake", "clicks", "price_micros") == [{"price_micros": micros}]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"x"', ["1", "2", None]),
        ('{ column = "x", default = "none" }', ["1", "2", "none"]),
        ('{ columns = ["x", "y"] }', ["1-a", "2-b", None]),
        ('{ columns = ["y", "x"], separator = "", prefix = "u" }', ["ua1", "ub2", None]),
        ('{ column = "x", values = { 1 = "one", 2 = "two" } }', ["one", "two", None]),
        ('{ column = "x", values = { 1 = "one" }, default = "many" }', ["one", "many", "many"]),
        ("{ constant = 0.50 }", ["0.50"] * 3),
        ('{ constant = "it\'s" }', ["it's"] * 3),
        ("{ row_number = true }", ["1", "2", "3"]),
    ],
)
def test_values(tmp_path: Path, value: str, expected: list[str | None]) -> None:
    mapped = CLICK + FREE + 'ts = { constant = "2026-03-01" }\nuser_id = ' + value
    bring(tmp_path / "lake", "clicks", "x,y\n1,a\n2,b\n,c\n", mapped)
    found = rows(tmp_path / "lake", "clicks", "user_id", "seq")
    assert [row["user_id"] for row in found] == expected


def test_a_value_that_the_table_lacks_goes_to_quarantine(tmp_path: Path) -> None:
    mapped = CLICK + FREE + 'ts = { constant = "2026-03-01" }\n'
    mapped += 'user_id = { column = "x", values = { 1 = "one" } }'
    report = bring(tmp_path / "lake", "clicks", "x,y\n1,\n2,\n", mapped)
    assert (report.added, report.quarantined) == (1, {"value not in the map's table": 1})


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ('equals = "v"', 2),
        ("present = true", 3),
        ("present = false", 1),
        ('one_of = ["v", "w"]', 3),
    ],
)
def test_row_filters(tmp_path: Path, condition: str, kept: int) -> None:
    mapped = f'[[rows]]\ncolumn = "k"\n{condition}\n' + CLICK + FREE
    mapped += 'ts = { constant = "2026-03-01" }\n'
    report = bring(tmp_path / "lake", "clicks", "k,x\nv,1\nv,2\nw,3\n,4\n", mapped)
    assert (report.read, report.added, report.filtered) == (4, kept, 4 - kept)


def test_row_numbers_count_rows_that_do_not_land(tmp_path: Path) -> None:
    mapped = '[[rows]]\ncolumn = "k"\nequals = "v"\n' + CLICK + FREE + 'ts = "t"\n'
    content = "k,t\nv,2026-03-01\nw,2026-03-01\nv\nv,never\nv,2026-03-02\n"
    bring(tmp_path / "lake", "clicks", content, mapped)
    assert [row["click_id"] for row in rows(tmp_path / "lake", "clicks")] == ["r-1", "r-5"]


def test_equal_rows_are_duplicates_although_their_numbers_differ(tmp_path: Path) -> None:
    mapped = CLICK + FREE + 'ts = "t"\n'
    content = "k,t\n1,2026-03-01\n1,2026-03-01\n2,2026-03-01\n12,026-03-01\n"
    report = bring(tmp_path / "lake", "clicks", content, mapped)
    assert (report.added, report.duplicates, sum(report.quarantined.values())) == (2, 1, 1)


def test_another_delimiter(tmp_path: Path) -> None:
    content = (HEADER + line("a") + line("b")).replace(",", ";")
    assert bring(tmp_path / "lake", "clicks", content, 'delimiter = ";"').added == 2


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("columns.ts = 5", "columns.ts"),
        ("columns.ts = {}", "exactly one of column, columns, constant, row_number"),
        ('columns.ts = { column = "t", constant = 1 }', "exactly one of"),
        ('columns.ts = { colum = "t" }', "Did you mean column"),
        ('colums.ts = "t"', "Did you mean columns?"),
        ("[[rows]]\ncolumn = 't'", "exactly one of equals, one_of, present"),
        ('columns.ts = "tt"', "file.csv has no column 'tt'. Did you mean t?"),
        ('columns.tss = "t"', "clicks takes no column 'tss'. Did you mean ts?"),
        ('columns.seq = "t"', "clicks takes no column 'seq'"),
        ('order = "u"\ncolumns.ts = "t"', "no column 'u'"),
        ('[[rows]]\ncolumn = "u"\npresent = true', "no column 'u'"),
        ('columns.ts = "t"', "nothing gives clicks its click_id, device, logged_in, advertiser_id"),
        ('columns.ts = { column = "t", format = "dd.mm" }', "format is one of iso, epoch_seconds"),
        ('columns.ts = { column = "t", format = "%Q" }', "%Q"),
        ('columns.ts = { column = "t", zone = "Mars/Base" }', "Mars/Base"),
        ('columns.ts = { column = "t", format = "epoch_millis", zone = "UTC" }', "has no zone"),
        ('columns.device = { column = "t", format = "%Y" }', "device is no time"),
        ('columns.price = "t"\ncolumns.price_micros = "t"', "price_micros is given twice"),
        ('table = "purchases"', "this map is for purchases, not for clicks"),
        ('currency = "usd"', "currency"),
        ("columns.ts =", "not TOML"),
    ],
)
def test_a_map_that_does_not_hold_is_one_line(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(BadMap) as raised:
        bring(tmp_path / "lake", "clicks", "t,x\n1,2\n", toml)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_absent_map_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text(HEADER)
    said = refused("clicks", file, "--map", tmp_path / "no.toml", "--home", tmp_path)
    assert said.startswith(f"{tmp_path / 'no.toml'}: cannot be read")


def test_units_need_no_map(tmp_path: Path) -> None:
    content = "purchase_id,ts,amount\np,2026-03-01,2.5\n"
    bring(tmp_path / "lake", "purchases", content)
    assert rows(tmp_path / "lake", "purchases", "amount_micros") == [{"amount_micros": 2_500_000}]


def test_the_maps_in_the_docs_read_talkingdata(tmp_path: Path) -> None:
    file, home = data("talkingdata/train_sample.csv"), tmp_path / "lake"
    common = ["--home", home, "--currency", "USD", "--map"]
    code, (clicks,) = run("clicks", file, *common, MAPS / "talkingdata-clicks.toml")
    assert code == 0
    assert (clicks["read"], clicks["added"], clicks["duplicates"]) == (100_000, 99_999, 1)
    code, (bought,) = run(
        "purchases", file, *common, MAPS / "talkingdata-purchases.toml", "--strict"
    )
    assert (code, bought["added"], bought["filtered"]) == (0, 227, 99_773)
    query = "count(*) AS n, count(DISTINCT click_id) AS ids, min(seq - epoch_us(ts)) AS least"
    assert rows(home, "clicks", query) == [{"n": 99_999, "ids": 99_999, "least": 0}]


def test_the_maps_in_the_docs_read_rees46(tmp_path: Path) -> None:
    file, home = data("rees46/2019-Oct.head.csv"), tmp_path / "lake"
    common = ["--home", home, "--currency", "USD", "--map"]
    code, (clicks,) = run("clicks", file, *common, MAPS / "rees46-clicks.toml", "--strict")
    assert (code, clicks["read"], clicks["quarantined"]) == (
        1,
        17_435,
        {"wrong number of fields": 1},
    )
    code, (bought,) = run("purchases", file, *common, MAPS / "rees46-purchases.toml")
    assert (code, bought["added"]) == (0, 214)
    (cut, _) = rows(home, "quarantine", "line, row")
    assert cut["line"] == 17_436
    assert cut["row"].endswith("elenberg,25.71,52040330")


def test_canonical_maps_do_not_depend_on_how_they_are_written(tmp_path: Path) -> None:
    home, content = tmp_path / "lake", "t,k\n2026-03-01,1\n"
    assert bring(home, "clicks", content, CLICK + FREE + 'ts = "t"').added == 1
    again = bring(home, "clicks", content, CLICK + FREE + 'ts = { column = "t" } # the same')
    assert (again.added, again.already) == (0, True)


def test_decision_values_are_the_tables(tmp_path: Path) -> None:
    home = tmp_path / "lake"
    bring(home, "clicks", HEADER + line("0") + line("1") + line("2"))
    content = "click_id,decision,reason\n" + "".join(
        f"{i},{value},model\n" for i, value in enumerate(DECISION_VALUES)
    )
    assert bring(home, "decisions", content).added == len(DECISION_VALUES)
    found = {row["decision"] for row in rows(home, "decisions", "decision")}
    assert found == set(DECISION_VALUES)


def test_the_page_on_importing_works_as_printed() -> None:
    if not (ROOT / ".venv" / "bin" / "replay").exists():
        pytest.skip("the page types .venv/bin/replay, which `make` sets up")
    assert main(ROOT / "docs" / "import.md") == 0
    lake = ROOT / "build" / "import" / "lake"
    found = rows(lake, "clicks", "click_id, advertiser_id, price_micros")
    assert found == [
        {"click_id": "shop-1", "advertiser_id": "acme", "price_micros": 250_000},
        {"click_id": "shop-2", "advertiser_id": "unknown", "price_micros": 250_000},
    ]
    assert [row["line"] for row in rows(lake, "quarantine", "line")] == [5, 6]
