"""Programs that some tests run: linters of files that can't be run here, and servers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def tool(name: str, package: str) -> str:
    """Find a program on the PATH or beside Python; skip without it, and fail where CI is set."""
    beside = Path(sys.executable).parent
    found = shutil.which(name) or shutil.which(name, path=str(beside))
    if found is None:
        missing = f"no {name} on this machine ({package})"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def run(*line: str | Path) -> None:
    """Run a program; fail with what it says."""
    done = subprocess.run(list(line), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
