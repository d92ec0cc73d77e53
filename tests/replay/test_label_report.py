"""The label report, against counts by hand, and as a command."""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from replay.cli import main
from replay.label_report import Count, LabelReport, read_labels
from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import Span, parse_time, to_datetime
from replay.training import training_set
from scorer.spec import parse_spec
from tests.lakes import click, make_lake
from tests.oracles import rfm

Row = dict[str, Any]
HOUR = 3_600_000_000
WEEK = Span(parse_time("2026-02-27", 0), parse_time("2026-03-06", 0))
LINE = ("labels", "--from", "2026-02-27", "--to", "2026-03-06")
THRESHOLD = 12
SPEC = parse_spec({"counts": [{"entity": "user_id", "windows": ["1m@1s"]}]}, "test")


def log(seed: int) -> tuple[list[Row], list[Row]]:
    """Clicks and purchases of two weeks around the week; every purchase names its click."""
    drawn = random.Random(seed)
    clicks = [
        click(
            WEEK.start + drawn.randrange(-84, 252) * HOUR + drawn.choice([0, 1, HOUR - 1]),
            n,
            f"c{n}",
            user_id=drawn.choice([*"abcdefgh", None]),
            device=drawn.choice(["pc", "tv"]),
            logged_in=drawn.random() < 0.5,
            source=drawn.choice(["live", "live", "unstamped"]),
        )
        for n in range(400)
    ]
    purchases = [
        {
            "purchase_id": f"p{n}",
            "ts": row["ts"] + drawn.choice([0, 30 * HOUR]),
            "user_id": row["user_id"],
            "click_id": row["click_id"],
            "amount_micros": drawn.randrange(5),
        }
        for n, row in enumerate(drawn.sample(clicks, 60))
    ]
    return clicks, purchases


CLICKS, PURCHASES = log(7)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = make_lake(tmp_path_factory.mktemp("labels"), CLICKS, purchases=PURCHASES)
    return Lake.open(made.home)


@pytest.fixture(scope="module")
def report(lake: Lake) -> LabelReport:
    return read_labels(Snapshot.take(lake), WEEK, WEEK.end)


def by_hand(key: Callable[[Row], object], known_by: int = WEEK.end) -> dict[object, Count]:
    """Count the week's clicks by a key, one by one."""
    named = {p["click_id"] for p in PURCHASES if p["ts"] < known_by}
    high = rfm.of_high_value(PURCHASES, known_by, THRESHOLD)
    tallies: Counter[tuple[object, str]] = Counter()
    for row in CLICKS:
        if WEEK.start <= row["ts"] < WEEK.end:
            bought = row["click_id"] in named
            valued = row["logged_in"] and row["user_id"] in high
            flags = {"clicks": True, "human": bought or valued}
            flags |= {"purchasing": bought, "high_rfm": valued}
            tallies.update((key(row), name) for name, flag in flags.items() if flag)
    return {
        k: Count(*(tallies[k, name] for name in ("clicks", "human", "purchasing", "high_rfm")))
        for k, _ in tallies
    }


def hour_of_week(row: Row) -> int:
    moment = to_datetime(row["ts"])
    return moment.weekday() * 24 + moment.hour


def slice_of(row: Row) -> str:
    return f"device={row['device']},logged_in={str(row['logged_in']).lower()}"


def test_counts_are_those_by_hand(report: LabelReport) -> None:
    assert report.total == by_hand(lambda _row: None)[None]
    assert report.slices == by_hand(slice_of)
    assert report.hours == by_hand(hour_of_week)
    assert report.log_sources == by_hand(lambda row: row["source"])
    for keys in (report.slices, report.hours, report.log_sources):
        assert list(keys) == sorted(keys)


def test_accounts(report: LabelReport) -> None:
    high = rfm.of_high_value(PURCHASES, WEEK.end, THRESHOLD)
    assert (report.threshold, report.high_rfm) == (THRESHOLD, len(high))
    assert 0 < report.high_rfm < report.scored == 8


def test_the_sources_of_labels_add_up_to_the_clicks(report: LabelReport) -> None:
    sources = report.total.by_source
    assert min(sources.values()) > 0
    assert sum(sources.values()) == report.total.clicks
    assert sources["purchase"] + sources["purchase and RFM"] == report.total.purchasing


