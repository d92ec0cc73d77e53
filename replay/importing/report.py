"""What an import did with each row of a file; the screen and the JSON are made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scorer.errors import Inconsistent


@dataclass(frozen=True)
class FileReport:
    """Counts of one file's rows: read = added + duplicates + filtered + quarantined.

    `already` says that the same file was imported before with the same map, and added nothing now.
    Raises Inconsistent where the counts do not add up.

    >>> FileReport("f.csv", "clicks", read=3, added=1, duplicates=1)
    Traceback (most recent call last):
    ...
    scorer.errors.Inconsistent: f.csv: 3 rows read, but 1 added + 1 duplicates + 0 filtered + \
0 quarantined are 2; nothing was committed
    """

    file: str
    table: str
    read: int = 0
    added: int = 0
    duplicates: int = 0
    filtered: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    already: bool = False

    def __post_init__(self) -> None:
        broken = sum(self.quarantined.values())
        total = self.added + self.duplicates + self.filtered + broken
        if total != self.read:
            raise Inconsistent(
                f"{self.file}: {self.read:,} rows read, but {self.added:,} added + "
                f"{self.duplicates:,} duplicates + {self.filtered:,} filtered + "
                f"{broken:,} quarantined are {total:,}; nothing was committed"
            )
