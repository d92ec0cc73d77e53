"""What the options of several kinds of sinks have in common."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from recovery.sinks.sink import BadSink

Wait = Annotated[float, Field(ge=0, le=3_600, allow_inf_nan=False)]
"""A wait in seconds, an hour at most."""
Timeout = Annotated[float, Field(gt=0, le=3_600, allow_inf_nan=False)]
"""How long an answer may take in seconds, an hour at most."""


def place(option: str, text: str, home: Path) -> Path:
    """Return the path that an option gives, relative to the lake's folder; `~` is a user's home.

    Raises BadSink where no file can have that path.
    """
    if "\0" in text:
        raise BadSink(f"{option}: a path cannot hold a zero byte")
    try:
        return home / Path(text).expanduser()
    except RuntimeError as exc:
        raise BadSink(f"{option}: {text.partition('/')[0]} is the home of no user here") from exc
