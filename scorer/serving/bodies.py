"""From the bytes of a body to the clicks in it, or to a list of all that is wrong with them.

A good body takes the short way: pydantic reads the bytes at once. One with a fault is parsed first
and then looked at piece by piece. Both ways take the same bodies, and what a caller can make either
cost is bounded: by bytes, by JSON's punctuation, by members of an object.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from scorer.serving.clicks import Click
from scorer.serving.limits import BATCH
from scorer.serving.problems import (
    INVALID,
    NOT_JSON,
    TOO_DEEP,
    TOO_LARGE,
    Fault,
    Problem,
    Refused,
    pointer,
)

SINGLE_BYTES = 64 * 1024  # more than one good click can take, each character written as \uXXXX
PUNCTUATION = 32_768  # of { [ : and , in a body; a batch of 256 has 7,000 outside its texts
MEMBERS = 32  # of an object that is meant to be a click
TIME_REFUSED = "the service stamps clicks itself: it was not started for simulated time"

_KEY = re.compile(rb'"\s*:')
_LOOKS_LIKE_BATCH = re.compile(rb'\s*\{\s*"clicks"\s*:')


class Batch(BaseModel):
    """Several clicks; each is decided, or has a problem, by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    clicks: list[Click] = Field(min_length=1, max_length=BATCH)


_CLICK, _BATCH = Click.__pydantic_validator__, Batch.__pydantic_validator__


class BadClick(NamedTuple):
    """An element of a batch that is not decided; `click_id` where it has a usable one."""

    click_id: str | None
    problem: Problem


class Asked(NamedTuple):
    """What a body asks for: the clicks to decide, and how a batch's answer is put together.

    `places` is null for a single click; else an item per element of the batch: null where the
    next of `clicks` stands.
    """

    clicks: list[Click]
    places: list[BadClick | None] | None = None


def read_body(body: bytes, latest: int | None) -> Asked:
    """Read a body; a click's own `time` (µs) may be `latest` at most, and none where that is null.

    Raise Refused where nothing in it can be decided because of what it is as a whole.
    """
    return _read_good(body, latest) or _read(_parse(body), latest)


def _read_good(body: bytes, latest: int | None) -> Asked | None:
    """Read a body that has no fault; null for any other."""
    try:
        if _LOOKS_LIKE_BATCH.match(body):
            if _punctuation(body) > PUNCTUATION:
                return None
            clicks = _BATCH.validate_json(body).clicks
            asked = Asked(clicks, [None] * len(clicks))
            names = 1
        elif len(body) <= SINGLE_BYTES:
            asked = Asked([_CLICK.validate_json(body)])
            names = 0
        else:
            return None
    except ValidationError:
        return None
    # Every key is followed by a colon: as many of these as fields means that none is twice.
    for click in asked.clicks:
        names += len(click.model_fields_set)
        if click.time is not None and _time_fault(click.time, latest):
            return None
    return asked if len(_KEY.findall(body)) == names else None


class _Doubled(dict[str, object]):
    """An object in which a name stood more than once."""

    names: tuple[str, ...] = ()


def _parse(body: bytes) -> object:
    if _punctuation(body) > PUNCTUATION:
        most = f"More than {PUNCTUATION} of the characters {{ [ : and , stand in the body."
        raise Refused(Problem(TOO_LARGE, f"{most} Send it in several requests."))
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        deep = "recursion" in str(exc)
        raise Refused(Problem(TOO_DEEP if deep else NOT_JSON, f"The body: {exc}.")) from None
    if len(_KEY.findall(body)) == _names(value):
        return value
    parsed: object = json.loads(body, object_pairs_hook=_noting_doubles)
    return parsed


def _punctuation(body: bytes) -> int:
    return sum(map(body.count, (b"{", b"[", b":", b",")))


def _names(value: object) -> int:
    """Count the members of an object and of the objects in its lists, as deep as a batch goes."""
    if not isinstance(value, dict):
        return 0
    lists = [item for item in value.values() if isinstance(item, list)]
    return len(value) + sum(len(item) for part in lists for item in part if isinstance(item, dict))


def _noting_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled = _Doubled(found)
    doubled.names = tuple(name for name, times in Counter(n for n, _ in pairs).items() if times > 1)
    return doubled


def _read(value: object, latest: int | None) -> Asked:
    if not isinstance(value, dict):
        fault = Fault(pointer=pointer(), detail="the body is no object")
        raise Refused(_invalid([fault]))
    if "clicks" in value:
        return _read_batch(value, latest)
    click = _read_click(value, (), latest)
    if isinstance(click, Problem):
        raise Refused(click)
    return Asked([click])


def _read_batch(value: dict[str, object], latest: int | None) -> Asked:
    items = value["clicks"]
    faults = _doubles(value, ())
    faults += [
        Fault(pointer=pointer(name), detail="no such member of a batch")
        for name in list(value)[:MEMBERS]
        if name != "clicks"
    ]
    if not isinstance(items, list):
        faults.append(Fault(pointer=pointer("clicks"), detail="no list"))
    elif not 1 <= len(items) <= BATCH:
        found = f"{len(items)} clicks; a request takes 1 to {BATCH}"
        faults.append(Fault(pointer=pointer("clicks"), detail=found))
    if faults or not isinstance(items, list):
        raise Refused(_invalid(faults))
    clicks: list[Click] = []
    places: list[BadClick | None] = []
    for n, item in enumerate(items):
        click = _read_click(item, ("clicks", n), latest)
        if isinstance(click, Click):
            clicks.append(click)
            places.append(None)
        else:
            places.append(BadClick(_click_id(item), click))
    return Asked(clicks, places)


def _click_id(item: object) -> str | None:
    """Return the click_id of a bad click where it could be one."""
    found = item.get("click_id") if isinstance(item, dict) else None
    return found if isinstance(found, str) and 0 < len(found) <= 128 else None


def _read_click(value: object, at: Sequence[str | int], latest: int | None) -> Click | Problem:
    if not isinstance(value, dict):
        return _invalid([Fault(pointer=pointer(*at), detail="a click is an object")])
    if len(value) > MEMBERS:
        many = f"{len(value)} members; a click has {len(Click.model_fields)} at most"
        return _invalid([Fault(pointer=pointer(*at), detail=many)])
    faults = _doubles(value, at)
    time = value.get("time")
    if type(time) is int and (wrong := _time_fault(time, latest)):
        faults.append(Fault(pointer=pointer(*at, "time"), detail=wrong))
    try:
        click = _CLICK.validate_python(value)
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_context=False, include_input=False):
            faults.append(Fault(pointer=pointer(*at, *error["loc"]), detail=error["msg"]))
        return _invalid(faults)
    return _invalid(faults) if faults else click


def _doubles(value: dict[str, object], at: Sequence[str | int]) -> list[Fault]:
    names = value.names[:MEMBERS] if isinstance(value, _Doubled) else ()
    return [Fault(pointer=pointer(*at, name), detail="stands more than once") for name in names]


def _time_fault(time: int, latest: int | None) -> str | None:
    """Say what is wrong with a click's own time (µs), if anything."""
    if latest is None:
        return TIME_REFUSED
    if time > latest:
        shown = datetime.fromtimestamp(latest // 1_000_000, UTC)
        return f"too far in the future: the latest that is taken now is {shown:%Y-%m-%dT%H:%M:%SZ}"
    return None


def _invalid(faults: Sequence[Fault]) -> Problem:
    count = f"{len(faults)} problems" if len(faults) != 1 else "1 problem"
    return Problem(INVALID, f"{count}; see `errors`.", tuple(faults))
