"""Figures from a run's parts, and that a run whose figures differ from its work is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from replay.run import Request, execute, prepare
from replay.runs import RunFolder
from replay.summary import AdvertiserMoney, HourChanges, Summary, Tally, read_summary, reconcile
from scorer.errors import Inconsistent
from scorer.metrics import Share
from tests.lakes import add_rows, make_lake
from tests.versions import HOUR, START, TWO_DAYS, Ran, at_least, burst, ignore, logged, run


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Two advertisers: one owed 3 clicks of 100, the other 1 of 1,000 while it owes 1 of 7."""
    lake = make_lake(tmp_path_factory.mktemp("lake"))
    b = at_least(lake, "b", 2)
    cheap = burst(4, "u", advertiser_id="cheap", price_micros=100)
    dear = burst(2, "v", START + HOUR, advertiser_id="dear", price_micros=1_000)
    dear[0]["price_micros"] = 7
    decisions = [logged(row, b, "valid", [1]) for row in (*cheap, dear[1])]
    decisions.append(logged(dear[0], b, "invalid", [1]))
    bought = [
        {"purchase_id": f"p{n}", "ts": START, "click_id": c} for n, c in enumerate(["u0", "u1"])
    ]
    for name, rows in (("decisions", decisions), ("purchases", bought), ("clicks", cheap + dear)):
        add_rows(lake, name, rows)
    return run(lake, "b")


def test_figures(ran: Ran) -> None:
    found = ran.summary
    assert (found.clicks, found.decided, found.undecided, found.purchasing) == (6, 6, 0, 2)
    assert found.changed == Tally(5, -1_293)
    assert found.advertisers == (
        AdvertiserMoney("dear", 1, 1, -1_000, 7),  # the largest movement first
        AdvertiserMoney("cheap", 3, 0, -300, 0),
    )
    assert found.hours == (HourChanges(START, 4, 3, 0, 0), HourChanges(START + HOUR, 2, 1, 1, 0))
    assert found.outcomes["purchased"] == Tally(1, -100)
    assert (found.production.ivr, found.replayed.ivr) == (Share(1, 6), Share(4, 6))
    assert (found.production.fpr, found.replayed.fpr) == (Share(0, 2), Share(1, 2))
    assert found.effective == found.production
    assert found.changed_share == 5 / 6


def test_without_purchases_the_fpr_is_unknown_and_not_zero(tmp_path: Path) -> None:
    lake = make_lake(tmp_path, burst(2))
    at_least(lake, "b", 2)
    found = run(lake, "b").summary
    assert (found.replayed.fpr.rate, found.replayed.fpr.interval) == (None, (0.0, 1.0))


def test_a_right_run_reconciles(ran: Ran) -> None:
    reconcile(ran.summary, 6, Tally(5, -1_293))


CHANGES: dict[str, Callable[[Summary], Summary]] = {
    "clicks replayed": lambda s: replace(s, clicks=7, decided=7),
    "decided + undecided": lambda s: replace(s, undecided=1),
    "changes found": lambda s: replace(s, changes={**s.changes, "missing": Tally(1, 0)}),
    "changes and causes": lambda s: replace(s, causes={**s.causes, "joint": Tally(0, 1)}),
    "by advertiser": lambda s: replace(s, advertisers=s.advertisers[1:]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_any_difference_is_loud(ran: Ran, what: str) -> None:
    with pytest.raises(Inconsistent, match="does not reconcile") as stop:
        reconcile(CHANGES[what](ran.summary), 6, Tally(5, -1_293))
    assert what in str(stop.value)


def without_last(rows: pa.Table) -> pa.Table:
    return rows.slice(0, len(rows) - 1)


def dearer(rows: pa.Table) -> pa.Table:
    at = rows.column_names.index("adjustment_micros")
    return rows.set_column(at, "adjustment_micros", pc.subtract(rows["adjustment_micros"], 1))


def uncaused(rows: pa.Table) -> pa.Table:
    at = rows.column_names.index("cause")
    return rows.set_column(at, "cause", pa.nulls(len(rows), pa.string()))


def blamed(rows: pa.Table) -> pa.Table:
    at = rows.column_names.index("cause")
    return rows.set_column(at, "cause", pa.array(["weather"] * len(rows)))


@pytest.mark.parametrize(
    ("kind", "tamper"),
    [
        ("decisions", without_last),
        ("changes", without_last),
        ("changes", dearer),
        ("changes", uncaused),
        ("changes", blamed),
    ],
)
def test_a_part_that_is_not_what_was_found_stops_the_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    tamper: Callable[[pa.Table], pa.Table],
) -> None:
    lake = make_lake(tmp_path, burst(3))
    at_least(lake, "b", 2)
    write = RunFolder.write_part

    def tampered(folder: RunFolder, name: str, number: int, rows: pa.Table) -> None:
        write(folder, name, number, tamper(rows) if name == kind else rows)

    monkeypatch.setattr(RunFolder, "write_part", tampered)
    with pytest.raises(Inconsistent):
        execute(prepare(lake, Request("b", TWO_DAYS)), ignore)
    assert list((lake.home / "runs").iterdir()) == []


@pytest.mark.parametrize("kind", ["decisions", "changes"])
@pytest.mark.parametrize("damage", ["blamed", "short", "cut", "gone"])
def test_a_finished_run_that_was_changed_is_not_shown_as_if_whole(
    tmp_path: Path, kind: str, damage: str
) -> None:
    lake = make_lake(tmp_path, burst(3))
    at_least(lake, "b", 2)
    done = run(lake, "b")
    part = done.folder.part(kind, 0)
    match damage:
        case "blamed":
            pq.write_table(blamed(pq.read_table(done.folder.part("changes", 0))), part)
        case "short":
            pq.write_table(without_last(pq.read_table(part)), part)
        case "cut":
            part.write_bytes(part.read_bytes()[:-9])
        case "gone":
            part.unlink()
    with pytest.raises(Inconsistent) as stop:
        read_summary(done.folder, done.manifest)
    assert "\n" not in str(stop.value)


def test_a_finished_run_is_read_as_it_was_found(ran: Ran) -> None:
    assert read_summary(ran.folder, ran.manifest) == ran.summary
