"""Where and with what something was measured."""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("duckdb", "polars", "numba", "numpy", "pyarrow", "deltalake")


@dataclass(frozen=True)
class Machine:
    """Processor, memory, libraries, and the load when the measurement began."""

    date: str
    processor: str
    cores: int
    memory_bytes: int
    system: str
    load: float
    versions: dict[str, str]


def read_machine(libraries: Sequence[str] = LIBRARIES) -> Machine:
    """Describe this machine, now."""
    versions = {"Python": platform.python_version()} | {name: version(name) for name in libraries}
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        processor=_find("/proc/cpuinfo", r"^model name\s*:\s*(.+)$") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=int(_find("/proc/meminfo", r"^MemTotal:\s*(\d+) kB$") or 0) * 1024,
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        load=os.getloadavg()[0],
        versions=versions,
    )


def peak_bytes() -> int:
    """Return this process's peak resident memory.

    Not from getrusage: there, a child starts with the peak of the process that started it.
    """
    peak = _find("/proc/self/status", r"^VmHWM:\s+(\d+) kB$")
    if peak is None:
        raise OSError("/proc/self/status has no VmHWM")
    return int(peak) * 1024


def _find(file: str, pattern: str) -> str | None:
    path = Path(file)
    match = re.search(pattern, path.read_text(), re.MULTILINE) if path.exists() else None
    return match[1].strip() if match else None
