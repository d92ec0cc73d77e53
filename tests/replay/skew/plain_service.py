"""A service in plain Python: a store of dicts, and the log that it leaves behind.

It keeps, for each entity, the clicks that it has counted, and looks at all of them for each click.
Whatever can go wrong with a store can be done to it: a flush with and without a new epoch, keys
that are lost, clicks that it does not see, or counts at another moment than the log says.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from replay.lake import Lake
from replay.skew.comparison import measure, prepare
from replay.skew.report import Skew
from replay.span import Span
from scorer.registry import ModelVersion
from scorer.spec import Spec, parse_spec
from tests.lakes import Row, add_rows, click, make_lake
from tests.oracles import plain
from tests.versions import START, at_least, ignore, logged

SECOND = 1_000_000
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
SPEC: Spec = parse_spec(
    {
        "counts": [
            {"entity": "user_id", "windows": ["1m@10s", "1h@10m"]},
            {"entity": "ip, user_agent", "windows": ["10m@1m"]},
        ],
        "distincts": [{"entity": "ip", "member": "user_id", "windows": ["1h@10m"]}],
        "gaps": [{"entity": "user_id", "cap": "30m"}],
        "flags": {"logged_in": True, "devices": ["desktop"]},
        "time": {"zone": "Europe/Berlin", "parts": ["hour_sin"]},
        "profiles": [
            {"table": "user", "column": "age", "default": 7.0},
            {"table": "ip", "column": "is_bad", "default": False},
        ],
    },
    "plain",
)
ALL = Span(START - 24 * HOUR, START + 48 * HOUR)


class PlainService:
    """Decides clicks in the order of its calls; each gets the next seq."""

    def __init__(
        self, spec: Spec = SPEC, profiles: Mapping[str, Sequence[Row]] | None = None
    ) -> None:
        self.spec = spec
        self.profiles = profiles or {}
        self.clicks: list[dict[str, Any]] = []
        self.decided: list[tuple[Row, list[int] | None, list[float] | None]] = []
        self.epoch = 1
        self._store: dict[Any, list[Row]] = defaultdict(list)

    def take(
        self,
        ts: int,
        *,
        stamped: bool = True,
        counted_at: int | None = None,
        kept: bool = True,
        click_id: str | None = None,
        **columns: object,
    ) -> dict[str, Any]:
        """Count a click in the store and log it; not `stamped`, it is logged with the store away.

        Such a click is counted all the same `counted_at` a moment, if one is given. One that is not
        `kept` is decided, but the log loses it.
        """
        number = len(self.decided)
        source = "live" if stamped else "unstamped"
        epoch = f"e{self.epoch}" if stamped else None
        name = click_id or f"k{number}"
        row = click(ts, number, name, source=source, store_epoch=epoch, **columns)
        counted = {**row, "ts": ts if counted_at is None else counted_at}
        facts, reals = self._values(counted, count=stamped or counted_at is not None)
        if kept:
            self.clicks.append(row)
            self.decided.append((row, facts, reals) if stamped else (row, None, None))
        return row

    def import_(self, ts: int, **columns: object) -> None:
        """Add a click to the log that the service never saw."""
        number = len(self.clicks)
        self.clicks.append(click(ts, number, f"i{number}", source="import", **columns))

    def flush(self, *, new_epoch: bool = True) -> None:
        """Forget every click; a store whose clock went too says so by a new epoch."""
        self._store.clear()
        self.epoch += new_epoch

    def forget(self, entity: tuple[str, ...], *key: str) -> None:
        """Lose all keys of one entity, as by hand."""
        for place in [p for p in self._store if p[1:] == (entity, key)]:
            del self._store[place]

    def lake(self, home: Path) -> tuple[Lake, ModelVersion]:
        """Write what was logged to a lake, with a version `v` that has the spec."""
        lake = make_lake(home)
        for name, rows in self.profiles.items():
            add_rows(lake, f"profiles_{name}", rows)
        version = at_least(lake, "v", 2, feature=self.spec.facts[0], spec=self.spec)
        add_rows(
            lake,
            "decisions",
            [
                logged(row, version, "undecided" if facts is None else "valid", facts, reals or ())
                for row, facts, reals in self.decided
            ],
        )
        add_rows(lake, "clicks", self.clicks)
        return lake, version

    def skew(self, home: Path, span: Span = ALL, examples: int = 5) -> Skew:
        """Compare what was logged with the log."""
        return measure(prepare(self.lake(home)[0], span), examples, ignore)

    def _values(self, row: Row, *, count: bool) -> tuple[list[int], list[float]]:
        found: dict[str, float] = {}
        spec = self.spec
        for groups in (spec.counts, spec.distincts):
            for group in groups:
                for name, window in zip(group.names, group.parsed, strict=True):
                    held = self._held((name,), group.entity, row, count=count)
                    first = row["ts"] // window.resolution - window.buckets + 1
                    inside = [c for c in held if c["ts"] // window.resolution >= first]
                    member = getattr(group, "member", None)
                    members = {c[member] for c in inside} - {None} if member else inside
                    found[name] = len(members)
        for gap in spec.gaps:
            held = self._held((gap.name,), gap.entity, row, count=count)[:-1]
            since = row["ts"] - held[-1]["ts"] if held else gap.cap_us
            found[gap.name] = min(since, gap.cap_us) // 1000
        found["logged_in"] = int(row["logged_in"])
        for device in spec.flags.devices:
            found[f"device_{device}"] = int(row["device"] == device)
        for part in spec.time.parts if spec.time else ():
            found[part] = plain.time_part(part, row["ts"], spec.time.zone if spec.time else "")
        for profile in spec.profiles:
            rows = self.profiles.get(profile.table, ())
            found[profile.name] = plain.profile(row, profile, rows)
        return [int(found[name]) for name in spec.facts], [found[name] for name in spec.reals]

    def _held(
        self, place: tuple[str], entity: tuple[str, ...], row: Row, *, count: bool
    ) -> list[Row]:
        """Count a click for a feature's entity; return what the store holds, oldest first."""
        key = tuple(row[column] for column in entity)
        if None in key:
            return []
        held = self._store[*place, entity, key]
        if count:
            held.append(row)
        return held


def quiet(count: int = 30, step: int = 7 * SECOND) -> PlainService:
    """Two users take turns."""
    service = PlainService()
    for number in range(count):
        service.take(START + number * step, user_id=f"u{number % 2}")
    return service


def reasons(found: Skew) -> dict[str, tuple[int, int]]:
    """Return reason → clicks and values."""
    return {reason.name: (reason.clicks, reason.values) for reason in found.reasons}
