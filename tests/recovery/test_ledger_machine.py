"""The ledger against its oracle, over any order of runs, publications and reverts.

Runs are real replays of small lakes that collide; the clock steps forwards by months and back.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from recovery.ledger import Publication, publications
from recovery.proposal import Proposal
from recovery.publishing import propose, propose_revert, publish, revert
from recovery.reconcile import reconcile
from replay.lake import Lake
from replay.span import Span, to_micros
from scorer.errors import BadInput
from tests.oracles.ledger import Ledger, Outcome
from tests.recovery.ledgers import (
    MODELS,
    SPANS,
    Base,
    Said,
    all_terms,
    assert_cause,
    assert_ledger,
    assert_record,
    base,
    replayed,
)
from tests.versions import HOUR, START

CLOCK = st.sampled_from([-40 * 24 * HOUR, -HOUR, -1, 0, 1, HOUR, 100 * 24 * HOUR])
PAIR = st.tuples(st.sampled_from(MODELS), st.sampled_from(SPANS))
REBILL = st.sampled_from([False, True, True])


class LedgerMachine(RuleBasedStateMachine):
    """A lake and the oracle's ledger, side by side."""

    runs: Bundle[Said] = Bundle("runs")
    names: Bundle[str] = Bundle("names")  # what verdicts carry as run_id
    bases = 3

    @initialize(
        target=runs, number=st.integers(0, 10**6), made=st.lists(PAIR, min_size=2, max_size=3)
    )
    def begin(self, number: int, made: list[tuple[str, Span]]) -> MultipleResults[Said]:
        """Begin with some runs, so that the later ones were made before the first is published."""
        self.base: Base = base(number % self.bases)
        self.folder = Path(mkdtemp(prefix="machine"))
        self.lake: Lake = self.base.copy(self.folder / "lake")
        self.oracle: Ledger = self.base.ledger()
        self.said: dict[str, Said] = {}
        self.records: list[Publication] = []
        self.now = START + 100 * HOUR
        return multiple(*(self.replay(model, span) for model, span in made))

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def replay(self, model: str, span: Span) -> Said:
        said = replayed(self.lake, self.base, self.oracle, model, span)
        self.said[said.run_id] = said
        return said

    @rule(target=runs, pair=PAIR)
    def run(self, pair: tuple[str, Span]) -> Said:
        return self.replay(*pair)

    @rule(target=names, said=runs, rebill=REBILL, step=CLOCK)
    def publish(self, said: Said, rebill: bool, step: int) -> str | MultipleResults[str]:
        self.now += step
        outcome = self.oracle.publish(said.run_id, said.decisions, self.now, rebill=rebill)
        terms = all_terms(rebill=rebill)
        if outcome.again:
            found = publish(self.lake, said.run_id, terms, self.now)
            assert found in self.records
            assert (found.action, found.run_id) == ("publish", said.run_id)
            return multiple()
        proposal = propose(self.lake, said.run_id, terms, self.now).proposal
        assert_proposal(proposal, outcome)
        self._do(lambda: publish(self.lake, said.run_id, terms, self.now), outcome)
        return said.run_id if outcome.added else multiple()

    @rule(target=names, name=names, rebill=REBILL, step=CLOCK)
    def revert(self, name: str, rebill: bool, step: int) -> str | MultipleResults[str]:
        self.now += step
        outcome = self.oracle.revert(name, self.now, rebill=rebill)
        terms = all_terms(rebill=rebill)
        proposal = propose_revert(self.lake, name, terms, self.now).proposal
        assert_proposal(proposal, outcome)
        self._do(lambda: revert(self.lake, name, terms, self.now), outcome)
        return f"revert-{name}" if outcome.added else multiple()

    @precondition(lambda self: self.oracle.verdicts)
    @rule(said=runs)
    def revert_of_what_was_never_published(self, said: Said) -> None:
        unknown = said.run_id if said.run_id not in self.oracle.published else "revert-nothing"
        with pytest.raises(BadInput):
            revert(self.lake, unknown, all_terms(rebill=True), self.now)

    @invariant()
    def the_ledger_is_the_oracles(self) -> None:
        rows = assert_ledger(self.lake, self.oracle)
        for row in rows:
            if row["run_id"] in self.said:
                assert_cause(row, self.said[row["run_id"]], self.oracle)
            else:
                assert row["reason"].startswith(f"revert of {row['run_id'][len('revert-') :]}")
        assert publications(self.lake) == self.records
        assert reconcile(self.lake).reconciles

    def _do(self, command: Callable[[], Publication], outcome: Outcome) -> None:
        """Do it; where the oracle adds nothing, that is said and nothing is recorded."""
        if not outcome.added:
            with pytest.raises(BadInput, match="nothing"):
                command()
            return
        record = command()
        assert_record(record, outcome)
        assert to_micros(record.at) == outcome.added[0].issued_at
        self.records.append(record)


def counted(superseded: Mapping[str, str]) -> dict[str, int]:
    """Return run → how many verdicts it superseded."""
    runs = list(superseded.values())
    return {run: runs.count(run) for run in runs}


def assert_proposal(proposal: Proposal, outcome: Outcome) -> None:
    """What the preview says is what the oracle then does."""
    assert proposal.verdicts == len(outcome.added)
    assert proposal.net_micros == sum(v.adjustment_micros for v in outcome.added)
    assert proposal.withheld.clicks == len(outcome.withheld)
    assert proposal.superseded == counted(outcome.superseded)


class SoakMachine(LedgerMachine):
    """The same over many more lakes."""

    bases = 40


UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)  # a shrunk dozen steps are no shorter
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=10, stateful_step_count=10, suppress_health_check=QUIET, phases=UNSHRUNK
)
TestSoak = pytest.mark.soak(SoakMachine.TestCase)
TestSoak.settings = settings(max_examples=500, stateful_step_count=25, suppress_health_check=QUIET)
