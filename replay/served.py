"""Whether a lake has what a version's features and thresholds are made of."""

from replay.snapshot import Snapshot
from scorer.errors import BadInput
from scorer.registry import ModelVersion


def check_served(snapshot: Snapshot, version: ModelVersion) -> list[str]:
    """Raise BadInput where the log lacks a column of a version; return what stands in for one.

    A profile column that the lake has not is no reason where no profiles were ever written, nor
    read when the version was trained: its default is then what the version has always seen.
    """
    known = snapshot.pinned["clicks"].schema.names
    for column in version.manifest.slice_columns:
        if column not in known:
            raise BadInput(
                f"{version.name} has thresholds by {column}, which is no column of clicks; "
                "choose another version"
            )
    training, notes = version.manifest.training, []
    for profile in version.spec.profiles:
        table = f"profiles_{profile.table}"
        pin = snapshot.pinned[table]
        if profile.column in pin.schema.names:
            continue
        if pin.version >= 0 or (training and table in training.table_versions):
            raise BadInput(
                f"{version.name} needs the column {profile.column} of {table}, which this lake has "
                f"not; bring it in with `replay import {table} FILE`"
            )
        notes.append(
            f"{version.name} takes {profile.column} from {table}, which is empty: its default, "
            f"{profile.default}, stands for every click"
        )
    return notes
