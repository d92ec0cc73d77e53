"""What the ledger must keep to as a whole: its numbers, its ids, and its publications' records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from recovery.balances import ACTION, CREDIT, NEUTRAL, REBILL
from recovery.ledger import FIRST, NAMESPACE, Publication
from recovery.rules import EXAMPLES, RESTORE, Check


@dataclass(frozen=True)
class Ledger:
    """The verdicts, as SQL for a FROM clause, and the records that their publications left.

    The records' ranges stand in the connection as the table `records`.
    """

    connection: duckdb.DuckDBPyConnection
    verdicts: str
    records: Sequence[Publication]

    def ask(self, query: str) -> list[Any]:
        """Run a query in which {verdicts}, {action} and {examples} stand for what they say."""
        filled = query.format(verdicts=self.verdicts, action=ACTION, examples=EXAMPLES)
        return self.connection.execute(filled).fetchall()

    def texts(self, query: str) -> list[str]:
        """Run a query of one text column."""
        return [text for (text,) in self.ask(query)]


@dataclass(frozen=True)
class LedgerRule:
    """A rule that `find` looks at: how many, how many differ, the first of them."""

    name: str
    meaning: str
    todo: str
    find: Callable[[Ledger], tuple[int, int, Sequence[str]]]

    def look(self, ledger: Ledger) -> Check:
        """Look at the whole ledger."""
        return Check(self.name, self.meaning, self.todo).found(*self.find(ledger))


Found = tuple[int, int, Sequence[str]]

_REPEATS = """
SELECT 'number ' || ledger_seq || ' stands ' || count(*) || ' times'
FROM {verdicts} GROUP BY ledger_seq HAVING count(*) > 1 ORDER BY ledger_seq LIMIT {examples}
"""
_GAPS = """
SELECT 'after ' || before || ' comes ' || ledger_seq FROM (
  SELECT ledger_seq, lag(ledger_seq, 1, 0) OVER (ORDER BY ledger_seq) AS before FROM {verdicts}
) WHERE ledger_seq > before + 1 OR ledger_seq < 1 ORDER BY ledger_seq LIMIT {examples}
"""


def _sequence(ledger: Ledger) -> Found:
    ((rows, distinct, strays, most),) = ledger.ask(
        "SELECT count(*), count(DISTINCT ledger_seq), "
        "count(DISTINCT ledger_seq) FILTER (ledger_seq < 1), coalesce(max(ledger_seq), 0) "
        "FROM {verdicts}"
    )
    missing = max(most, 0) - (distinct - strays)
    if not (differ := rows - distinct + strays + missing):
        return rows, 0, ()
    return rows, differ, [*ledger.texts(_REPEATS), *ledger.texts(_GAPS)]


_SAME_IDS = """
WITH hashes AS (
  SELECT hash(verdict_id) AS h FROM {verdicts} GROUP BY ALL HAVING count(*) > 1
)
SELECT verdict_id, n, (sum(n - 1) OVER ())::BIGINT FROM (
  SELECT verdict_id, count(*) AS n FROM {verdicts} SEMI JOIN hashes ON hash(verdict_id) = h
  GROUP BY ALL HAVING n > 1
) ORDER BY verdict_id LIMIT {examples}
"""


def _unique(ledger: Ledger) -> Found:
    # Hashes that all differ are of ids that all differ, and take a quarter of the memory.
    ((rows, hashes),) = ledger.ask(
        "SELECT count(*), count(DISTINCT hash(verdict_id)) FROM {verdicts}"
    )
    if rows == hashes:
        return rows, 0, ()
    same = ledger.ask(_SAME_IDS)
    surplus = same[0][2] if same else 0  # two hashes may be one and the ids differ
    return rows, surplus, [f"verdict {one} stands {count} times" for one, count, _ in same]


_UUID = (
    "substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-5' || substr(h, 14, 3) || '-' || "
    "substr('89ab', ('0x' || substr(h, 17, 1))::INTEGER % 4 + 1, 1) || substr(h, 18, 3) || '-' || "
    "substr(h, 21, 12)"
)
# A record's verdicts are those of its run within its numbers; `stray` ones are of a run that has
# records, and within none.
_NAMED = f"""
WITH named AS (
  SELECT ledger_seq, verdict_id,
    sha1(unhex('{NAMESPACE.hex}')
      || encode(click_id || '/' || coalesce(follows, '{FIRST}'))) AS h
  FROM {{verdicts}} SEMI JOIN records USING (run_id)
)
SELECT ledger_seq, verdict_id, {_UUID} AS due FROM named
"""


def _ids(ledger: Ledger) -> Found:
    ((looked, differ),) = ledger.ask(
        f"SELECT count(*), count(*) FILTER (verdict_id <> due) FROM ({_NAMED})"
    )
    if not differ:
        return looked, 0, ()
    told = (
        "SELECT 'verdict ' || ledger_seq || ' has the id ' || verdict_id || ', due is ' || due "
        f"FROM ({_NAMED}) WHERE verdict_id <> due ORDER BY ledger_seq LIMIT {{examples}}"
    )
    return looked, differ, ledger.texts(told)


_OF_RECORDS = f"""
SELECT n, count(*), min(ledger_seq), max(ledger_seq),
  count(*) FILTER (action = '{CREDIT}'),
  coalesce(sum(adjustment_micros) FILTER (action = '{CREDIT}'), 0)::BIGINT,
  count(*) FILTER (action = '{REBILL}'),
  coalesce(sum(adjustment_micros) FILTER (action = '{REBILL}'), 0)::BIGINT,
  count(*) FILTER (action = '{NEUTRAL}')
