"""The distribution: what is installed, and the versions that it is tested with."""

import re
import tomllib
from importlib.metadata import distribution, entry_points
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("recovery", "replay", "scorer", "simulator")
PLATFORM = ("nvidia-", "cuda-", "triton")  # come with torch's own build for a machine


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().split()
    return {
        canonicalize_name(name): version for name, _, version in (s.partition("==") for s in lines)
    }


def test_the_command_is_installed() -> None:
    (script,) = entry_points(group="console_scripts", name="replay")
    assert script.value == "replay.cli:main"


def test_every_file_of_a_package_is_shipped() -> None:
    globs = PROJECT["tool"]["setuptools"]["package-data"]
    for package in PACKAGES:
        files = {f for f in (ROOT / package).rglob("*") if f.is_file()}
        data = {f for f in files if f.suffix != ".py" and "__pycache__" not in f.parts}
        shipped = {f for pattern in globs[package] for f in (ROOT / package).glob(pattern)}
        assert data == shipped
        assert ROOT / package / "py.typed" in shipped


def test_every_folder_with_code_is_a_package() -> None:
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            assert (file.parent / "__init__.py").exists(), file


def test_every_pin_is_exact() -> None:
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pins().values())


def test_everything_that_is_installed_is_pinned() -> None:
    waiting, seen = [("slidr-replay", extra) for extra in ("", "dev", "bench")], set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name.startswith(PLATFORM):
            continue
        seen.add((name, extra))
        for text in distribution(name).requires or []:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                wanted = canonicalize_name(need.name)
                waiting += [(wanted, e) for e in ("", *need.extras)]
    installed = {name for name, _ in seen} - {"slidr-replay"}
    assert installed == set(pins())


def test_the_changelog_names_this_version() -> None:
    version = PROJECT["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
