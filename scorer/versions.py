"""The folder of model versions, read without torch: names, manifests, digests.

models/<version>/
  manifest.json         see `scorer.manifest`; the digests of the other two stand in it
  weights.safetensors   or model.onnx, for a version that was made elsewhere
  calibration.json      see `scorer.calibration`
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from scorer.calibration import Calibration
from scorer.errors import BadInput, BadModelFile, UnknownModel
from scorer.manifest import Manifest, first, read_manifest

MANIFEST, CALIBRATION = "manifest.json", "calibration.json"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
POINTERS = ("production", "previous", "latest")


class ProductionPointer(Protocol):
    """Tells which version decides live clicks."""

    def production(self) -> str | None:
        """Return the version in production; None where none ever was."""
        ...

    def previous(self) -> str | None:
        """Return the last version before it that was never rolled back from, or None."""
        ...


@dataclass(frozen=True)
class StoredManifest:
    """A manifest and the SHA-256 of its file."""

    manifest: Manifest
    digest: str


class Versions:
    """The stored versions of a lake, in its folder `models`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Return all names, oldest first; those with a damaged manifest come before the others."""
        if not self.folder.is_dir():
            return []
        found = (entry for entry in self.folder.iterdir() if entry.is_dir())
        return sorted((e.name for e in found if NAME.fullmatch(e.name)), key=self._age)

    def manifest(self, name: str) -> Manifest:
        """Return a version's manifest; raise UnknownModel or BadModelFile."""
        return self.stored(name).manifest

    def stored(self, name: str) -> StoredManifest:
        """Return a version's manifest and digest; raise UnknownModel or BadModelFile."""
        self.find(name)
        path = self.folder / name / MANIFEST
        data = read(path)
        return StoredManifest(read_manifest(data, name, str(path)), sha256(data))

    def find(self, name: str) -> Path:
        """Return a version's folder; raise UnknownModel with the nearest names."""
        if not NAME.fullmatch(name) or not (self.folder / name).is_dir():
            raise UnknownModel(name, [*self.names(), *POINTERS])
        return self.folder / name

    def contents(self, name: str, file: str) -> bytes:
        """Return the bytes of one of a version's files; raise BadModelFile on any difference."""
        listed = self.manifest(name).files.get(file)
        path = self.folder / name / file
        if listed is None:
            raise BadModelFile(f"{path.parent / MANIFEST} lists no {file}; restore the version")
        data = read(path)
        if len(data) != listed.size:
            raise BadModelFile(
                f"{path} holds {len(data):,} bytes and not the {listed.size:,} of its manifest; "
                "restore it from a copy"
            )
        if sha256(data) != listed.sha256:
            raise BadModelFile(
                f"{path} does not match the digest in its manifest; restore it from a copy"
            )
        return data

    def calibration(self, name: str) -> Calibration:
        """Return a version's thresholds; raise UnknownModel or BadModelFile."""
        data = self.contents(name, CALIBRATION)
        try:
            return Calibration.model_validate_json(data)
        except ValidationError as exc:
            path = self.folder / name / CALIBRATION
            raise BadModelFile(f"{path} holds no thresholds: {first(exc)}") from exc

    def verify(self, name: str) -> Manifest:
        """Check the digest of every file of a version, and its thresholds; return its manifest."""
        manifest = self.manifest(name)
        self.contents(name, manifest.weights)
        self.calibration(name)
        return manifest

    def _age(self, name: str) -> tuple[float, str]:
        try:
            return self.manifest(name).created_at.timestamp(), name
        except BadModelFile:
            return float("-inf"), name


def resolve(name: str, versions: Versions, pointer: ProductionPointer) -> str:
    """Return the version that a user's `--model` means: a version's name, or one of POINTERS.

    Raises UnknownModel where there is none, naming the nearest.
    """
    match name:
        case "production":
            chosen = pointer.production()
        case "previous":
            chosen = pointer.previous()
        case "latest":
            names = versions.names()
            chosen = names[-1] if names else None
        case _:
            chosen = name
    if chosen is None:
        raise BadInput(f"no version is {name!r} here yet. {_ABSENT[name]}")
    versions.find(chosen)
    return chosen


_ABSENT = {
    "production": "Promote one with `replay models promote VERSION --reason WHY`.",
    "previous": "`replay models list` shows the stored versions.",
    "latest": "Train one with `replay train`.",
}


def check_name(name: str) -> None:
    """Raise BadInput where a new version can't have this name.

    >>> check_name("v1.2-night")
    >>> check_name("latest")
    Traceback (most recent call last):
    ...
    scorer.errors.BadInput: no version can be named 'latest': --model reads it as a pointer
    """
    if name in POINTERS:
        raise BadInput(f"no version can be named {name!r}: --model reads it as a pointer")
    if not NAME.fullmatch(name):
        raise BadInput(
            f"{name!r} can't be a version's name: at most 64 of a-z, 0-9, '.', '_' and '-', "
            "a letter or digit first"
        )


def read(path: Path) -> bytes:
    """Read a model file; raise BadModelFile where it is missing or can't be read."""
    try:
        return path.read_bytes()
    except OSError as exc:
        raise BadModelFile(f"{path} can't be read: {exc.strerror}; restore it from a copy") from exc


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()
