"""The base of every part of a scenario: frozen, strict, and helpful about a mistyped key."""

from pydantic import BaseModel, ConfigDict, model_validator

from scorer.errors import nearest


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

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: object) -> object:
        if isinstance(data, dict):
            known = list(cls.model_fields)
            for key in data:
                if key not in known:
                    hint = nearest(str(key), known, f"Known: {', '.join(known)}.")
                    raise ValueError(f"no key named {str(key)!r}. {hint}")
        return data
