"""Statistics of logs that are small enough to count by hand, and what a comparison says of two."""

import json
from pathlib import Path

import numpy as np
import pytest

from replay.cli import main
from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import Span
from simulator.comparison import Row, aligned, best_shift, compare_logs
from simulator.errors import BadComparison
from simulator.statistics import DAY, measure
from simulator.tail import LEAST_TAIL, tail_exponent
from tests.lakes import click, make_lake

PAGE = Path(__file__).resolve().parents[2] / "docs" / "simulator.md"
SECOND = 1_000_000
HOUR = 3600 * SECOND


def figures(lake: Lake, end: int = HOUR, *user_by: str) -> dict[str, float | None]:
    found = measure(Snapshot.take(lake), Span(0, end), user_by or ("user_id",)).figures
    assert len({figure.name for figure in found}) == len(found)
    return {figure.name: figure.value for figure in found}


def few(home: Path) -> Lake:
    """Two users of one address (2 and 1 clicks), a third elsewhere (1), a click without a user."""
    rows = [
        click(0, user_id="a", ip="1", session_id="s1", click_id="first"),
        click(60 * SECOND, user_id="a", ip="1", session_id="s1"),
        click(90 * SECOND, user_id="b", ip="1", session_id="s2"),
        click(100 * SECOND, user_id="c", ip="2", session_id="s3"),
        click(200 * SECOND, user_id=None, ip="2", session_id=None),
    ]
    bought = [
        {"purchase_id": "p1", "ts": 30 * SECOND, "click_id": "first", "user_id": "a"},
        {"purchase_id": "p2", "ts": 70 * SECOND, "user_id": "a", "advertiser_id": "adv1"},
    ]
    return make_lake(home, rows, purchases=bought)


def test_figures_are_what_can_be_counted_by_hand(tmp_path: Path) -> None:
    found = figures(few(tmp_path / "lake"))
    assert found["clicks per user, mean"] == pytest.approx(4 / 3)
    assert found["clicks per user, share with one"] == pytest.approx(2 / 3)
    assert found["clicks per address, mean"] == 2.5
    assert found["users per address, mean"] == 1.5
    assert found["gap by user, median"] == 60
    assert found["gap by address, median"] == 60  # 60, 30 and 100
    assert found["clicks per session, mean"] == pytest.approx(4 / 3)
    assert found["session of several clicks, median"] == 1.0
    assert found["purchases per click"] == pytest.approx(2 / 5)
    assert found["purchase after the click it names, median"] == 30
    assert found["purchase after the buyer's last click, median"] == 10
    assert found["busiest hour of the day / mean"] is None


def test_other_columns_can_tell_users_apart(tmp_path: Path) -> None:
    lake = few(tmp_path / "lake")
    assert figures(lake, HOUR, "ip", "device")["users per address, mean"] == 1
    with pytest.raises(BadComparison, match="no column 'os'"):
        figures(lake, HOUR, "ip", "os")


def test_a_log_without_ids_says_so(tmp_path: Path) -> None:
    rows = [click(k, user_id=None, ip=None, session_id=None) for k in range(3)]
    found = figures(make_lake(tmp_path / "lake", rows))
    known = {name for name, value in found.items() if value is not None}
    assert known == {"clicks per second, variance / mean"}


