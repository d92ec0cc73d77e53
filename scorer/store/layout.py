"""Which counters a live store keeps: all that the windowed features of some specs need.

A count is kept once per (entity, window), a distinct once per (entity, member, window) and a gap
once per (entity, cap), however many specs ask for it. The store answers a click with the values of
its counters in one fixed order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib import resources

from scorer.spec import SECOND, Spec

MILLISECOND = 1000
SPARE = 60_000  # ms that a key outlives the last window that sees it

Columns = tuple[str, ...]


@dataclass(frozen=True, order=True)
class Count:
    """Clicks of an entity; lengths and resolutions are in µs."""

    length: int
    resolution: int

    def __str__(self) -> str:
        return _window(self.length, self.resolution)


@dataclass(frozen=True, order=True)
class Distinct:
    """Distinct values of a member column among an entity's clicks; µs."""

    member: str
    length: int
    resolution: int

    def __str__(self) -> str:
        return f"{self.member}:{_window(self.length, self.resolution)}"


@dataclass(frozen=True, order=True)
class Gap:
    """Milliseconds since the entity's previous click, at most the cap (µs)."""

    cap: int

    def __str__(self) -> str:
        return f"gap:{self.cap // SECOND}"


def _window(length: int, resolution: int) -> str:
    return f"{length // SECOND}@{resolution // SECOND}"


Counter = Count | Distinct | Gap


@dataclass(frozen=True)
class Entity:
    """What is kept for one entity: its clicks' windows, then its gaps, then its members."""

    columns: Columns
    counts: tuple[Count, ...]
    gaps: tuple[Gap, ...]
    distincts: tuple[tuple[Distinct, ...], ...]  # per member

    @property
    def counters(self) -> tuple[Counter, ...]:
        """In the order of their values."""
        return (*self.counts, *self.gaps, *(d for member in self.distincts for d in member))

    @property
    def members(self) -> tuple[str, ...]:
        """The columns whose distinct values are counted."""
        return tuple(member[0].member for member in self.distincts)

    @property
    def keep(self) -> int:
        """How long its windows and gaps can see a click, in ms."""
        longest = [c.length for c in self.counts] + [g.cap for g in self.gaps]
        return max(longest, default=0) // MILLISECOND + SPARE


class Layout:
    """The counters of a store, and the place of each among a click's values.

    >>> from scorer.spec import load_spec
    >>> layout = Layout.of([load_spec("default")])
    >>> len(layout.names), layout.places(load_spec("default"))[:5]
    (19, [14, 15, 16, 17, 9])
    """

    def __init__(self, entities: tuple[Entity, ...]) -> None:
        self.entities = entities
        self.names = tuple(_name(e.columns, counter) for e in entities for counter in e.counters)

    @classmethod
    def of(cls, specs: Iterable[Spec]) -> "Layout":
        """Return the layout that keeps up every windowed feature of `specs`."""
        kept: dict[Columns, set[Counter]] = {}
        for spec in specs:
            for columns, counter in _counters(spec):
                kept.setdefault(columns, set()).add(counter)
        return cls(tuple(_entity(columns, kept[columns]) for columns in sorted(kept)))

    @cached_property
    def members(self) -> tuple[tuple[Columns, str], ...]:
        """Every (entity, member) whose distinct values are counted, in order."""
        return tuple((e.columns, member) for e in self.entities for member in e.members)

    def covers(self, spec: Spec) -> bool:
        """Return whether every windowed feature of a spec is kept."""
        return {_name(*counter) for counter in _counters(spec)} <= set(self.names)

    def places(self, spec: Spec) -> list[int]:
        """Return, for each windowed fact of a spec, in its order, the place of its value.

        Raises ValueError where the layout does not cover the spec.
        """
        return [self.names.index(_name(*counter)) for counter in _counters(spec)]

    @cached_property
    def digest(self) -> str:
        """A short name of this layout and of the order of its values."""
        return sha256(" ".join(self.names).encode()).hexdigest()[:8]

    @cached_property
    def script(self) -> str:
        """The Lua script that takes clicks in; see `observe.lua`."""
        source = (resources.files("scorer.store") / "observe.lua").read_text()
        members = len(self.members)
        head = (
            f"local LAYOUT = '{' '.join(self.names)}'",
            f"local LAYOUT_DIGEST = '{self.digest}'",
            f"local ENTITIES = {{{', '.join(map(_entity_table, self.entities))}}}",
            f"local KEYS_PER_CLICK = {1 + len(self.entities) + members}",
            f"local ARGS_PER_CLICK = {1 + members}",
        )
        return "\n".join([*head, source])


def _counters(spec: Spec) -> Iterator[tuple[Columns, Counter]]:
    """Yield the counter of each windowed fact, in the spec's order."""
    for counts in spec.counts:
        for window in counts.parsed:
            yield counts.entity, Count(window.length, window.resolution)
    for distincts in spec.distincts:
        for window in distincts.parsed:
            counter = Distinct(distincts.member, window.length, window.resolution)
            yield distincts.entity, counter
    for gap in spec.gaps:
        yield gap.entity, Gap(gap.cap_us)


def _entity(columns: Columns, counters: Iterable[Counter]) -> Entity:
    counts = sorted(c for c in counters if isinstance(c, Count))
    gaps = sorted(c for c in counters if isinstance(c, Gap))
    members: dict[str, list[Distinct]] = {}
    for distinct in sorted(c for c in counters if isinstance(c, Distinct)):
        members.setdefault(distinct.member, []).append(distinct)
    return Entity(columns, tuple(counts), tuple(gaps), tuple(map(tuple, members.values())))


def _name(columns: Columns, counter: Counter) -> str:
    return f"{','.join(columns)}/{counter}"


def _entity_table(entity: Entity) -> str:
    """Write what `observe.lua` reads of an entity."""
    fields = ", ".join([*(f"'{count}'" for count in entity.counts), "'ts'"])
    caps = ", ".join(str(gap.cap // MILLISECOND) for gap in entity.gaps)
    distincts = ", ".join(map(_member_table, entity.distincts))
    return (
        f"{{fields = {{{fields}}}, windows = {_windows(entity.counts)}, caps = {{{caps}}}, "
        f"keep = {entity.keep}, distincts = {{{distincts}}}}}"
    )


def _member_table(windows: tuple[Distinct, ...]) -> str:
    keep = windows[-1].length // MILLISECOND + SPARE
    return f"{{windows = {_windows(windows)}, keep = {keep}}}"


def _windows(counters: Iterable[Count | Distinct]) -> str:
    """Write each window as its resolution (µs) and number of buckets."""
    pairs = (f"{{{c.resolution}, {c.length // c.resolution}}}" for c in counters)
    return f"{{{', '.join(pairs)}}}"
