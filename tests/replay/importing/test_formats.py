"""Kinds of files, compressed or not, and files that are not what they seem."""

import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replay.errors import BadInput, BadMap
from tests.replay.importing.files import HEADER, bring, line, refused, rows, run

CSV = (HEADER + line("a") + line("b", user_id="")).encode()


def ndjson(text: str = "") -> bytes:
    names = HEADER.strip().split(",")
    lines = [dict(zip(names, row.split(","), strict=True)) for row in CSV.decode().splitlines()[1:]]
    objects = [
        {**row, "price_micros": int(row["price_micros"]), "logged_in": True} for row in lines
    ]
    return "".join(json.dumps(o) + "\n" for o in objects).encode() + text.encode()


def parquet() -> bytes:
    columns = {
        "click_id": ["a", "b"],
        "ts": pa.array([datetime(2026, 3, 1, 12, tzinfo=UTC)] * 2, pa.timestamp("ns", "UTC")),
        "user_id": pa.array(["u", None]).dictionary_encode(),
        "device": ["desktop"] * 2,
        "logged_in": [True] * 2,
        "advertiser_id": ["a"] * 2,
        "campaign_id": ["c"] * 2,
        "price_micros": [5.0, 5.0],
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def zstd(content: bytes) -> bytes:
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("f.csv", CSV),
        ("f.csv", b"\xef\xbb\xbf" + CSV),
        ("f.csv", CSV.replace(b"\n", b"\r\n")),
        ("f.csv.gz", gzip.compress(CSV)),
        ("f.csv.gz", gzip.compress(CSV[:100]) + gzip.compress(CSV[100:])),
        ("f.csv.zst", zstd(CSV)),
        ("f.ndjson", ndjson()),
        ("f.jsonl.gz", gzip.compress(ndjson())),
        ("f.parquet", parquet()),
        ("no suffix", gzip.compress(CSV)),
        ("f.log", ndjson()),
        ("f.2026-03-01", parquet()),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str, content: bytes) -> None:
    home = tmp_path / "lake"
    report = bring(home, "clicks", content, name=name)
    assert (report.read, report.added) == (2, 2)
    columns = "click_id, epoch_us(ts) AS ts, seq, user_id, logged_in, price_micros"
    assert [tuple(row.values()) for row in rows(home, "clicks", columns, "seq")] == [
        ("a", 1_772_366_400_000_000, 1_772_366_400_000_000, "u", True, 5),
        ("b", 1_772_366_400_000_000, 1_772_366_400_000_001, None, True, 5),
    ]