def test_what_is_known_later_is_counted_when_asked_for(lake: Lake, report: LabelReport) -> None:
    later = read_labels(Snapshot.take(lake), WEEK, WEEK.end + 90 * HOUR)
    assert later.total == by_hand(lambda _row: None, WEEK.end + 90 * HOUR)[None]
    assert later.total.purchasing > report.total.purchasing


def test_training_sees_the_labels_of_the_report(lake: Lake, report: LabelReport) -> None:
    data = training_set(Snapshot.take(lake), SPEC, WEEK, silent)
    counts = (len(data.human), data.human.sum(), data.purchasing.sum())
    assert counts == (report.total.clicks, report.total.human, report.total.purchasing)


def silent(units: int) -> None:
    """Hear of progress and say nothing."""


def run(lake: Lake, capsys: pytest.CaptureFixture[str], *line: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([*line, "--home", str(lake.home)])
    assert isinstance(stop.value.code, int)
    return (stop.value.code, *capsys.readouterr())


def test_the_document(lake: Lake, report: LabelReport, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(lake, capsys, *LINE, "--json")
    document = json.loads(out)
    assert (code, document) == (0, report.to_json())
    times = [document[name] for name in ("start", "end", "known_by")]
    assert times == ["2026-02-27T00:00:00Z", "2026-03-06T00:00:00Z", "2026-03-06T00:00:00Z"]
    assert sum(row["human"] for row in document["hours"]) == report.total.human
    first = document["hours"][0]
    assert report.hours[first["weekday"] * 24 + first["hour"]].clicks == first["clicks"]
    assert [row["slice"] for row in document["slices"]] == list(report.slices)


def rows(text: str) -> Sequence[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_the_tables(lake: Lake, report: LabelReport, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(lake, capsys, *LINE, "--known-by", "2026-03-06")
    assert (code, err) == (0, "")
    printed = rows(out)
    for name, count in report.slices.items():
        figures = [str(n) for n in (count.clicks, count.human, count.purchasing, count.high_rfm)]
        assert [name, *figures] in [row[:5] for row in printed]
    monday = [report.hours.get(hour, Count()) for hour in range(24)]
    drawn = next(row for row in printed if row[:1] == ["Mon"])
    assert drawn[1:3] == [str(sum(c.clicks for c in monday)), str(sum(c.human for c in monday))]
    assert [bar == "·" for bar in drawn[4]] == [not count.human for count in monday]


def test_a_span_of_one_hour_without_humans(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = make_lake(tmp_path, [click(WEEK.start)])
    code, out, _ = run(bare, capsys, *LINE)
    assert code == 0
    assert ["none", "1", "100.00%"] in [row[:3] for row in rows(out)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--from", "2027-01-01", "--to", "2027-01-02"], "the log covers [2026-02"),
        (["--to", "2026-02-27"], "is not before --to"),
        (["--known-by", "later"], "'later' is no time"),
        (["--as-of", "2001-01-01"], "before the lake's first clicks"),
    ],
)
def test_bad_input_is_one_line(
    lake: Lake, capsys: pytest.CaptureFixture[str], changes: list[str], words: str
) -> None:
    code, out, err = run(lake, capsys, *LINE, *changes)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("[labels]\nrfm_threshold = 2\n", "labels.rfm_threshold: Input should be greater"),
        ("[labels]\nrfm_threshold = 17\n", "labels.rfm_threshold: Input should be less"),
        ("[labels]\narrival_minutes = -1\n", "labels.arrival_minutes"),
        ("[labels]\nrfm = 12\n", "labels.rfm: Extra inputs"),
        ("[train]\nweight_cap = 0.5\n", "train.weight_cap"),
        ("[train]\nweight_cap = inf\n", "train.weight_cap"),
    ],
)
def test_settings_that_can_not_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: str, words: str
) -> None:
    bare = make_lake(tmp_path, [click(WEEK.start)])
    with (bare.home / "replay.toml").open("a") as file:
        file.write(settings)
    code, out, err = run(bare, capsys, *LINE)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_settings_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bought = {"purchase_id": "p", "ts": WEEK.start, "user_id": "u1"}
    made = make_lake(tmp_path, [click(WEEK.start + 9)], purchases=[bought])
    with (made.home / "replay.toml").open("a") as file:
        file.write("[labels]\nrfm_threshold = 3\n[train]\nweight_cap = 50\n")
    assert Lake.open(made.home).config.train.weight_cap == 50
    document = json.loads(run(made, capsys, *LINE, "--json")[1])
    assert document["sources"] == {"purchase": 0, "purchase and RFM": 0, "RFM": 1, "none": 0}
