"""`replay sql` and `--where`: they read the snapshot, and nothing else, and write nothing."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from replay.commands.sql import SHOWN_ROWS, sql
from replay.errors import BadInput, BadQuery, BadTime
from replay.lake import Lake
from replay.query import check_where, reader, run_query
from replay.snapshot import Snapshot, connect
from tests.lakes import add_rows, click, make_lake

DAY = 1_772_323_200_000_000


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    profiles = [{"key": "10.0.0.1", "valid_from": DAY, "is_datacenter": True}]
    return make_lake(
        tmp_path / "lake",
        [click(DAY, 0, "a"), click(DAY + 1, 1, "b", user_id=None, query='x,"y"')],
        profiles_ip=profiles,
    )


def output(lake: Lake, query: str, *options: str) -> str:
    result = CliRunner().invoke(sql, [query, "--home", str(lake.home), *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_json_has_times_as_iso_and_money_as_integers(lake: Lake) -> None:
    query = (
        "SELECT click_id, ts, sum(price_micros) OVER () AS cost, user_id FROM clicks ORDER BY ts"
    )
    assert json.loads(output(lake, query, "--json")) == [
        {"click_id": "a", "ts": "2026-03-01T00:00:00Z", "cost": 500_000, "user_id": "u1"},
        {"click_id": "b", "ts": "2026-03-01T00:00:00.000001Z", "cost": 500_000, "user_id": None},
    ]


def test_json_of_every_type(lake: Lake) -> None:
    query = """SELECT 'nan'::DOUBLE AS a, 1.5::DECIMAL(4, 2) AS b, [1, NULL] AS c, {'k': true} AS d,
               DATE '2026-03-01' AS e, '\\xFF'::BLOB AS f, 1 AS a, INTERVAL 1 DAY IS NULL AS g"""
    assert json.loads(output(lake, query, "--json")) == [
        {
            "a": None,
            "b": 1.5,
            "c": [1, None],
            "d": {"k": True},
            "e": "2026-03-01",
            "f": "ff",
            "a_1": 1,
            "g": False,
        }
    ]


def test_csv(lake: Lake) -> None:
    text = output(lake, "SELECT click_id, query, logged_in FROM clicks ORDER BY 1", "--csv")
    assert text == 'click_id,query,logged_in\na,,true\nb,"x,""y""",true\n'


def test_no_rows_still_have_columns(lake: Lake) -> None:
    assert output(lake, "SELECT seq, ts FROM decisions", "--csv") == "seq,ts\n"
    assert json.loads(output(lake, "FROM purchases", "--json")) == []


def test_the_screen_shows_so_many_rows_and_says_how_many_more(lake: Lake) -> None:
    query = f"SELECT 'row' || i AS r FROM range({SHOWN_ROWS + 234}) t(i)"
    result = CliRunner().invoke(sql, [query, "--home", str(lake.home)])
    assert result.stdout.count("row") == SHOWN_ROWS
    assert result.stderr == "… 234 more; --csv prints them all\n"


def test_as_of_reads_what_was_known_then(lake: Lake) -> None:
    delta = lake.delta("clicks")
    assert delta is not None
    known = delta.history()[0]["timestamp"] * 1000
    add_rows(lake, "clicks", [click(DAY + 2)])
    query = "SELECT count(*) FROM clicks"
    assert "3" in output(lake, query, "--csv")
    moment = Snapshot.take(lake, known)
    with reader(moment) as connection:
        batches = list(run_query(connection, query))
    assert batches[-1].to_pylist() == [{"count_star()": 2}]
    with pytest.raises(BadTime):
        output(lake, query, "--as-of", "2020-01-01")


def test_every_table_is_there_and_so_are_past_runs(lake: Lake) -> None:
    manifest = {"run_id": "r1", "model_version": "v1", "start": "2026-03-01", "status": "finished"}
    folder = lake.home / "runs" / "r1"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (lake.home / "runs" / "r2").mkdir()
    (lake.home / "runs" / "r2" / "manifest.json").write_text("{cut")
    names = {row["name"] for row in json.loads(output(lake, "SHOW TABLES", "--json"))}
    assert {"clicks", "decisions", "verdicts", "quarantine", "truth", "runs"} <= names
    found = json.loads(output(lake, "FROM runs ORDER BY run_id", "--json"))
    assert [(r["run_id"], r["model_version"], r["from"], r["status"]) for r in found] == [
        ("r1", "v1", "2026-03-01", "finished"),
        ("r2", None, None, "damaged"),
    ]
    assert json.loads(found[0]["manifest"]) == manifest


