"""What the processes of a service share: their settings, their log, and how they hear of an end.

The supervisor gives each of its processes the settings as one line on its standard input, since a
command line shows passwords to everybody on the machine. It then keeps that pipe open: its end
tells a process that the supervisor is gone.
"""

import logging
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

LEVELS = ("debug", "info", "warning", "error")
SAY_AGAIN_SECONDS = 60.0


class Settings(BaseModel):
    """What `replay serve` was asked for; `redis` is null for a store inside the worker.

    `deadline` is in s; `socket` is the file descriptor that workers inherit.
    """

    model_config = ConfigDict(frozen=True)

    home: Path
    spool: Path
    redis: str | None
    deadline: float
    simulated_time: bool
    device: str
    log_level: str
    socket: int | None = None

    def told(self) -> str:
        """Return the line that a process of the service reads."""
        return self.model_dump_json() + "\n"


def start_process(who: str) -> Settings:
    """Read the settings that the supervisor wrote, and set up the log of this process."""
    settings = Settings.model_validate_json(sys.stdin.readline())
    formatter = logging.Formatter(f"%(asctime)s.%(msecs)03dZ {who} %(levelname)s %(message)s")
    formatter.converter = time.gmtime
    formatter.datefmt = "%Y-%m-%dT%H:%M:%S"
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    return settings


class Trouble:
    """Logs something that keeps failing: at once when it begins or changes, then once a minute."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log, self._what = log, what
        self._said, self._at = "", 0.0

    def met(self, problem: object) -> None:
        """Hear that it failed."""
        said = " ".join(str(problem).split()) or type(problem).__name__
        if said != self._said or time.monotonic() - self._at >= SAY_AGAIN_SECONDS:
            self._said, self._at = said, time.monotonic()
            self._log.warning("%s: %s", self._what, said)

    def over(self) -> None:
        """Hear that it worked."""
        if self._said:
            self._log.warning("%s: works again", self._what)
        self._said = ""


def without_password(url: str) -> str:
    """Return a server's URL as it may be shown.

    >>> without_password("redis://user:secret@cache:6379/0"), without_password("unix:///r.sock")
    ('redis://cache:6379/0', 'unix:///r.sock')
    """
    parts = urlsplit(url)
    shown = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{shown}{parts.path}"
