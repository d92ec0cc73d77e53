"""Why things came out as they did: words by hand, which belong to one run's figures alone."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path(__file__).with_name("remarks.toml")


@dataclass(frozen=True)
class Remarks:
    """Markdown by section, and the digest of the results that it is about."""

    digest: str
    texts: Mapping[str, str] = field(default_factory=dict)

    def on(self, digest: str) -> Mapping[str, str]:
        """Return the texts where they are about the results with that digest; else none.

        >>> some = Remarks("a1", {"weights": "They help."})
        >>> dict(some.on("a1")), dict(some.on("b2"))
        ({'weights': 'They help.'}, {})
        """
        return self.texts if digest == self.digest else {}


def read(file: Path = FILE) -> Remarks:
    """Read remarks from a TOML file."""
    data = tomllib.loads(file.read_text())
    return Remarks(data["digest"], data["remarks"])
