"""A feature spec: which raw facts about a click a model version was trained on.

A spec is data. It is written as TOML, kept as canonical JSON in the model's manifest, and named by
the SHA-256 of that JSON. Features are of two storage types: *facts* (counts, distincts, gaps and
flags; int32) and *reals* (time and numeric profile columns; float32). Their order is the order in
which the spec lists them.

>>> spec = load_spec("default")
>>> spec.facts[:4]
('clicks_user_1m', 'clicks_user_10m', 'clicks_user_1h', 'clicks_user_24h')
>>> spec.reals[:2]
('hour_sin', 'hour_cos')
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    field_validator,
    model_validator,
)

from scorer.errors import BadSpec, nearest

SECOND = 1_000_000
UNITS = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86400 * SECOND}
ENTITY_COLUMNS = (
    "user_id",
    "session_id",
    "ip",
    "user_agent",
    "device",
    "advertiser_id",
    "campaign_id",
    "ad_id",
    "query",
)
TimePart = Literal["hour_sin", "hour_cos", "weekday_sin", "weekday_cos"]
TIME_PARTS: tuple[TimePart, ...] = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos")
LABEL_COLUMNS = ("rfm",)  # prefixes of profile columns that labels are made of (design: RFM)


def duration(text: str) -> int:
    """Read `90s`, `10m`, `24h` or `7d` as microseconds.

    >>> duration("24h")
    86400000000
    >>> duration("soon")
    Traceback (most recent call last):
    ...
    scorer.errors.BadSpec: 'soon' is no duration: write a whole number and s, m, h or d, as in 10m
    """
    match = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text)
    if not match:
        raise BadSpec(f"{text!r} is no duration: write a whole number and s, m, h or d, as in 10m")
    return int(match[1]) * UNITS[match[2]]


def short(column: str) -> str:
    """Return the name of a column inside a feature's name: `user_id` is `user`."""
    return column.removesuffix("_id")


