"""Publishing a run's corrections, and undoing them: gates, then one exclusive commit.

The ledger is read, netted and appended to on one table object, under two application transactions:
the run's own, so that it is published once, and `head`, so that of two writers one fails, reads
again and nets again. Preview and publication net with the same SQL.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import SystemRandom

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from recovery.gates import (
    GATES,
    REBILL_GATES,
    GateObjects,
    Judged,
    check_bounds,
    check_overrides,
    judge,
)
from recovery.history import published_run
from recovery.ledger import RECORD, Publication, head, newest, record_of, verdict_ids
from recovery.netting import Netted, broken, net_revert, net_run
from recovery.proposal import Action, Proposal
from replay.errors import BadInput, LakeBusy
from replay.lake import Lake, writing
from replay.runs import check_run, read_manifest, run_folder
from replay.snapshot import Snapshot, reading
from replay.span import Span, to_datetime
from replay.tables import CLICKS, DECISIONS, TIMESTAMP, VERDICTS
from scorer.errors import Inconsistent

TRIES = 20
WRITE_ROWS = 32_768
UNDONE = "revert-"


@dataclass(frozen=True)
class Terms:
    """On what terms corrections are published, and by whom.

    Without `rebill` clicks that would be billed again are withheld. `overrides` names gates that
    may object, for `reason`.
    """

    rebill: bool = False
    overrides: tuple[str, ...] = ()
    reason: str | None = None
    by: str = "someone"


@dataclass(frozen=True)
class Preview:
    """What would be published, what the gates say of it, and what was published already."""

    proposal: Proposal
    gates: tuple[Judged, ...]
    published: Publication | None

    @property
    def objections(self) -> tuple[Judged, ...]:
        """The gates that stand in the way; none where it is published already."""
        if self.published is not None:
            return ()
        return tuple(gate for gate in self.gates if gate.verdict == "object")


def propose(lake: Lake, run_id: str, terms: Terms, now: int) -> Preview:
    """Net a run against the decisions in effect at `now` (µs) and judge it; write nothing.

    Raises BadInput where the run is unknown, unfinished or another lake's, and for terms that
    can't be; Inconsistent where the run's parts are not what it wrote.
    """
    return _Run(lake, run_id, terms).preview(now)


def propose_revert(lake: Lake, run_id: str, terms: Terms, now: int) -> Preview:
    """Net the undoing of a published run at `now` (µs) and judge it; write nothing.

    Raises BadInput where the ledger has no verdict of the run, and for terms that can't be.
    """
    return _Revert(lake, run_id, terms).preview(now)


def publish(lake: Lake, run_id: str, terms: Terms, now: int) -> Publication:
    """Publish a run's corrections, all in one commit; return its record.

    A run that is published already is left as it is and its record returned. Raises GateObjects,
    BadInput where nothing is left to publish and where `propose` does, LakeBusy, LakeUnwritable.
    """
    return _Run(lake, run_id, terms).commit(now)


def revert(lake: Lake, run_id: str, terms: Terms, now: int) -> Publication:
    """Undo a published run, click by click where its verdict is still the last one.

    Raises GateObjects, BadInput where nothing is left to undo and where `propose_revert` does,
    LakeBusy, LakeUnwritable.
    """
    return _Revert(lake, run_id, terms).commit(now)


class _Correction:
    """What publishing and reverting have in common."""

    action: Action
    gates = GATES

    def __init__(self, lake: Lake, run_id: str, terms: Terms) -> None:
        check_bounds(lake.config.gates, f"{lake.home / 'replay.toml'}")
        check_overrides(terms.overrides, terms.reason)
        for option, text in (("--reason", terms.reason), ("--by", terms.by)):
            if text and not text.isprintable():
                raise BadInput(f"{option} {text!r} holds a line break or a control character")
        self._lake = lake
        self._terms = terms
        self._subject = run_id

    @property
    def run_id(self) -> str:
        """What the verdicts carry."""
        return self._subject

    def net(self, snapshot: Snapshot, at: int) -> AbstractContextManager[Netted]:
        raise NotImplementedError

    def published(self, ledger: DeltaTable) -> Publication | None:
        """Return the record of an earlier publication that forbids another; None where none."""
        return None

    def transaction(self, ledger: DeltaTable) -> tuple[str, int]:
        """Return the application transaction to commit under."""
        return self.run_id, (ledger.transaction_version(self.run_id) or 0) + 1

    def preview(self, now: int) -> Preview:
        ledger = self._lake.delta("verdicts")
        earlier = None if ledger is None else self.published(ledger)
        snapshot = self._snapshot()
        with reading(snapshot), self.net(snapshot, max(now, newest(snapshot))) as netted:
            return Preview(netted.proposal, self._judge(netted.proposal), earlier)

    def commit(self, now: int) -> Publication:
        for attempt in range(TRIES):
            with writing(self._lake.home):
                ledger = self._lake.ready("verdicts")  # first: what comes later is a conflict
            if earlier := self.published(ledger):
                return earlier
            snapshot = self._snapshot()
            try:
                with reading(snapshot), self.net(snapshot, max(now, newest(snapshot))) as netted:
                    return self._append(ledger, snapshot, netted)
            except LakeBusy:
                time.sleep(SystemRandom().uniform(0, 0.05 * 2 ** min(attempt, 5)))
        raise LakeBusy(
            f"other writers committed to the ledger {TRIES} times meanwhile; nothing was published,"
            " run the command again"
        )

    def _append(self, ledger: DeltaTable, snapshot: Snapshot, netted: Netted) -> Publication:
        proposal = netted.proposal
        gates = self._judge(proposal)
        self._refuse(proposal, gates)
        first = head(snapshot) + 1
        record = Publication(
            action=proposal.action,
            run_id=self.run_id,
            of=None if proposal.action == "publish" else self._subject,
            at=to_datetime(proposal.at),
            by=self._terms.by,
            reason=self._terms.reason,
            overrides=tuple(gate.name for gate in gates if gate.verdict == "overridden"),
            rebill=self._terms.rebill,
            model_version=proposal.model_version,
            start=to_datetime(proposal.span.start),
            end=to_datetime(proposal.span.end),
            clicks=proposal.clicks,
            spend_micros=proposal.spend_micros,
            verdicts=proposal.verdicts,
            first=first,
            last=first + proposal.verdicts - 1,
            credits=proposal.credits,
            rebills=proposal.rebills,
            neutral=proposal.neutral,
            withheld=proposal.withheld,
            gates=gates,
        )
        self._lake.append(
            "verdicts",
            _rows(netted, record, lambda: self._still(snapshot, proposal.span)),
            self.transaction(ledger),
            {RECORD: json.dumps(record.model_dump(mode="json"), ensure_ascii=False)},
            ledger,
        )
        return record

    def _refuse(self, proposal: Proposal, gates: tuple[Judged, ...]) -> None:
        if not proposal.verdicts:
            raise BadInput(nothing(proposal))
        if objecting := [gate for gate in gates if gate.verdict == "object"]:
            raise GateObjects(objection(proposal, objecting))

    def _still(self, snapshot: Snapshot, span: Span) -> None:
        """Raise LakeBusy where production's decisions of the span came in since the snapshot."""
        now = Snapshot.take(self._lake, tables=(DECISIONS,))
        if now.pinned["decisions"].within(span) != snapshot.pinned["decisions"].within(span):
            raise LakeBusy(f"decisions of {span} came in meanwhile")

    def _judge(self, proposal: Proposal) -> tuple[Judged, ...]:
        return judge(self.gates, proposal, self._lake.config.gates, self._terms.overrides)

    def _snapshot(self) -> Snapshot:
        return Snapshot.take(self._lake, tables=(CLICKS, DECISIONS, VERDICTS))


