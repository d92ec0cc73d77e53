"""The file of verdicts: what it holds, and how it comes back from what cut it short."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recovery.delivery import check_sinks, deliver
from recovery.sinks import open_sinks
from recovery.sinks.ndjson import Ndjson, NdjsonOptions
from recovery.sinks.sink import ForeignSink, Held, SinkUnreachable
from replay.lake import Lake
from tests.recovery.sending import add_verdicts, expected, ledger_lake, numbers


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return ledger_lake(tmp_path / "lake")


@pytest.fixture
def file(lake: Lake) -> Path:
    return lake.home / "out.ndjson"


def lines(file: Path) -> list[str]:
    text = file.read_bytes().decode()
    assert text == "" or text.endswith("\n")
    return text.split("\n")[:-1]


def test_a_line_for_each_verdict_in_the_ledgers_order(lake: Lake, file: Path) -> None:
    (served,) = deliver(lake).sinks
    assert (served.sent, served.first, served.ledger_seq, served.head) == (10, 1, 10, 10)
    assert lines(file) == expected(lake)
    (again,) = deliver(lake).sinks
    assert (again.sent, again.first, again.error) == (0, None, None)
    assert len(lines(file)) == 10


def test_what_is_new_is_appended(lake: Lake, file: Path) -> None:
    deliver(lake)
    before = file.read_bytes()
    add_verdicts(lake, 4, after=10)
    assert deliver(lake).sinks[0].sent == 4
    assert file.read_bytes().startswith(before)
    assert lines(file) == expected(lake)


@pytest.mark.parametrize("keep", ["0", "1", "middle of a line", "all but the last byte"])
def test_a_torn_file_goes_on_from_its_last_whole_line(lake: Lake, file: Path, keep: str) -> None:
    deliver(lake)
    whole = file.read_bytes()
    sizes = {"0": 0, "1": 1, "middle of a line": len(whole) // 2}
    os.truncate(file, sizes.get(keep, len(whole) - 1))
    left = file.read_bytes().count(b"\n")
    (served,) = deliver(lake).sinks
    assert (served.sent, served.error) == (10 - left, None)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("zeros_from", ["start", "line", "inside"])
def test_blocks_that_never_reached_the_disk_are_written_again(
    lake: Lake, file: Path, zeros_from: str
) -> None:
    """After a power cut a file may have its length, and zeros where its end should be."""
    deliver(lake)
    whole = file.read_bytes()
    fourth = sum(len(line) + 1 for line in whole.split(b"\n")[:3])
    at = {"start": 0, "line": fourth, "inside": fourth + 20}[zeros_from]
    file.write_bytes(whole[:at] + bytes(len(whole) - at))
    assert deliver(lake).problems == []
    assert file.read_bytes() == whole


def test_a_removed_file_gets_everything_again_byte_for_byte(lake: Lake, file: Path) -> None:
    deliver(lake)
    whole = file.read_bytes()
    file.unlink()
    assert deliver(lake).sinks[0].sent == 10
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"run-1"', '"run-9"'),
        lambda text: text.replace('"ledger_seq":10}', '"ledger_seq":9}'),
        lambda text: text.replace('"ledger_seq":10}', '"ledger_seq":11}'),
        lambda text: text.replace('"ledger_seq":10}', '"ledger_seq":true}'),
        lambda text: text + "{}\n",
        lambda text: text + "[1]\n",
        lambda text: text + "dear diary\n",
    ],
)
def test_a_file_of_another_ledger_is_left_alone(
    lake: Lake, file: Path, change: Callable[[str], str]
) -> None:
    deliver(lake)
    file.write_text(change(file.read_text()))
    before = file.read_bytes()
    add_verdicts(lake, 3, after=10)
    if b'"ledger_seq":11}' in before:
        lake = ledger_lake(lake.home.parent / "other")
        before = file.rename(lake.home / "out.ndjson").read_bytes()
        file = lake.home / "out.ndjson"
    report = deliver(lake)
    (problem,) = report.problems
    assert "sink 'file': " in problem
    assert str(file) in problem
    assert "of its own" in problem
    assert "\n" not in problem
    assert report.exit_code == 2
    assert file.read_bytes() == before


@pytest.mark.parametrize("text", ["currency = 'USD'", "x", '{"other": 1}'])
def test_a_file_that_is_no_such_file_is_left_alone(lake: Lake, file: Path, text: str) -> None:
    file.write_text(text)
    assert "is not a file of this sink" in deliver(lake).problems[0]
    assert file.read_text() == text


def test_a_long_line_is_found_whole(tmp_path: Path) -> None:
    file = tmp_path / "f"
    long = json.dumps({"verdict_id": "v", "reason": "x" * 200_000, "ledger_seq": 2}) + "\n"
    file.write_text('{"verdict_id":"u","ledger_seq":1}\n' + long + '{"verdict_id":"' + "y" * 99_999)
    sink = Ndjson("s", NdjsonOptions(path=str(file)), tmp_path)
    assert sink.position() == Held(2, long.encode())


def test_a_relative_path_is_in_the_lake_and_an_absolute_one_where_it_says(tmp_path: Path) -> None:
    home = tmp_path / "lake"
    assert Ndjson("s", NdjsonOptions(path="a/../out.x"), home).path == home / "out.x"
    assert Ndjson("s", NdjsonOptions(path="/x/y"), home).path == Path("/x/y")


@pytest.mark.parametrize("path", ["nosuch/out.ndjson", "clicks.d", "x" * 300])
def test_a_place_that_cannot_be_written_is_told_beforehand(tmp_path: Path, path: str) -> None:
    lake = ledger_lake(tmp_path / "lake", sinks={"s": {"kind": "ndjson", "path": path}})
    (lake.home / "clicks.d").mkdir()
    with pytest.raises(SinkUnreachable, match=path) as caught:
        check_sinks(open_sinks(lake))
    assert "\n" not in str(caught.value)
    assert deliver(lake).exit_code == 2


def test_checking_leaves_no_file(lake: Lake, file: Path) -> None:
    check_sinks(open_sinks(lake))
    assert not file.exists()


def test_a_file_of_no_verdict_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("\n")
    with pytest.raises(ForeignSink):
        Ndjson("s", NdjsonOptions(path="f"), tmp_path).position()


def limited_delivery(home: Path, size: int) -> subprocess.CompletedProcess[str]:
    """Deliver in a process where no file may grow beyond `size` bytes, as on a full disk."""
    script = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from replay.lake import Lake
from recovery.delivery import deliver
report = deliver(Lake.open(Path({str(home)!r})))
print(*report.problems, sep="\\n")
sys.exit(report.exit_code)
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


@pytest.mark.parametrize("room", [1, 1500])
def test_a_full_disk_takes_back_the_whole_batch(lake: Lake, file: Path, room: int) -> None:
    deliver(lake)
    before = file.read_bytes()
    add_verdicts(lake, 10, after=10)
    done = limited_delivery(lake.home, len(before) + room)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith(f"sink 'file': {file} cannot be written: ")
    assert done.stdout.count("\n") == 1
    assert file.read_bytes() == before
    assert deliver(lake).sinks[0].sent == 10
    assert numbers(lines(file)) == list(range(1, 21))