def test_an_even_second_is_less_bursty_than_a_crowded_one(tmp_path: Path) -> None:
    even = make_lake(tmp_path / "even", [click(k * SECOND) for k in range(3600)])
    crowded = make_lake(
        tmp_path / "crowded", [click(k // 60 * 60 * SECOND, k) for k in range(3600)]
    )
    name = "clicks per second, variance / mean"
    assert figures(even)[name] == pytest.approx(0)
    assert figures(crowded)[name] == pytest.approx(60 - 1)


def test_the_day_has_a_busiest_hour(tmp_path: Path) -> None:
    rows = [click(hour * HOUR, k) for hour in range(24) for k in range(1 + 24 * (hour == 5))]
    found = figures(make_lake(tmp_path / "lake", rows), DAY)
    assert found["busiest hour of the day / mean"] == pytest.approx(25 / 2)
    assert found["idlest hour of the day / mean"] == pytest.approx(1 / 2)


@pytest.mark.parametrize("exponent", [0.8, 1.3, 2.5])
def test_the_tail_exponent_is_that_of_a_pareto(exponent: float) -> None:
    rng = np.random.default_rng(1)
    counts = np.floor(1 + rng.pareto(exponent, 400_000)).astype(np.int64)
    # 4,000 in the tail: 1.6% standard error, and little bias at counts of 5 and more.
    assert tail_exponent(counts) == pytest.approx(exponent, rel=0.15)


def test_a_short_tail_has_no_exponent() -> None:
    assert tail_exponent(np.full(10_000, 7)) is None
    assert tail_exponent(np.arange(LEAST_TAIL - 1)) is None


def test_spans_are_of_one_length_and_begin_at_the_same_hour() -> None:
    ours, theirs = aligned(Span(0, 2 * DAY), Span(9 * DAY + 5 * HOUR + 3, 9 * DAY + 7 * HOUR))
    assert (ours.start, ours.length) == (5 * HOUR, 2 * HOUR)
    assert (theirs.start, theirs.length) == (9 * DAY + 5 * HOUR, 2 * HOUR)
    short, _ = aligned(Span(0, 2 * HOUR), Span(5 * HOUR, 9 * HOUR))
    assert short == Span(0, 2 * HOUR)


def test_a_curve_is_turned_to_where_it_fits_best() -> None:
    curve = [float(hour) for hour in range(24)]
    shifted = [curve[(hour + 3) % 24] for hour in range(24)]
    assert best_shift(curve, shifted) == (3, sum(curve))


def test_a_verdict_is_by_the_factor_between_them() -> None:
    sides = (1.5, 6.0, 6.1, 30.0, 31.0, 0.0, None)
    verdicts = [Row("", "", "ratio", ours, 3.0).verdict for ours in sides]
    assert verdicts == ["alike", "alike", "same order", "same order", "apart", "", ""]


def test_shares_are_held_by_their_odds_and_exponents_by_their_distance() -> None:
    assert Row("", "", "share", 0.5, 0.25).factor == pytest.approx(3)
    assert Row("", "", "share", 0.96, 0.92).factor == pytest.approx(24 / 11.5)
    assert Row("", "", "share", 1.0, 0.5).factor is None
    assert Row("", "", "exponent", 1.0, 2.0).factor == pytest.approx(4)


def test_a_log_is_like_itself(tmp_path: Path) -> None:
    snapshot = Snapshot.take(few(tmp_path / "lake"))
    rows = compare_logs(snapshot, snapshot).rows
    assert {row.verdict for row in rows} == {"alike", ""}
    assert {row.ratio for row in rows} <= {1.0, None}


def test_the_page_shows_statistics_by_their_names(tmp_path: Path) -> None:
    snapshot = Snapshot.take(few(tmp_path / "lake"))
    known = {
        f"{row.name}, {row.unit}".removesuffix(", ")
        for row in compare_logs(snapshot, snapshot).rows
    }
    rows = [
        line.split(" | ")[0].removeprefix("| ")
        for line in PAGE.read_text().splitlines()
        if line.endswith(("| alike |", "| same order |", "| apart |"))
    ]
    assert len(rows) > 40
    assert set(rows) <= known


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(["simulate", *args])
    out, err = capsys.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


def test_the_command_shows_both_sides(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    few(tmp_path / "ours")
    few(tmp_path / "theirs")
    options = ("--home", str(tmp_path / "ours"), "--compare-to", str(tmp_path / "theirs"))
    code, out, _ = run(capsys, *options)
    assert code == 0
    [line] = [line for line in out.splitlines() if line.startswith("users per address, mean")]
    assert line.split()[4:] == ["1.5", "1.5", "1", "alike"]
    _, out, _ = run(capsys, *options, "--json", "--user-by", "ip")
    rows = {row["name"]: row for row in json.loads(out)["statistics"]}
    assert rows["users per address, mean"]["simulated"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--compare-to", "nowhere"), "nowhere is no folder"),
        (("--compare-to", "empty"), "empty has no clicks"),
        (("--compare-to", "lake", "--user-by", "usr"), "no column 'usr'"),
        (("--compare-to", "lake", "--scenario", "quiet"), "simulate first"),
        (("--scenario", "quiet", "--scale", "0"), "clicks_per_day"),
        (("--scenario", "quiet", "--scale", "nan"), "--scale"),
    ],
)
def test_what_cannot_be_compared_or_scaled_is_refused(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    few(tmp_path / "lake")
    make_lake(tmp_path / "empty")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(capsys, *options, "--home", "lake")
    assert (code, out) == (2, "")
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_scaled_scenario_has_so_many_times_the_clicks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ("--scenario", "quiet", "--days", "1", "--json")
    made = []
    for scale in ("0.02", "0.1"):
        _, out, _ = run(capsys, *options, "--scale", scale, "--home", str(tmp_path / scale))
        made.append(json.loads(out)["clicks"])
    # 600 and 3,000 sessions of people, 6 and 32 of robots.
    assert 4 < made[1]["human"] / made[0]["human"] < 6
    assert made[1]["background"] > 1.5 * made[0]["background"] > 0