def test_broken_json_lines_go_to_quarantine(tmp_path: Path) -> None:
    home = tmp_path / "lake"
    broken = '\n[1]\n{"click_id": "x"\n{}\n7\n{"click_id": "c"}'
    report = bring(home, "clicks", ndjson(broken) + b'\n{"a": "\xff"}\n', name="f.ndjson")
    assert (report.read, report.added) == (8, 2)
    assert report.quarantined == {"broken JSON": 3, "missing value": 2, "not UTF-8": 1}
    assert [row["line"] for row in rows(home, "quarantine", "line", "line")] == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("f.csv", b"", "the file is empty"),
        ("f.csv", b"\n \n", "the file is empty"),
        ("f.csv.gz", b"", "the file is empty"),
        ("f.csv.gz", gzip.compress(b"", mtime=0), "the file is empty"),
        ("f.parquet", b"", "the file is empty"),
        ("f.parquet", CSV, "not what its name says: the name says Parquet, the content is CSV"),
        ("f.csv", parquet(), "the name says CSV, the content is Parquet"),
        ("f.csv", ndjson(), "the name says CSV, the content is NDJSON"),
        ("f.ndjson", CSV, "the name says NDJSON, the content is CSV"),
        ("f.csv", gzip.compress(CSV), "the name says CSV, the content is CSV in gzip"),
        ("f.csv.gz", CSV, "the name says gzip, the content is CSV"),
        ("f.csv.gz", zstd(CSV), "the name says gzip, the content is CSV in zstd"),
        ("f.csv", b"PK\x03\x04rest", "holds zip"),
        ("f.parquet.gz", gzip.compress(parquet()), "neither CSV, NDJSON nor plain Parquet"),
        ("f.csv", b"a,b\n\0\n", "neither CSV, NDJSON nor plain Parquet"),
        ("f.json", b'[{"a": 1}]', "one JSON array; give one JSON object a line"),
        ("f.csv", b"ts,ts\n1,2\n", "column 'ts' stands in it twice"),
        ("f.csv", b"t\xffs\n1\n", "the header line is not UTF-8"),
        ("f.csv.gz", gzip.compress(CSV)[:-9], "damaged or cut off"),
        ("f.csv.zst", zstd(CSV)[:-9], "damaged or cut off"),
        ("f.parquet", parquet()[:-9], "damaged or cut off"),
        ("f.parquet", parquet()[:100] + bytes(100) + parquet()[200:], "damaged or cut off"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_and_leaves_no_lake(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path, home = tmp_path / name, tmp_path / "lake"
    path.write_bytes(content)
    message = refused("clicks", path, "--home", home, "--currency", "USD")
    assert message.startswith(str(path))
    assert said in message
    assert not home.exists()


def test_unreadable_places_are_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        said = refused("clicks", path, "--home", tmp_path / "lake", "--currency", "USD")
        assert said.startswith(f"{path}: cannot be read")


def test_several_bad_files_are_named_together_and_none_lands(tmp_path: Path) -> None:
    good, bad, worse = (tmp_path / name for name in ("a.csv", "b.csv", "c.csv"))
    good.write_bytes(CSV)
    bad.write_bytes(b"")
    said = refused("clicks", good, bad, worse, "--home", tmp_path / "lake", "--currency", "USD")
    assert str(bad) in said
    assert str(worse) in said
    assert not (tmp_path / "lake").exists()


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        BadMap, match=r"nothing gives clicks its price_micros; file.csv has the col"
    ):
        bring(tmp_path / "lake", "clicks", HEADER.replace("price_micros", "cost") + line())


@pytest.mark.parametrize("write", [parquet, ndjson])
def test_quarantine_keeps_a_row_as_json_where_the_file_has_no_lines_of_text(
    tmp_path: Path, write: Callable[[], bytes]
) -> None:
    mapped = "[columns]\n" + "\n".join(
        f'{name} = "{name}"' for name in HEADER.strip().split(",") if name != "device"
    )
    mapped += '\ndevice = { column = "device", values = { mobile = "m" } }'
    bring(tmp_path / "lake", "clicks", write(), mapped, name="f.any")
    found = rows(tmp_path / "lake", "quarantine", "line, row", "line")
    assert [row["line"] for row in found] == [1, 2]
    assert json.loads(found[0]["row"])["click_id"] == "a"


def test_currency(tmp_path: Path) -> None:
    file, home, euro = tmp_path / "f.csv", tmp_path / "lake", tmp_path / "euro.toml"
    file.write_bytes(CSV)
    euro.write_text('currency = "EUR"')
    assert "no folder" in refused("clicks", file, "--home", home)
    assert "three capital letters" in refused("clicks", file, "--home", home, "--currency", "usd")
    assert "EUR" in refused("clicks", file, "--home", home, "--currency", "USD", "--map", euro)
    assert not home.exists()
    assert run("clicks", file, "--home", home, "--currency", "USD")[0] == 0
    assert "in EUR" in refused("clicks", file, "--home", home, "--currency", "EUR")
    assert "in EUR" in refused("clicks", file, "--home", home, "--map", euro)
    assert run("clicks", file, "--home", home)[1][0]["already_imported"]


def test_a_folder_with_other_things_becomes_no_lake(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(CSV)
    said = refused("clicks", tmp_path / "f.csv", "--home", tmp_path, "--currency", "USD")
    assert "no lake and not empty" in said


def test_from_run_stands_alone(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(CSV)
    assert "no file given" in refused("clicks", "--home", tmp_path)
    for arguments in (["clicks"], ["decisions", tmp_path / "f.csv"]):
        said = refused(*arguments, "--from-run", "r1", "--home", tmp_path)
        assert said.startswith("--from-run goes with")


def test_a_line_without_end_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replay.importing.records.LONGEST_LINE", 1000)
    with pytest.raises(BadInput, match=r"file.csv: a line of more than"):
        bring(tmp_path / "lake", "clicks", HEADER.encode() + b"x" * 2000)
