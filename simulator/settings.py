"""The base of every part of a scenario: frozen, strict, and helpful about a mistyped key."""

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from scorer.errors import nearest

_NUMBERS = (int, float, float | None)


class Settings(BaseModel):
    """A part of a scenario.

    >>> class Part(Settings):
    ...     share: float = 0.1
    >>> Part.model_validate({"shaer": 0.2})
    Traceback (most recent call last):
    ...
    pydantic_core._pydantic_core.ValidationError: 1 validation error for Part
      Value error, no key named 'shaer'. Did you mean share? [type=value_error, ...
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: object) -> object:
        if isinstance(data, dict):
            known = list(cls.model_fields)
            for key, value in data.items():
                if key not in known:
                    hint = nearest(str(key), known, f"Known: {', '.join(known)}.")
                    raise ValueError(f"no key named {str(key)!r}. {hint}")
                _check_type(key, value, cls.model_fields[key].annotation)
        return data


def _check_type(key: str, value: object, wanted: object) -> None:
    """Raise ValueError for what pydantic would make a number, or a truth value, of."""
    if wanted in _NUMBERS and isinstance(value, (bool, str)):
        raise ValueError(f"{key}: Input should be a number")
    if get_origin(wanted) is dict and isinstance(value, dict):
        for name, part in value.items():
            _check_type(f"{key}.{name}", part, get_args(wanted)[1])
    if wanted is bool and not isinstance(value, bool):
        raise ValueError(f"{key}: Input should be true or false")


def each_of_its_kind(value: object, word: str, kinds: Mapping[str, type[Settings]]) -> object:
    """Validate each part of a list by the settings of its kind; raise ValueError, naming it."""
    if not isinstance(value, (list, tuple)):
        return value
    return tuple(_one(f"{word} {n}", item, kinds) for n, item in enumerate(value, start=1))


def _one(place: str, data: object, kinds: Mapping[str, type[Settings]]) -> Settings:
    if isinstance(data, Settings):
        return data
    kind = data.get("kind") if isinstance(data, Mapping) else None
    if not isinstance(kind, str) or kind not in kinds:
        hint = nearest(str(kind), kinds, f"Known: {', '.join(kinds)}.")
        raise ValueError(f"{place}: no kind named {kind!r}. {hint}")
    try:
        return kinds[kind].model_validate(data)
    except ValidationError as exc:
        raise ValueError(f"{place} ({kind}): {problems(exc)}") from exc


def problems(exc: ValidationError) -> str:
    """Say on one line what does not hold, each with its key."""
    return "; ".join(_problem(dict(error)) for error in exc.errors())


def _problem(error: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
