"""What an audit keeps: the same bytes, one pass, digests, money that adds up; what it refuses."""

import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from recovery.audit.auditing import execute
from recovery.audit.figures import Account
from recovery.audit.preparing import Request, prepare
from recovery.audit.tallies import NOTHING
from replay.engine import FeatureEngine
from replay.errors import OutsideLog
from replay.lake import Lake
from replay.span import Span, now_micros
from replay.summary import Tally
from scorer.errors import BadInput, Inconsistent, UnknownModel
from tests.lakes import add_rows, click, make_lake
from tests.recovery.auditing import audited
from tests.versions import (
    BOTH,
    HOUR,
    START,
    TWO_DAYS,
    at_least,
    burst,
    ignore,
    logged,
    run,
    verdict,
)

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "samples" / "lake"
INCIDENT = Span(START + 26 * HOUR, START + 32 * HOUR)  # 2026-03-02T14:00 to 20:00


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Four clicks of one user; `b` calls all but the first invalid, `c` all but two."""
    made = make_lake(tmp_path / "lake", burst(4))
    at_least(made, "b", 2)
    at_least(made, "c", 3)
    return made


def test_same_inputs_same_bytes(tmp_path: Path) -> None:
    """For any number of threads and layout of files, over more than one slice."""
    rows = [r for n in range(40) for r in burst(5, f"u{n}", START + n * HOUR, price_micros=333_333)]
    ids = [f"{row['user_id']}/{row['click_id']}" for row in rows]
    clicks = [{**row, "click_id": name} for row, name in zip(rows, ids, strict=True)]
    one = make_lake(tmp_path / "one", clicks)
    for name, k in (("b", 2), ("c", 3), ("d", 4)):
        at_least(one, name, k)
    two = make_lake(tmp_path / "two")
    shutil.copytree(one.home / "models", two.home / "models")
    half = np.arange(0, len(clicks), 2)
    add_rows(two, "clicks", clicks, [half, half + 1])
    found = []
    for lake in (one, two):
        for threads in (1, 2, 4):
            prepared = prepare(lake, Request(("b", "c", "d"), TWO_DAYS, "cpu"))
            plan = replace(prepared.plan, threads=threads, slice_length=6 * HOUR)
            folder = tmp_path / f"{lake.home.name}-{threads}"
            execute(replace(prepared, plan=plan), folder, ignore)
            found.append(
                {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "manifest.json"}
            )
    assert len(found[0]) == 2
    assert all(each == found[0] for each in found)


def test_figures_do_not_depend_on_how_the_span_is_cut(tmp_path: Path, lake: Lake) -> None:
    add_rows(lake, "clicks", [r for n in range(9) for r in burst(3, f"v{n}", START + n * HOUR)])
    prepared = prepare(lake, Request(("b", "c"), TWO_DAYS, "cpu"))
    audits = []
    for number, length in enumerate((HOUR // 60, HOUR, 24 * HOUR)):
        plan = replace(prepared.plan, slice_length=length)
        audits.append(execute(replace(prepared, plan=plan), tmp_path / str(number), ignore)[1])
    assert audits[0] == audits[1] == audits[2]


def test_one_pass_and_one_engine_for_each_spec(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_least(lake, "d", 2, spec=BOTH)
    made: list[str] = []
    begin = FeatureEngine.__init__

    def counted(self: FeatureEngine, snapshot: object, spec: object, threads: int) -> None:
        made.append(spec.digest)  # type: ignore[attr-defined]
        begin(self, snapshot, spec, threads)  # type: ignore[arg-type]

    monkeypatch.setattr(FeatureEngine, "__init__", counted)
    read: list[int] = []
    prepared = prepare(lake, Request(("b", "c", "d"), TWO_DAYS, "cpu"))
    execute(prepared, tmp_path / "audit", read.append)
    assert sum(read) == 4
    assert len(made) == len(set(made)) == 2


def test_each_version_changes_what_a_run_of_it_changes(tmp_path: Path) -> None:
    """On the sample: an incident of hours, with features and decisions as they were logged."""
    shutil.copytree(SAMPLE, tmp_path / "lake")
    lake = Lake.open(tmp_path / "lake")
    done = audited(lake, tmp_path / "audit", "v0", "v1", "production", span=INCIDENT)
    assert done.manifest.models == ("v0", "v1", "v2")
    billed = {a.advertiser_id: a for a in done.audit.accounts}
    for version in done.audit.versions:
        summary = run(lake, version.name, INCIDENT).summary
        assert version.changes == {k: t for k, t in summary.changes.items() if t.clicks}
        assert version.causes == {c: t for c, t in summary.causes.items() if t.clicks}
        assert (version.borderline, version.withheld) == (summary.borderline, summary.withheld)
        assert done.audit.overall.counts[version.name].ivr == summary.replayed.ivr
        assert done.audit.overall.counts[version.name].fpr == summary.replayed.fpr
        assert done.audit.overall.counts["production"].fpr == summary.production.fpr
        if not (summary.withheld or summary.undecided):
            moved = {
                a.advertiser_id: a.credit_micros + a.rebill_micros for a in summary.advertisers
            }
            for name, account in billed.items():
                difference = account.billed(version.name) - account.billed("in effect")
                assert difference == moved.get(name, 0)


def test_digests_of_all_that_was_read_and_written(tmp_path: Path, lake: Lake) -> None:
    far = click(START + 400 * 24 * HOUR, 0, "far")
    add_rows(lake, "purchases", [{"purchase_id": "p", "ts": START + 9, "user_id": "u"}])
    add_rows(lake, "clicks", [far])
    done = audited(lake, tmp_path / "audit", "b", "c")
    names = {name.rpartition("/")[0] for name in done.manifest.read}
    assert names == {
        "",
        "clicks/date=2026-03-01",
        "models/b",
        "models/c",
        "purchases/date=2026-03-01",
    }
    for folder, digests in ((lake.home, done.manifest.read), (done.folder, done.manifest.written)):
        for name, digest in digests.items():
            assert sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {*done.manifest.written, "manifest.json"} == {p.name for p in done.folder.iterdir()}


def test_what_is_in_effect_stands_beside_production(tmp_path: Path) -> None:
    rows = burst(3, price_micros=10)
    lake = make_lake(tmp_path / "lake")
    b = at_least(lake, "b", 2)
    add_rows(lake, "decisions", [logged(row, b, "valid", [n + 1]) for n, row in enumerate(rows)])
    add_rows(lake, "verdicts", [verdict(rows[1], "invalid")])
    add_rows(lake, "clicks", rows)
    done = audited(lake, tmp_path / "audit", "b")
    (account,) = done.audit.accounts
    billed = [account.billed(voice) for voice in done.audit.voices]
    assert (done.audit.voices, billed) == (("production", "in effect", "b"), [30, 20, 10])
    assert done.audit.versions[0].changes == {"to_invalid": Tally(1, -10)}
    assert done.differences == []  # of one version with itself


def test_an_account_that_does_not_add_up_is_refused() -> None:
    gross, none = Tally(2, 5), {"invalid": NOTHING, "undecided": NOTHING}
    Account("a", gross, {"v": {"valid": Tally(2, 5), **none}}).check()
    for wrong in (Tally(2, 4), Tally(1, 5)):
        with pytest.raises(Inconsistent, match="advertiser a has"):
            Account("a", gross, {"v": {"valid": wrong, **none}}).check()


def test_figures_that_do_not_add_up_are_refused(tmp_path: Path, lake: Lake) -> None:
    audit = audited(lake, tmp_path / "audit", "b").audit
    audit.check()
    changes = {"to_invalid": Tally(1, 0)}
    for wrong in (
        replace(audit, hours=audit.hours * 2),
        replace(audit, slices=()),
        replace(audit, versions=(replace(audit.versions[0], changes=changes),)),
        replace(audit, all_accounts=replace(audit.all_accounts, gross=Tally(3, 1))),
    ):
        with pytest.raises(Inconsistent):
            wrong.check()


def test_a_failed_audit_leaves_nothing(tmp_path: Path, lake: Lake) -> None:
    def stop(_: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        execute(prepare(lake, Request(("b",), TWO_DAYS)), tmp_path / "out" / "audit", stop)
    assert list((tmp_path / "out").iterdir()) == []


def test_as_of_reads_what_was_known_then(tmp_path: Path, lake: Lake) -> None:
    then = now_micros()
    while now_micros() < then + 2000:  # Delta's stamps are in milliseconds
        pass
    add_rows(lake, "clicks", [click(START - 1, 0, "late", user_id="u")])
    known = audited(lake, tmp_path / "then", "b", as_of=then)
    now = audited(lake, tmp_path / "now", "b")
    found = [done.audit.overall.counts["b"].invalid for done in (known, now)]
    assert found == [3, 4]


@pytest.mark.parametrize(
    ("models", "span", "error", "words"),
    [
        (("b", "bb2"), TWO_DAYS, UnknownModel, "no model version named 'bb2'"),
        (("b", "c", "b"), TWO_DAYS, BadInput, "--models names b twice; name every version once"),
        (("c", "latest"), TWO_DAYS, BadInput, "names c twice (as c and latest)"),
        (("production",), TWO_DAYS, BadInput, "no version is 'production' here yet"),
        (("b",), Span(START + 99 * HOUR, START + 100 * HOUR), OutsideLog, "no click in"),
        (("b",), Span(0, 1), OutsideLog, "the log has clicks from"),
    ],
)
def test_what_can_not_be_audited(
    lake: Lake, models: tuple[str, ...], span: Span, error: type[BadInput], words: str
) -> None:
    with pytest.raises(error) as caught:
        prepare(lake, Request(models, span))
    assert words in str(caught.value)


def test_a_version_that_the_log_cannot_serve(tmp_path: Path, lake: Lake) -> None:
    at_least(lake, "needs-age", 2, spec=BOTH)
    done = audited(lake, tmp_path / "audit", "needs-age")
    assert done.audit.notes[0].startswith("needs-age takes age from profiles_user, which is empty")
    add_rows(lake, "profiles_user", [{"key": "u", "valid_from": START, "other": 1.0}])
    with pytest.raises(BadInput, match="needs-age needs the column age of profiles_user"):
        prepare(lake, Request(("needs-age",), TWO_DAYS))
    audited(lake, tmp_path / "b", "b")  # which needs none
