"""`replay.toml`: which lake a command works on, and the lake's own settings.

A `replay.toml` with a `home` key points to a lake elsewhere; one with a `currency` key is a lake's
own. The home is `--home`, else `REPLAY_HOME`, else that of the nearest `replay.toml` upwards from
the working directory.
"""

import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from replay.errors import BadInput, NotALake

FILE = "replay.toml"


class ServeConfig(BaseModel):
    """`[serve]`: what `replay serve` takes where neither an option nor REPLAY_REDIS says it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    redis: str | None = None
    spool: str | None = None


class LabelsConfig(BaseModel):
    """`[labels]`: who stands for a human, and when a purchase is known.

    Every click of an account with an RFM score of `rfm_threshold` (3 to 15; 16 is none) or more is
    human. A purchase is known `arrival_minutes` after it happened.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rfm_threshold: int = Field(default=12, ge=3, le=16)
    arrival_minutes: int = Field(default=0, ge=0, le=60 * 24 * 90)


class TrainConfig(BaseModel):
    """`[train]`: how versions are fitted; `weight_cap` is the most that one click may weigh.

    The mean weight is 1. Where 1 click in 100 is human, halves of equal weight make 50 of each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    weight_cap: float = Field(default=100.0, ge=1, allow_inf_nan=False)


class LakeConfig(BaseModel):
    """A lake's settings; `recovery` reads what gates and sinks hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    format: int = Field(default=1, ge=1, le=1)
    attribution_hours: int = Field(default=72, ge=1, le=24 * 90)
    session_clicks: int = Field(default=10, ge=1)
    billing_window_hours: int = Field(default=72, ge=0)
    gates: dict[str, float] = {}
    sinks: dict[str, dict[str, Any]] = {}
    serve: ServeConfig = ServeConfig()
    labels: LabelsConfig = LabelsConfig()
    train: TrainConfig = TrainConfig()


def read_config(home: Path) -> LakeConfig:
    """Read a lake's own `replay.toml`.

    Raises NotALake where there is none or it has no currency, BadInput where it does not hold.
    """
    data = _read_toml(home / FILE)
    if data is None or "currency" not in data:
        raise NotALake(
            f"{home} is no lake: it has no {FILE} with a currency. "
            "Give --home, or make one with `replay import … --home DIR --currency USD`."
        )
    try:
        return LakeConfig.model_validate(data)
    except ValidationError as exc:
        problems = "; ".join(
            f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in exc.errors()
        )
        raise BadInput(f"{home / FILE}: {problems}") from exc


def write_config(home: Path, config: LakeConfig) -> None:
    """Write a new lake's `replay.toml`."""
    lines = [f'currency = "{config.currency}"', f"format = {config.format}", ""]
    temporary = home / f"{FILE}.{os.getpid()}.new"  # two processes may make the lake at once
    temporary.write_text("\n".join(lines))
    temporary.replace(home / FILE)


def find_home(option: str | None, working: Path) -> Path:
    """Find the lake's folder: `option`, else REPLAY_HOME, else the nearest `replay.toml`."""
    chosen = option or os.environ.get("REPLAY_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    for folder in (working, *working.parents):
        data = _read_toml(folder / FILE)
        if data is None:
            continue
        if isinstance(data.get("home"), str):
            return (folder / str(data["home"])).absolute()
        if "currency" in data:
            return folder.absolute()
    raise NotALake(
        f'no lake given: pass --home DIR, set REPLAY_HOME, or write home = "DIR" in a {FILE}'
    )


def find_cache(option: str | None) -> Path:
    """Find the folder for what can be made again: `option`, else REPLAY_CACHE, else the user's."""
    chosen = option or os.environ.get("REPLAY_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    usual = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or usual).expanduser().absolute() / "replay"


def _read_toml(path: Path) -> dict[str, object] | None:
    try:
        return tomllib.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise BadInput(f"{path}: not TOML: {exc}") from exc
    except OSError as exc:
        raise BadInput(f"{path} can't be read: {exc.strerror}") from exc


def check_currency(text: str) -> str:
    """Return a currency code; raise BadInput where it is not three capital letters."""
    if not re.fullmatch(r"[A-Z]{3}", text):
        raise BadInput(f"{text!r} is no currency code: write three capital letters, as in USD")
    return text