def _columns(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Entity = Annotated[tuple[str, ...], BeforeValidator(_columns), Field(min_length=1)]


class Window(_Strict):
    """The last `length` of time in buckets of `resolution`; both µs.

    A click at ts sees the buckets b with b(ts) − n < b ≤ b(ts), where b(t) = floor(t / resolution)
    and n = length / resolution.

    >>> Window.parse("1h@1m").buckets
    60
    """

    name: str
    length: int
    resolution: int

    @classmethod
    def parse(cls, text: str) -> "Window":
        """Read `1h@1m`; raise BadSpec where the resolution does not divide the length."""
        length_text, at, resolution_text = text.partition("@")
        if not at:
            raise BadSpec(f"window {text!r} has no resolution: write it as 1h@1m")
        length, resolution = duration(length_text), duration(resolution_text)
        if length % resolution:
            raise BadSpec(
                f"window {text!r}: the resolution {resolution_text} does not divide {length_text}"
            )
        return cls(name=length_text, length=length, resolution=resolution)

    @property
    def buckets(self) -> int:
        """n, the number of buckets in the window."""
        return self.length // self.resolution


class _Windowed(_Strict):
    entity: Entity
    windows: tuple[str, ...] = Field(min_length=1)

    @field_validator("entity")
    @classmethod
    def _known_entity(cls, entity: tuple[str, ...]) -> tuple[str, ...]:
        return _check_entity(entity)

    @cached_property
    def parsed(self) -> tuple[Window, ...]:
        """The windows, in the order written."""
        return tuple(Window.parse(text) for text in self.windows)


class Counts(_Windowed):
    """Clicks of one entity over each window: `clicks_user_1m`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, one per window."""
        key = "_".join(short(column) for column in self.entity)
        return tuple(f"clicks_{key}_{window.name}" for window in self.parsed)


class Distincts(_Windowed):
    """Distinct non-null values of `member` among an entity's clicks: `users_ip_1h`."""

    member: str

    @field_validator("member")
    @classmethod
    def _known_member(cls, member: str) -> str:
        return _check_entity((member,))[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, one per window."""
        key = "_".join(short(column) for column in self.entity)
        return tuple(f"{short(self.member)}s_{key}_{window.name}" for window in self.parsed)


class Gap(_Strict):
    """Whole milliseconds since the entity's previous click, at most the cap: `gap_ms_session`."""

    entity: Entity
    cap: str = "4h"

    @field_validator("entity")
    @classmethod
    def _known_entity(cls, entity: tuple[str, ...]) -> tuple[str, ...]:
        return _check_entity(entity)

    @property
    def cap_us(self) -> int:
        """The cap in µs."""
        return duration(self.cap)

    @property
    def name(self) -> str:
        """The feature's name."""
        return "gap_ms_" + "_".join(short(column) for column in self.entity)


class TimeParts(_Strict):
    """Sine and cosine of the local minute of day and weekday, in `zone`."""

    zone: str = "UTC"
    parts: tuple[TimePart, ...] = TIME_PARTS

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{zone!r} is no time zone name, such as Europe/Berlin") from None
        return zone


class Flags(_Strict):
    """0/1 columns of the click itself: logged_in, and one per listed device."""

    logged_in: bool = True
    devices: tuple[str, ...] = ()


class Profile(_Strict):
    """A column of the latest profile snapshot of the click's user or ip.

    A boolean default makes it a fact (0/1), a numeric one a real.
    """

    table: Literal["user", "ip"]
    column: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    default: StrictBool | float

    @property
    def name(self) -> str:
        """The feature's name: `user_account_age_days`."""
        return f"{self.table}_{self.column}"

    @property
    def is_flag(self) -> bool:
        """Whether the column is boolean."""
        return isinstance(self.default, bool)


def _check_entity(entity: tuple[str, ...]) -> tuple[str, ...]:
    for column in entity:
        if column not in ENTITY_COLUMNS:
            hint = nearest(column, ENTITY_COLUMNS, f"Known: {', '.join(ENTITY_COLUMNS)}.")
            raise ValueError(f"no click column named {column!r}. {hint}")
    if len(set(entity)) < len(entity):
        raise ValueError(f"entity {', '.join(entity)} names a column twice")
    return entity


class Spec(_Strict):
    """The list of features that one model version was trained on."""

    counts: tuple[Counts, ...] = ()
    distincts: tuple[Distincts, ...] = ()
    gaps: tuple[Gap, ...] = ()
    flags: Flags = Flags()
    time: TimeParts | None = None
    profiles: tuple[Profile, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Spec":
        names = [*self.facts, *self.reals]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"feature {twice[0]} is listed twice (names carry no resolution)")
        if not names:
            raise ValueError("a spec needs at least one feature")
        return self

    @cached_property
    def facts(self) -> tuple[str, ...]:
        """Names of the int32 features, in order."""
        return tuple(self._facts())

    def _facts(self) -> Iterator[str]:
        for counts in self.counts:
            yield from counts.names
        for distincts in self.distincts:
            yield from distincts.names
        yield from (gap.name for gap in self.gaps)
        if self.flags.logged_in:
            yield "logged_in"
        yield from (f"device_{device}" for device in self.flags.devices)
        yield from (profile.name for profile in self.profiles if profile.is_flag)

    @cached_property
    def reals(self) -> tuple[str, ...]:
        """Names of the float32 features, in order."""
        parts = self.time.parts if self.time else ()
        return (*parts, *(p.name for p in self.profiles if not p.is_flag))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All feature names: facts, then reals."""
        return self.facts + self.reals

    @cached_property
    def look_back(self) -> int:
        """How far before a click its features can see, in µs: the longest window or cap."""
        windows = [w.length for group in (*self.counts, *self.distincts) for w in group.parsed]
        return max([0, *windows, *(gap.cap_us for gap in self.gaps)])

    @cached_property
    def entities(self) -> tuple[tuple[str, ...], ...]:
        """Every entity that windows or gaps are kept for, each once, in order of first use."""
        groups = [g.entity for g in (*self.counts, *self.distincts)] + [g.entity for g in self.gaps]
        return tuple(dict.fromkeys(groups))

    def canonical(self) -> str:
        """Return the spec as JSON with sorted keys and no spaces: what its digest is taken of."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    @cached_property
    def definitions(self) -> dict[str, str]:
        """Feature name → all that its value depends on, as JSON: equal only for equal features."""
        found: dict[str, object] = {}
        for kind, groups in (("counts", self.counts), ("distincts", self.distincts)):
            for group in groups:
                for name, window in zip(group.names, group.parsed, strict=True):
                    member = getattr(group, "member", None)
                    found[name] = [kind, group.entity, member, window.length, window.resolution]
        for gap in self.gaps:
            found[gap.name] = ["gap", gap.entity, gap.cap_us]
        if self.time:
            found |= {part: ["time", self.time.zone] for part in self.time.parts}
        for name in self.names:
            found.setdefault(name, ["flag"])
        for profile in self.profiles:
            found[profile.name] = ["profile", profile.is_flag, profile.default]
        return {name: json.dumps(value) for name, value in found.items()}

    def label_features(self) -> tuple[str, ...]:
        """Names of profile features that labels are made of; training refuses a spec with any."""
        return tuple(p.name for p in self.profiles if p.column.startswith(LABEL_COLUMNS))


def parse_spec(data: object, where: str) -> Spec:
    """Validate TOML or JSON data as a spec; raise BadSpec naming `where` and the key."""
    try:
        spec = Spec.model_validate(data)
        _ = spec.look_back  # reads every window and cap
    except ValidationError as exc:
        problems = "; ".join(_problem(dict(error)) for error in exc.errors())
        raise BadSpec(f"spec {where}: {problems}") from exc
    except BadSpec as exc:
        raise BadSpec(f"spec {where}: {exc}") from exc
    return spec


def _problem(error: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def load_spec(name: str) -> Spec:
    """Load a shipped spec by name, or a TOML file by path.

    Raises BadSpec where there is no such spec or it does not hold.
    """
    shipped = resources.files("scorer") / "specs"
    if re.fullmatch(r"[a-z0-9_-]+", name):
        file = shipped / f"{name}.toml"
        if file.is_file():
            return parse_spec(tomllib.loads(file.read_text()), name)
    path = Path(name)
    if not path.is_file():
        names = sorted(f.name.removesuffix(".toml") for f in shipped.iterdir())
        raise BadSpec(
            f"no spec named {name!r} and no such file. "
            + nearest(name, names, f"Shipped: {', '.join(names)}.")
        )
    try:
        data = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise BadSpec(f"spec {name}: not TOML: {exc}") from exc
    return parse_spec(data, name)
