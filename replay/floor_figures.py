"""The noise floor in figures: a run's changes beside those of production's own versions."""

from collections import defaultdict
from dataclasses import dataclass

import duckdb

from replay.changes import KINDS, Tally, total
from replay.diff import adjustment, kind, withheld

Tallies = dict[str, Tally]


@dataclass(frozen=True)
class Floor:
    """Which of a run's changes production's own versions make too, all by kind of change.

    `own` are the changes of production's own versions against what they logged. Those of the run
    are `alike` (the own version makes the same), `beyond` it or `without` (there is no own version
    to ask). Those beyond are `only_run` (the own version makes none) and `otherwise` (it makes
    another). `only_own` are the own versions' where the run changes nothing.

    Clicks: `compared` were decided again by their own version, which could not score `undecided` of
    them; `withheld` are borderline and no changes. `not_stored` counts the others by their version,
    `unknown` those of which no version is known.
    """

    compared: int
    undecided: int
    withheld: int
    not_stored: dict[str, int]
    unknown: int
    own: Tallies
    alike: Tallies
    beyond: Tallies
    without: Tallies
    only_run: Tallies
    otherwise: Tallies
    only_own: Tallies

    @property
    def counts(self) -> dict[str, int]:
        """What a run's manifest holds of it."""
        own, beyond = total(self.own.values()), total(self.beyond.values())
        return {
            "floor_compared": self.compared,
            "floor_changed": own.clicks,
            "floor_adjustment_micros": own.micros,
            "beyond_floor": beyond.clicks,
            "beyond_floor_micros": beyond.micros,
        }


_OWN = {"decision": "floor_decision", "standing": "production"}
_CHANGES = f"""
SELECT kind, own, sets, count(*), sum(micros)::BIGINT, sum(own_micros)::BIGINT
FROM (
  SELECT *, CASE
    WHEN kind IS NULL THEN 'only_own'
    WHEN floor_decision IS NULL THEN 'without'
    WHEN own IS NULL THEN 'only_run'
    WHEN kind = own AND decision = floor_decision THEN 'alike'
    ELSE 'otherwise' END AS sets
  FROM (
    SELECT decision, floor_decision, {kind()} AS kind, {adjustment()} AS micros,
      CASE WHEN floor_decision IS NOT NULL THEN {kind(borderline="floor_borderline", **_OWN)} END
        AS own,
      {adjustment(**_OWN)} AS own_micros
    FROM {{decisions}}
  )
  WHERE kind IS NOT NULL OR own IS NOT NULL
)
GROUP BY ALL
"""
_CLICKS = f"""
SELECT floor_model, floor_decision IS NOT NULL, count(*),
  count(*) FILTER (floor_decision = 'undecided'),
  count(*) FILTER (floor_decision IS NOT NULL AND {withheld(borderline="floor_borderline", **_OWN)})
FROM {{decisions}} GROUP BY ALL
"""


def floor_figures(connection: duckdb.DuckDBPyConnection, decisions: str) -> Floor:
    """Read the decisions of a run with a noise floor; `decisions` stands in a FROM clause."""
    sets: dict[str, dict[str, list[Tally]]] = defaultdict(lambda: defaultdict(list))
    for changed, own, found, clicks, micros, own_micros in connection.sql(
        _CHANGES.format(decisions=decisions)
    ).fetchall():
        if own is not None:
            sets["own"][own].append(Tally(clicks, own_micros))
        if found == "only_own":
            sets[found][own].append(Tally(clicks, own_micros))
            continue
        sets[found][changed].append(Tally(clicks, micros))
        if found in ("only_run", "otherwise"):
            sets["beyond"][changed].append(Tally(clicks, micros))
    compared = undecided = withheld_clicks = unknown = 0
    not_stored = {}
    for model, decided, clicks, *rest in connection.sql(
        _CLICKS.format(decisions=decisions)
    ).fetchall():
        if decided:
            compared += clicks
            undecided += rest[0]
            withheld_clicks += rest[1]
        elif model is None:
            unknown += clicks
        else:
            not_stored[model] = clicks
    names = ("own", "alike", "beyond", "without", "only_run", "otherwise", "only_own")
    return Floor(
        compared,
        undecided,
        withheld_clicks,
        dict(sorted(not_stored.items())),
        unknown,
        **{name: {kind: total(sets[name][kind]) for kind in KINDS} for name in names},
    )