@pytest.mark.parametrize(
    "query",
    [
        "",
        "/* nothing */",
        "SELECT 1; SELECT 2",
        "SELEC 1",
        "SELECT nosuch FROM clicks",
        "FROM nosuch",
        "DROP VIEW clicks",
        "CREATE TABLE x AS SELECT 1",
        "INSERT INTO clicks SELECT * FROM clicks",
        "UPDATE clicks SET price_micros = 0",
        "DELETE FROM clicks",
        "SET enable_external_access = true",
        "PRAGMA version",
        "CALL pragma_version()",
        "INSTALL httpfs",
        "LOAD httpfs",
        "ATTACH '{folder}/x.db'",
        "COPY clicks TO '{folder}/out.csv'",
        "EXPORT DATABASE '{folder}/out'",
        "WITH c AS (COPY (SELECT 1) TO '{folder}/out.csv') SELECT 1",
        "WITH c AS (COPY (SELECT 1) TO '{file}') SELECT 1",
        "WITH c AS (DELETE FROM clicks RETURNING *) SELECT * FROM c",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{folder}/out.csv''')",
        "FROM read_csv('/etc/passwd')",
        "FROM read_text('/etc/passwd')",
        "FROM '/etc/passwd'",
        "FROM glob('/*')",
        "FROM read_parquet('{file}')",
        "FROM sniff_csv('/etc/passwd')",
        "FROM enable_logging(storage = 'file', storage_config = {{'path': '{folder}'}})",
        "SELECT 'infinity'::TIMESTAMPTZ",
        "SELECT 1 / 0 + 'x'::INTEGER",
    ],
)
def test_what_is_not_one_select_on_the_lake_is_one_line(
    lake: Lake, tmp_path: Path, query: str
) -> None:
    before = {path: path.read_bytes() for path in lake.home.rglob("*") if path.is_file()}
    file = Snapshot.take(lake).pinned["clicks"].files[0].path
    with pytest.raises(BadQuery) as raised:
        output(lake, query.format(folder=tmp_path, file=file))
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2
    assert {path: path.read_bytes() for path in lake.home.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["lake"]


def test_csv_and_json_exclude_each_other(lake: Lake) -> None:
    with pytest.raises(BadInput):
        output(lake, "SELECT 1", "--csv", "--json")


def where(lake: Lake, expression: str) -> list[str]:
    """Return the ids that a `--where` chooses."""
    source = Snapshot.take(lake).source("clicks")
    with connect() as connection:
        text = check_where(connection, expression, source)
        found = connection.sql(
            f"SELECT click_id FROM {source} WHERE ({text}) ORDER BY ts"
        ).fetchall()
    return [name for (name,) in found]


@pytest.mark.parametrize(
    ("expression", "chosen"),
    [
        ("ip = '10.0.0.1'", ["a", "b"]),
        ("user_id IS NULL -- and nothing else", ["b"]),
        ("click_id IN ('a') /* ) */", ["a"]),
        ("ts > '2026-03-01' AND price_micros / 1e6 < 1", ["b"]),
        ("list_contains(['b'], click_id) OR regexp_matches(query, '^z')", ["b"]),
        ("false", []),
    ],
)
def test_where_chooses_clicks(lake: Lake, expression: str, chosen: list[str]) -> None:
    assert where(lake, expression) == chosen


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("1", "is INTEGER, not true or false"),
        ("ip", "is VARCHAR"),
        ("NULL", "not true or false"),
        ("true; drop table x", ""),
        ("true; SELECT 1", ""),
        ("1) or (1", ""),
        ("true, true", ""),
        ("nosuch = 1", "nosuch"),
        ("ip = 1.2.3.4", ""),
        ("(SELECT count(*) FROM read_csv('/etc/passwd')) > 0", "holds a subquery"),
        ("ip IN (SELECT 'x')", "holds a subquery"),
        ("EXISTS (FROM read_text('/etc/passwd'))", "holds a subquery"),
        ("count(*) > 1", "aggregates"),
        ("row_number() OVER () = 1", "holds a window function"),
        ("COLUMNS(*) = 'a'", "holds a *"),
        ("device = $1", "holds a parameter"),
        ("random() < 0.5", "random differs from run to run"),
        ("ts > now()", "now differs from run to run"),
    ],
)
def test_where_that_is_no_condition_is_one_line(lake: Lake, expression: str, said: str) -> None:
    with pytest.raises(BadQuery) as raised:
        where(lake, expression)
    assert said in str(raised.value)
    assert str(raised.value).startswith("--where")
    assert "\n" not in str(raised.value)
