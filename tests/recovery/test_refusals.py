"""What is never published: damaged, foreign and unfinished runs, and broken chains of verdicts."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from recovery.gates import GateObjects
from recovery.ledger import publications
from recovery.publishing import Terms, propose, propose_revert, publish, revert
from replay.lake import Lake
from replay.runs import MANIFEST
from replay.tables import VERDICTS
from scorer.errors import BadInput, Inconsistent, ReplayError
from tests.lakes import add_rows, make_lake
from tests.oracles.ledger import verdict_id
from tests.recovery.corrections import (
    BY_TWO,
    SOON,
    SPAN,
    contents,
    copied,
    known,
    known_clicks,
    known_lake,
)
from tests.recovery.ledgers import all_terms, stored
from tests.versions import logged, run, verdict

ALL = all_terms(rebill=True)
CLICKS = {row["click_id"]: row for row in known_clicks()}


def refused(lake: Lake, run_id: str, kind: type[ReplayError], code: int = 2) -> str:
    """Preview and publish a run; return what both say, and see that nothing was changed."""
    before = contents(lake)
    said = []
    for attempt in (propose, publish):
        with pytest.raises(kind) as caught:
            attempt(lake, run_id, ALL, SOON)
        assert type(caught.value) is kind
        assert caught.value.exit_code == code
        said.append(str(caught.value))
        assert "\n" not in said[-1]
    assert said[0] == said[1]
    left = contents(lake)
    assert {name: left[name] for name in before} == before
    assert stored(lake) == []
    return said[0]


@pytest.mark.parametrize("name", ["", ".", "..", "../models/two", "latests", "*", "né\nw"])
def test_an_unknown_run(tmp_path: Path, name: str) -> None:
    said = refused(known().copy(tmp_path), name, BadInput)
    assert "no run named" in said
    assert "`replay runs list` shows" in said or "Did you mean" in said


def test_an_unknown_run_near_a_known_one(tmp_path: Path) -> None:
    run_id = known().id("two")
    assert f"Did you mean {run_id}" in refused(known().copy(tmp_path), run_id[:-1], BadInput)


def test_latest_where_there_is_no_run(tmp_path: Path) -> None:
    assert "no run named 'latest'" in refused(make_lake(tmp_path / "lake"), "latest", BadInput)


def test_an_unfinished_run(tmp_path: Path) -> None:
    lake, run_id = known().copy(tmp_path), known().id("two")
    runs = lake.home / "runs"
    (runs / run_id).rename(runs / f".{run_id}.unfinished")
    assert "is not finished" in refused(lake, run_id, BadInput)
    (runs / run_id).mkdir()  # a folder without a manifest is no run either
    refused(lake, run_id, BadInput)


def test_a_run_of_another_lake(tmp_path: Path) -> None:
    """Of the same clicks and decisions, but another log."""
    lake, run_id = known_lake(tmp_path), known().id("two")
    shutil.copytree(known().lake.home / "runs" / run_id, lake.home / "runs" / run_id)
    said = refused(lake, run_id, BadInput)
    assert "made on another lake" in said
    assert str(lake.home) in said


def test_a_run_of_a_lake_that_is_empty_here(tmp_path: Path) -> None:
    lake, run_id = make_lake(tmp_path / "lake"), known().id("two")
    shutil.copytree(known().lake.home / "runs" / run_id, lake.home / "runs" / run_id)
    assert "made on another lake" in refused(lake, run_id, BadInput)


def test_a_run_of_a_copy_that_went_on(tmp_path: Path) -> None:
    """It read versions of the tables that this lake does not have, or has otherwise."""
    lake = known().copy(tmp_path / "here")
    other = copied(lake, tmp_path / "there")
    row = CLICKS["u5"]
    add_rows(other, "decisions", [logged(row, None, "invalid")])
    made = run(other, "two", SPAN).manifest.run_id
    shutil.copytree(other.home / "runs" / made, lake.home / "runs" / made)
    with pytest.raises(ReplayError) as caught:
        publish(lake, made, ALL, SOON)
    assert made in str(caught.value)
    assert stored(lake) == []


def edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_bytes(change(path.read_bytes()))

    return damage


def copy_part(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        shutil.copy(folder / "changes" / "part-00000.parquet", folder / "changes" / name)

    return damage


DAMAGES = {
    "cut": edit("changes/part-00000.parquet", lambda old: old[:-9]),
    "changed": edit("decisions/part-00000.parquet", lambda old: old[:4] + b"?" + old[5:]),
    "empty": edit("decisions/part-00000.parquet", lambda _: b""),
    "lost": lambda folder: (folder / "changes" / "part-00000.parquet").unlink(),
    "gone": lambda folder: shutil.rmtree(folder / "decisions"),
    "more": copy_part("part-00001.parquet"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_parts_that_are_not_what_the_run_wrote(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    lake, run_id = known().copy(tmp_path), known().id("two")
    damage(lake.home / "runs" / run_id)
    said = refused(lake, run_id, Inconsistent)
    assert run_id in said
    assert "replay the span again" in said


@pytest.mark.parametrize("name", ["copy of part-00000.parquet", "x.parquet", ".part.parquet"])
def test_a_file_that_nobody_vouches_for_is_not_read(tmp_path: Path, name: str) -> None:
    """A copy that somebody made beside a part must not correct every click twice."""
    lake, run_id = known().copy(tmp_path), known().id("two")
    copy_part(name)(lake.home / "runs" / run_id)
    with suppress(Inconsistent):
        publish(lake, run_id, ALL, SOON)
    assert len(stored(lake)) in (0, len(BY_TWO))


def settings(**changes: object) -> Callable[[bytes], bytes]:
    def change(old: bytes) -> bytes:
        return json.dumps({**json.loads(old), **changes}).encode()

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda old: old[:-5],
        lambda _: b"",
        lambda _: b"[]",
        lambda old: old.replace(b'"digests"', b'"digest"'),
        settings(start="yesterday"),
        settings(extra=1),
        lambda old: old + b"\xff",
    ],
)
def test_a_manifest_that_does_not_hold(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    lake, run_id = known().copy(tmp_path), known().id("two")
    edit(MANIFEST, change)(lake.home / "runs" / run_id)
    said = refused(lake, run_id, BadInput)
    assert str(lake.home / "runs" / run_id / MANIFEST) in said


def test_a_run_under_another_name_is_the_same_run(tmp_path: Path) -> None:
    lake, run_id = known().copy(tmp_path), known().id("two")
    shutil.copytree(lake.home / "runs" / run_id, lake.home / "runs" / "mine")
    record = publish(lake, "mine", ALL, SOON)
    assert record.run_id == run_id
    assert publish(lake, run_id, ALL, SOON) == record
    assert {row["run_id"] for row in stored(lake)} == {run_id}


def test_a_publication_is_undone_without_its_run(tmp_path: Path) -> None:
    lake, run_id = known().copy(tmp_path), known().id("two")
    record = publish(lake, run_id, ALL, SOON)
    shutil.rmtree(lake.home / "runs")
    with pytest.raises(BadInput, match="no run named"):
        publish(lake, run_id, ALL, SOON)
    assert propose_revert(lake, run_id, ALL, SOON).proposal.verdicts == 4
    undone = revert(lake, run_id, ALL, SOON)
    assert publications(lake) == [record, undone]
    assert sum(row["adjustment_micros"] for row in stored(lake)) == 0


@pytest.mark.parametrize("name", ["", "revert-", "two"])
def test_what_was_never_published_is_not_reverted(tmp_path: Path, name: str) -> None:
    lake = known().copy(tmp_path)
    publish(lake, known().id("two"), ALL, SOON)
    before = contents(lake)
    for wanted in (name, known().id("three"), f"revert-{known().id('two')}"):
        for attempt in (propose_revert, revert):
            with pytest.raises(BadInput, match="was never published, so there is nothing to"):
                attempt(lake, wanted, ALL, SOON)
    assert contents(lake) == before


def test_a_revert_in_a_lake_without_a_ledger(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    for attempt in (propose_revert, revert):
        with pytest.raises(BadInput, match="was never published"):
            attempt(lake, known().id("two"), ALL, SOON)
    assert publications(lake) == []


def test_gates_that_object_leave_the_ledger_as_it_was(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    publish(lake, known().id("four"), ALL, SOON)
    before = contents(lake)
    with pytest.raises(GateObjects, match="these gates object: changed, credit_clicks"):
        publish(lake, known().id("two"), Terms(), SOON)
    with pytest.raises(GateObjects, match="rebill_clicks, rebill_money"):
        revert(lake, known().id("four"), Terms(rebill=True), SOON)
    assert contents(lake) == before


@pytest.mark.parametrize("attempt", [publish, revert, propose, propose_revert])
@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (Terms(overrides=("changed",)), "needs a reason"),
        (Terms(overrides=("chngd",), reason="x"), "Did you mean changed"),
        (Terms(overrides=("sampled",), reason="x"), "always holds"),
    ],
)
def test_terms_that_can_not_be(
    attempt: Callable[[Lake, str, Terms, int], object], terms: Terms, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        attempt(known().lake, known().id("two"), terms, SOON)
    assert stored(known().lake) == []


def chained(lake: Lake, *links: tuple[str, str | None, str]) -> None:
    """Append verdicts by hand: (id, the one that it follows, decision) of u1."""
    rows = []
    for number, (name, follows, decision) in enumerate(links, 1):
        row = verdict(CLICKS["u1"], decision, number, "byhand")
        rows.append(row | {"verdict_id": name, "follows": follows})
    add_rows(lake, "verdicts", rows)


def test_a_verdict_that_another_follows_is_not_followed_again(tmp_path: Path) -> None:
    """The chain says that b is the last, ledger_seq says a: the next would get the id of b."""
    lake = known().copy(tmp_path)
    a, b = verdict_id("u1", None), verdict_id("u1", verdict_id("u1", None))
    chained(lake, (b, a, "invalid"), (a, None, "valid"))
    before = contents(lake)
    for attempt in (propose, publish):
        with pytest.raises(Inconsistent, match=f"chain is broken at verdict {b}.*reconcile"):
            attempt(lake, known().id("two"), ALL, SOON)
    assert contents(lake) == before


def test_a_revert_does_not_follow_what_another_verdict_follows(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    a, b = verdict_id("u1", None), verdict_id("u1", verdict_id("u1", None))
    chained(lake, (b, a, "invalid"), (a, None, "valid"))
    for attempt in (propose_revert, revert):
        with pytest.raises(Inconsistent, match=f"chain is broken at verdict {b}"):
            attempt(lake, "byhand", ALL, SOON)


def test_an_id_that_the_ledger_has_is_not_given_again(tmp_path: Path) -> None:
    """An import without `follows`, in another order: the next id of u1 is the first one's."""
    lake = known().copy(tmp_path)
    a, b = verdict_id("u1", None), verdict_id("u1", verdict_id("u1", None))
    chained(lake, (b, None, "invalid"), (a, None, "valid"))
    with suppress(Inconsistent):
        publish(lake, known().id("two"), ALL, SOON)
    ids = [row["verdict_id"] for row in stored(lake)]
    assert len(set(ids)) == len(ids)


def test_a_damaged_ledger_names_its_file(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    publish(lake, known().id("two"), ALL, SOON)
    (path,) = (lake.home / VERDICTS.name).glob("date=*/*.parquet")
    path.write_bytes(path.read_bytes()[:-50])
    for attempt in (propose, publish):
        with pytest.raises(Inconsistent, match=path.name):
            attempt(lake, known().id("three"), ALL, SOON)
