"""Appending: once per transaction, whole or not at all."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from replay.errors import LakeBusy, LakeUnwritable, NotALake
from replay.lake import Lake
from replay.parts import iso_milliseconds, write_parts
from replay.snapshot import Snapshot
from replay.tables import CLICKS, PROFILES_USER
from tests.lakes import add_rows, click, make_lake, to_table

DAY = 86_400_000_000
FIRST = 1_772_323_200_000_000


def batches(*times: int) -> list[pa.RecordBatch]:
    found: list[pa.RecordBatch] = to_table(CLICKS, [click(ts) for ts in times]).to_batches()
    return found


def clicks(lake: Lake) -> int:
    return Snapshot.take(lake).rows("clicks")


def test_a_transaction_is_added_once(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path, "USD")
    assert lake.append("clicks", batches(FIRST, FIRST + 1), ("writer", 1)) == 2
    assert lake.append("clicks", batches(FIRST, FIRST + 1), ("writer", 1)) == 0
    assert lake.append("clicks", batches(FIRST + 2), ("writer", 2)) == 1
    assert lake.append("clicks", batches(FIRST + 3), ("other", 1)) == 1
    assert (clicks(lake), lake.transaction("clicks", "writer")) == (4, 2)
    assert lake.transaction("decisions", "writer") is None


def test_a_table_kept_open_sees_what_was_committed_since(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", "USD")
    opened = lake.ready("clicks")
    assert lake.append("clicks", batches(FIRST), ("writer", 1), opened=opened) == 1
    assert lake.append("clicks", batches(FIRST), ("writer", 1), opened=opened) == 0
    assert lake.append("clicks", batches(FIRST + 1), ("other", 1)) == 1
    assert lake.append("clicks", batches(FIRST + 1), ("other", 1), opened=opened) == 0
    assert lake.append("clicks", batches(FIRST + 2), ("writer", 2), opened=opened) == 1
    assert clicks(lake) == 3
    lake.home.rename(tmp_path / "away")
    with pytest.raises(NotALake):
        lake.append("clicks", batches(FIRST + 3), ("writer", 3), opened=opened)
    assert not lake.home.exists()


def test_no_rows_are_no_commit(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path, "USD")
    assert lake.append("clicks", batches(), ("writer", 1)) == 0
    assert lake.transaction("clicks", "writer") is None


def test_a_file_for_each_date_with_bounds_cut_to_milliseconds(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path, "USD")
    lake.append("clicks", batches(FIRST + 1_999, FIRST + DAY - 1, FIRST + DAY), ("w", 1))
    first, second = Snapshot.take(lake).pinned["clicks"].files
    assert (first.rows, second.rows) == (2, 1)
    assert first.first == FIRST + 1_000
    assert first.last >= FIRST + DAY - 1
    assert iso_milliseconds(FIRST + DAY - 1) == "2026-03-01T23:59:59.999Z"
    assert "date=2026-03-01" in first.path
    assert "date=2026-03-02" in second.path


def test_a_failing_source_leaves_no_commit_and_no_half_file(tmp_path: Path) -> None:
    lake = make_lake(tmp_path, [click(FIRST)])

    def rows() -> object:
        yield from batches(FIRST + 1)
        raise ValueError("the source broke")

    with pytest.raises(ValueError, match="the source broke"):
        lake.append("clicks", rows(), ("w", 1))  # type: ignore[arg-type]
    assert clicks(lake) == 1
    assert not list(tmp_path.rglob("*.writing"))


def test_exclusive_commits_exclude_each_other(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path, "USD")
    one, other = lake.ready("clicks"), lake.ready("clicks")
    assert lake.append("clicks", batches(FIRST), ("run-1", 1), exclusive=one) == 1
    with pytest.raises(LakeBusy, match="run the command again"):
        lake.append("clicks", batches(FIRST), ("run-2", 1), exclusive=other)
    assert clicks(lake) == 1
    again = lake.ready("clicks")
    assert lake.append("clicks", batches(FIRST + 1), ("run-2", 1), exclusive=again) == 1


def test_plain_commits_at_once_both_land(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path, "USD")
    lake.ready("clicks")
    script = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from replay.lake import Lake
from tests.replay.test_lake import FIRST, batches
lake = Lake.open(Path({str(tmp_path)!r}))
for k in range(5):
    lake.append("clicks", batches(FIRST + k), (sys.argv[1], k + 1))
"""
    writers = [subprocess.Popen([sys.executable, "-c", script, name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert clicks(lake) == 10


def test_a_lake_moved_away_is_not_begun_anew(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", "USD")
    lake.home.rename(tmp_path / "elsewhere")
    with pytest.raises(NotALake):
        lake.append("clicks", batches(FIRST), ("w", 1))
    assert not lake.home.exists()


def test_a_file_is_not_written_for_a_table_moved_away(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(write_parts(tmp_path / "lake" / "clicks", CLICKS, batches(FIRST), "stem"))
    assert not list(tmp_path.iterdir())


def test_profiles_widen_the_table_and_keep_earlier_versions(tmp_path: Path) -> None:
    row = {"key": "u", "valid_from": FIRST}
    lake = make_lake(tmp_path, profiles_user=[{**row, "age": 1.5}])
    add_rows(lake, "profiles_user", [{**row, "key": "v", "is_staff": True}])
    delta = lake.delta("profiles_user")
    assert delta is not None
    names = [field.name for field in delta.schema().fields]
    assert names == ["key", "valid_from", "date", "age", "is_staff"]
    assert [f.name for f in DeltaTable(tmp_path / "profiles_user", version=1).schema().fields] == [
        "key",
        "valid_from",
        "date",
        "age",
    ]
    assert PROFILES_USER.open_columns


def test_no_lake_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(NotALake, match="is no folder"):
        Lake.open(tmp_path / "nosuch")
    with pytest.raises(NotALake, match="is no lake"):
        Lake.open(tmp_path)


def limited_append(home: Path, size: int) -> subprocess.CompletedProcess[str]:
    """Append in a process where no file may grow beyond `size` bytes, as on a full disk."""
    script = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from replay.errors import LakeUnwritable
from replay.lake import Lake
from tests.replay.test_lake import FIRST, batches
lake = Lake.open(Path({str(home)!r}))
try:
    lake.append("clicks", batches(*range(FIRST, FIRST + 2000)), ("w", 1))
except LakeUnwritable as exc:
    print(exc)
    sys.exit(exc.exit_code)
"""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return subprocess.run(
        [sys.executable, "-B", "-c", script],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("size", [100, 3000])
def test_a_full_disk_is_one_line_and_the_table_is_as_before(tmp_path: Path, size: int) -> None:
    lake = make_lake(tmp_path, [click(FIRST)])
    done = limited_append(tmp_path, size)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith(f"{tmp_path} cannot be written: ")
    assert done.stdout.count("\n") == 1
    assert clicks(lake) == 1
    (file,) = Snapshot.take(lake).pinned["clicks"].files
    assert pq.read_metadata(file.path).num_rows == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_home_is_one_line(tmp_path: Path) -> None:
    home = tmp_path / "lake"
    lake = make_lake(home, [click(FIRST)])
    for folder in (home / "clicks", home / "clicks" / "_delta_log"):
        folder.chmod(0o500)
    with pytest.raises(LakeUnwritable, match="permission denied"):
        lake.append("clicks", batches(FIRST + DAY), ("w", 1))
    with pytest.raises(LakeUnwritable, match="permission denied"):
        Lake.create(home / "clicks" / "inner", "USD")