class _Run(_Correction):
    def __init__(self, lake: Lake, run_id: str, terms: Terms) -> None:
        super().__init__(lake, run_id, terms)
        self._folder = run_folder(lake, run_id)
        self._manifest = read_manifest(self._folder)
        self._subject = self._manifest.run_id
        check_run(lake, self._folder, self._manifest)

    def net(self, snapshot: Snapshot, at: int) -> AbstractContextManager[Netted]:
        return net_run(snapshot, self._folder, self._manifest, at, rebill=self._terms.rebill)

    def published(self, ledger: DeltaTable) -> Publication | None:
        if ledger.transaction_version(self.run_id) is None:
            return None
        if record := record_of(self._lake, self.run_id):
            return record
        raise Inconsistent(
            f"the ledger says that run {self.run_id} is published and has no record of it; "
            "`replay verdicts reconcile` lists what does not add up"
        )


class _Revert(_Correction):
    gates = REBILL_GATES

    def __init__(self, lake: Lake, run_id: str, terms: Terms) -> None:
        super().__init__(lake, run_id, terms)
        if run_id == "latest" and (run := published_run(lake, run_id)):
            self._subject = run.run_id

    @property
    def run_id(self) -> str:
        return UNDONE + self._subject

    def net(self, snapshot: Snapshot, at: int) -> AbstractContextManager[Netted]:
        return net_revert(snapshot, self._subject, at, rebill=self._terms.rebill)


