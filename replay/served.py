"""Whether a lake has what features and thresholds are made of."""

from collections.abc import Collection

from replay.snapshot import Snapshot
from scorer.errors import BadInput
from scorer.registry import ModelVersion
from scorer.spec import Spec


def check_served(snapshot: Snapshot, version: ModelVersion) -> list[str]:
    """Raise BadInput where the log lacks a column of a version; return what stands in for one."""
    known = snapshot.pinned["clicks"].schema.names
    for column in version.manifest.slice_columns:
        if column not in known:
            raise BadInput(
                f"{version.name} has thresholds by {column}, which is no column of clicks; "
                "choose another version"
            )
    training = version.manifest.training
    read = training.table_versions if training else {}
    return check_profiles(snapshot, version.spec, version.name, read)


def check_profiles(
    snapshot: Snapshot, spec: Spec, who: str, read: Collection[str] = ()
) -> list[str]:
    """Raise BadInput where profiles lack a column of a spec; return what stands in for one.

    A column that the lake has not is no reason where no profiles were ever written, nor are among
    the tables that were `read` in training: its default is then what training has always seen.
    """
    notes = []
    for profile in spec.profiles:
        table = f"profiles_{profile.table}"
        pin = snapshot.pinned[table]
        if profile.column in pin.schema.names:
            continue
        if pin.version >= 0 or table in read:
            raise BadInput(
                f"{who} needs the column {profile.column} of {table}, which this lake has not; "
                f"bring it in with `replay import {table} FILE`"
            )
        notes.append(
            f"{who} takes {profile.column} from {table}, which is empty: its default, "
            f"{profile.default}, stands for every click"
        )
    return notes