FROM (SELECT run_id, ledger_seq, adjustment_micros, {{action}} AS action FROM {{verdicts}}) v
JOIN records r ON v.run_id = r.run_id AND ledger_seq BETWEEN first AND last
GROUP BY n
"""
_STRAYS = """
SELECT run_id, count(*), min(ledger_seq) FROM {verdicts} v SEMI JOIN records USING (run_id)
WHERE NOT EXISTS (
  FROM records r WHERE r.run_id = v.run_id AND v.ledger_seq BETWEEN r.first AND r.last
)
GROUP BY run_id ORDER BY 3
"""


def _published(ledger: Ledger) -> Found:
    rows = {n: figures for n, *figures in ledger.ask(_OF_RECORDS)}
    told = []
    for number, record in enumerate(ledger.records):
        said = _figures(record)
        holds = rows.get(number, [0, record.first, record.last, 0, 0, 0, 0, 0])
        if wrong := [
            f"{name} {one} and {other}"
            for (name, one), other in zip(said.items(), holds, strict=True)
            if one != other
        ]:
            what = f"{record.action} of {record.of or record.run_id}"
            told.append(f"{what}: its record and the table say {', '.join(wrong)}")
    told += [
        f"run {run_id} has {count} verdicts that no record of it counts, the first is {first}"
        for run_id, count, first in ledger.ask(_STRAYS)
    ]
    return len(ledger.records), len(told), told


def _figures(record: Publication) -> dict[str, int]:
    """Return what a record says, in the order of the columns of _OF_RECORDS."""
    return {
        "verdicts": record.verdicts,
        "first": record.first,
        "last": record.last,
        "credits": record.credits.clicks,
        "credited micros": record.credits.micros,
        "re-bills": record.rebills.clicks,
        "re-billed micros": record.rebills.micros,
        "neutral": record.neutral,
    }


LEDGER_RULES: tuple[LedgerRule, ...] = (
    LedgerRule(
        "numbers",
        "the ledger's numbers are 1 to n, each once",
        RESTORE,
        _sequence,
    ),
    LedgerRule("ids", "no two verdicts have the same id", RESTORE, _unique),
    LedgerRule(
        "published ids",
        "a published verdict's id is made of its click and of the verdict that it follows",
        RESTORE,
        _ids,
    ),
    LedgerRule(
        "publications",
        "each publication's record agrees with its verdicts, in number and money",
        RESTORE,
        _published,
    ),
)