def nothing(proposal: Proposal) -> str:
    """Say why there is nothing to publish, and what can be done."""
    run_id, withheld = proposal.run_id, proposal.withheld.clicks
    if withheld:
        return (
            f"{proposal.action} of {run_id}: nothing is left but re-bills of {withheld:,} clicks, "
            "which are withheld without --rebill"
        )
    if proposal.action == "publish":
        return f"publish of {run_id}: nothing to publish, its decisions are all in effect already"
    since = " and ".join(proposal.superseded)
    return f"revert of {run_id}: nothing is left to undo, {since} came after all of its verdicts"


def objection(proposal: Proposal, objecting: list[Judged]) -> str:
    """Name the gates that object."""
    names = ", ".join(gate.name for gate in objecting)
    return (
        f"{proposal.action} of {proposal.run_id}: nothing was published, since "
        f"{'this gate objects' if len(objecting) == 1 else 'these gates object'}: {names}"
    )


def _rows(
    netted: Netted, record: Publication, check: Callable[[], None]
) -> Iterator[pa.RecordBatch]:
    """Yield the verdicts in log order, numbered; `check` is called at the end, before the commit.

    Raises Inconsistent where their count is off or the ledger has one of their ids: in both cases
    before anything is committed, since the commit takes all of them.
    """
    number = record.first
    why = f"; overriding {', '.join(record.overrides)}: {record.reason}" if record.overrides else ""
    query = f"""
        SELECT *, coalesce($reason, cause) || $why AS reason FROM netted
        WHERE {netted.published} ORDER BY ts, seq, click_id
    """
    given = {"reason": f"revert of {record.of}" if record.of else None, "why": why}
    issued = netted.connection.cursor()
    issued.execute("CREATE TABLE issued (verdict_id VARCHAR)")
    for batch in netted.connection.sql(query, params=given).to_arrow_reader(WRITE_ROWS):
        ids = verdict_ids(batch["click_id"], batch["follows"])
        new = issued.from_arrow(pa.table({"verdict_id": ids}))
        new.insert_into("issued")
        columns = {name: batch[name] for name in batch.schema.names} | {
            "verdict_id": ids,
            "run_id": pa.repeat(record.run_id, batch.num_rows),
            "model_version": pa.repeat(
                pa.scalar(record.model_version, pa.string()), batch.num_rows
            ),
            "issued_at": pa.repeat(pa.scalar(record.at, TIMESTAMP), batch.num_rows),
            "ledger_seq": pa.array(np.arange(number, number + batch.num_rows)),
        }
        arrays = [columns[name] for name in VERDICTS.schema.names]
        yield pa.RecordBatch.from_arrays(arrays, VERDICTS.schema.names)
        number += batch.num_rows
    again = f"SELECT verdict_id FROM {netted.ledger} JOIN issued USING (verdict_id) LIMIT 1"
    for (verdict_id,) in issued.sql(again).fetchall():
        raise broken(verdict_id)
    twice = "SELECT verdict_id FROM issued GROUP BY 1 HAVING count(*) > 1 LIMIT 1"
    for (verdict_id,) in issued.sql(twice).fetchall():
        raise Inconsistent(
            f"{record.run_id}: verdict {verdict_id} would be published twice, so a click or its "
            "decision stands twice in the log; nothing was published"
        )
    if number != record.last + 1:
        raise Inconsistent(
            f"{record.run_id}: {record.verdicts:,} verdicts were to be published and "
            f"{number - record.first:,} were found; nothing was published"
        )
    check()
