"""Bad input costs one line that says what is wrong; the exit code is 2, and nothing is written."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from replay.cli import INTERRUPTED, main
from replay.lake import Lake
from replay.runs import RunFolder
from tests.disks import files, full_disk
from tests.lakes import make_lake
from tests.versions import at_least, burst

RUN = ("run", "--from", "2026-03-01", "--to", "2026-03-02", "--model", "v10")
FEATURES = ("features", "--from", "2026-03-01", "--to", "2026-03-02", "--out", "OUT")
IMPORT = ("import", "clicks", "FILE")
EXPLAIN = ("explain", "u0")
STATUS = ("status",)
SQL = ("sql", "SELECT count(DISTINCT user_id) FROM clicks")
HEADER = b"click_id,ts,user_id,device,logged_in,advertiser_id,campaign_id,price_micros\n"
ROW = b"c1,2026-03-01T12:00:00Z,u,desktop,true,a,c,5\n"

Refused = Callable[..., str]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_lake(tmp_path_factory.mktemp("template"), burst(40))
    at_least(made, "v10", 2)
    return made.home


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> Lake:
    """A lake of its own for each test, since many damage it."""
    shutil.copytree(template, tmp_path / "lake")
    return Lake.open(tmp_path / "lake")


@pytest.fixture
def call(lake: Lake, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command on the lake in this process; return exit code, stdout and stderr."""

    def run(*line: str, home: Path = lake.home) -> tuple[int, str, str]:
        out = str(lake.home.parent / "out.parquet")
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([*(out if word == "OUT" else word for word in line), "--home", str(home)])
        assert isinstance(stop.value.code, int)
        return (stop.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(lake: Lake, call: Callable[..., tuple[int, str, str]]) -> Refused:
    """Return the one line that a command is refused with, nothing having been written."""

    def run(*line: str, home: Path = lake.home) -> str:
        before = files(lake.home.parent)
        code, out, err = call(*line, home=home)
        assert (code, out, err.count("\n")) == (2, "", 1), (out, err)
        assert err.startswith("replay: ")
        assert files(lake.home.parent) == before
        return err

    return run


def instead(line: Sequence[str], option: str, value: str) -> tuple[str, ...]:
    """Return a command with an option's value exchanged, or added."""
    at = line.index(option) if option in line else len(line)
    return (*line[:at], option, value, *line[at + 2 :])


@pytest.mark.parametrize("line", [RUN, FEATURES])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v1", "no model version named 'v1'. Did you mean v10?"),
        ("prevoius", "Did you mean previous?"),
        ("nothing-like-it", "`replay models list` shows the stored versions."),
        ("../lake/models/v10", "no model version named"),
        ("", "no model version named ''"),
        ("production", "Promote one with"),
    ],
)
def test_unknown_model(refused: Refused, line: tuple[str, ...], name: str, said: str) -> None:
    assert said in refused(*instead(line, "--model", name))


@pytest.mark.parametrize("line", [RUN, FEATURES])
@pytest.mark.parametrize(
    ("from_", "to", "said"),
    [
        ("2026-03-02", "2026-03-01", "--from 2026-03-02T00:00:00Z is not before --to"),
        ("2026-03-01", "2026-03-01", "Ranges are [from, to)."),
        ("2026-03-01T01:00", "2026-03-01T02:00+01:00", "is not before --to"),
        ("2026-02-01", "2026-03-01", "the log has clicks from 2026-03-01T12:00:00Z"),
        ("2026-03-02", "2026-04-01", "to 2026-03-01T12:00:39Z"),
        ("0001-01-01", "0001-01-02", "no click in [0001-01-01T00:00:00Z"),
        ("2026-03-01T12:00:00.5", "2026-03-01T12:00:00.6", "no click in"),
        ("2026-03-01T12:00:39.000001", "9999-12-31", "no click in"),
        ("yesterday", "now", "'yesterday' is no time: write 2026-03-01T14:00"),
        ("2026-02-30", "now", "'2026-02-30' is no time"),
        ("-1y", "now", "'-1y' is no time"),
    ],
)
def test_spans(refused: Refused, line: tuple[str, ...], from_: str, to: str, said: str) -> None:
    assert said in refused(*instead(instead(line, "--from", from_), "--to", to))


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("seq + 1", "is BIGINT, not true or false"),
        ("'true'", "is VARCHAR"),
        ("sequence = 1", 'Referenced column "sequence" not found'),
        ("seq =", "syntax error"),
        ("", "--where is empty"),
        ("seq = 1; DROP TABLE clicks", "--where"),
        ("seq = 1) OR (SELECT true", "--where"),
        ("(SELECT count(*) FROM clicks) > 0", "holds a subquery"),
        ("seq IN (COPY clicks TO 'x.csv')", "--where"),
        ("random() < 0.5", "differs from run to run"),
        ("user_id::INTEGER = 1", "fails on a click: Conversion Error: Could not convert"),
    ],
)
def test_where(refused: Refused, where: str, said: str) -> None:
    assert said in refused(*RUN, "--where", where)


@pytest.mark.parametrize("share", ["0", "0%", "101%", "1.01", "-5%", "nan", "inf", "half", ""])
def test_shares(refused: Refused, share: str) -> None:
    assert "is no share: write 5% or 0.05" in refused(*RUN, "--sample", share)
    if share not in ("0", "0%"):
        assert "is no share" in refused(*RUN, "--max-changed", share)


@pytest.mark.parametrize("line", [RUN, FEATURES, EXPLAIN])
def test_as_of_before_the_first_commit(refused: Refused, line: tuple[str, ...]) -> None:
    assert "before the lake's first clicks" in refused(*line, "--as-of", "2001-01-01")
    assert "'' is no time" in refused(*line, "--as-of", "")


def test_ids_that_are_not_there(refused: Refused) -> None:
    assert "no run named 'x'" in refused("runs", "show", "x")
    assert "no run named '../models'" in refused("runs", "show", "../models")
    assert "no run named 'latest'" in refused("runs", "show", "latest")
    assert "no run named 'x'" in refused("import", "decisions", "--from-run", "x")
    assert "no click 'x' in the log" in refused("explain", "x")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("f.csv", b"", "the file is empty"),
        ("f.parquet", b"", "the file is empty"),
        ("f.parquet", HEADER + ROW, "not what its name says"),
        ("f.csv.gz", HEADER + ROW, "the name says gzip"),
        ("f.parquet", b"PAR1" + bytes(100) + b"PAR1", "damaged or cut off"),
        ("f.csv", b"click_id\nc1\n", "column"),
    ],
)
def test_files_to_import(
    refused: Refused, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = refused("import", "clicks", str(path))
    assert message.startswith(f"replay: {path}")
    assert said in message


def test_a_map_that_names_an_absent_column(refused: Refused, tmp_path: Path) -> None:
    data, column_map = tmp_path / "f.csv", tmp_path / "map.toml"
    data.write_bytes(HEADER + ROW)
    column_map.write_text('[columns]\nip = "adress"\n')
    said = refused("import", "clicks", str(data), "--map", str(column_map))
    assert str(column_map) in said
    assert "adress" in said


@pytest.mark.parametrize("file", ["weights.safetensors", "calibration.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "gone", "foreign"])
def test_a_damaged_version_is_refused_by_name(
    refused: Refused, lake: Lake, file: str, damage: str
) -> None:
    path = lake.home / "models" / "v10" / file
    data = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(data[:-2])
        case "flipped":
            path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
        case "empty":
            path.write_bytes(b"")
        case "gone":
            path.unlink()
        case "foreign":
            at_least(lake, "other", 3)
            shutil.copy(lake.home / "models" / "other" / file, path)
    if file == "calibration.json" and damage == "foreign":
        return  # both versions have the same thresholds
    for line in (RUN, EXPLAIN):
        message = refused(*line)
        assert str(path.parent) in message
        assert file in message


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ('[[counts]]\nentity = "ip"\nwindows = ["1h@7m"]', "7m does not divide 1h"),
        ('[[counts]]\nentity = "ip"\nwindows = ["1m@2m"]', "2m does not divide 1m"),
        ('[[counts]]\nentity = "ip"\nwindows = ["1h"]', "has no resolution"),
        ('[[counts]]\nentity = "pi"\nwindows = ["1h@1m"]', "no click column named 'pi'"),
        ('[[gaps]]\nentity = "ip"\ncap = "0s"', "'0s' is no duration"),
        ("[[gaps", "not TOML"),
        ("\xff", "not TOML"),
    ],
)
def test_specs(refused: Refused, tmp_path: Path, spec: str, said: str) -> None:
    path = tmp_path / "spec.toml"
    path.write_bytes(spec.encode("latin-1"))
    message = refused(*FEATURES, "--spec", str(path))
    assert said in message
    assert str(path) in message


def test_out(refused: Refused, lake: Lake, tmp_path: Path) -> None:
    for out in ("", str(tmp_path), "/dev/null"):
        assert "names no file" in refused(*instead(FEATURES, "--out", out))
    for out in (f"{lake.home}/replay.toml/f.parquet", "/proc/f.parquet"):
        assert "cannot be written" in refused(*instead(FEATURES, "--out", out))


@pytest.mark.parametrize("line", [RUN, FEATURES, EXPLAIN, STATUS, SQL, ("runs", "list")])
def test_a_home_that_is_no_lake(refused: Refused, tmp_path: Path, line: tuple[str, ...]) -> None:
    (tmp_path / "empty").mkdir()
    file = tmp_path / "file"
    file.write_text("")
    for home in (tmp_path / "empty", tmp_path / "absent", file):
        message = refused(*line, home=home)
        assert str(home) in message
        assert "--home" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("currency = ", "not TOML"),
        ('currency = "dollars"', "currency"),
        ('currency = "USD"\nformat = 2', "format"),
        ('home = "elsewhere"', "is no lake"),
        (None, "can't be read"),
    ],
)
def test_a_damaged_replay_toml(refused: Refused, lake: Lake, text: str | None, said: str) -> None:
    path = lake.home / "replay.toml"
    path.unlink()
    if text is None:
        path.mkdir()
    else:
        path.write_text(text)
    for line in (RUN, STATUS):
        message = refused(*line)
        assert said in message
        assert str(lake.home) in message


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "zeros"])
def test_a_damaged_file_of_the_lake_is_named(refused: Refused, lake: Lake, damage: str) -> None:
    (path,) = lake.home.glob("clicks/*/*.parquet")
    data = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(data[:-20])
        case "empty":
            path.write_bytes(b"")
        case "gone":
            path.unlink()
        case "zeros":
            path.write_bytes(data[:100] + bytes(1500) + data[1600:])
    for line in (RUN, FEATURES, EXPLAIN, STATUS):
        message = refused(*line)
        assert str(path) in message
        assert "cannot be read" in message
    refused(*SQL)


def test_a_damaged_commit_of_the_lake_is_named(refused: Refused, lake: Lake) -> None:
    (lake.home / "clicks" / "_delta_log" / "00000000000000000001.json").write_text("{")
    for line in (RUN, FEATURES, EXPLAIN, STATUS, SQL):
        assert f"table {lake.home}/clicks cannot be read" in refused(*line)


@pytest.mark.parametrize("line", [RUN, FEATURES], ids=["run", "features"])
@pytest.mark.parametrize("size", [0, 3, 700])
def test_a_full_disk(
    call: Callable[..., tuple[int, str, str]], lake: Lake, line: tuple[str, ...], size: int
) -> None:
    before = files(lake.home.parent)
    with full_disk(size):
        code, out, err = call(*line)
    assert (code, out, err.count("\n")) == (2, "", 1), (out, err)
    assert "cannot be written: a file-size limit was reached" in err
    assert files(lake.home.parent) == before
    assert call(*line)[0] == 0


def read_only(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command for which alone, even if root, a folder is on a read-only file system."""
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(folder), *command],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("line", [RUN, FEATURES, IMPORT], ids=lambda line: line[0])
def test_a_read_only_home(lake: Lake, tmp_path: Path, line: tuple[str, ...]) -> None:
    if not shutil.which("unshare") or read_only(lake.home, "true").returncode:
        pytest.skip("no folder can be made read-only: user namespaces are not allowed here")
    (tmp_path / "f.csv").write_bytes(HEADER + ROW)
    place = {"OUT": str(lake.home / "out.parquet"), "FILE": str(tmp_path / "f.csv")}
    before = files(lake.home)
    words = [place.get(word, word) for word in (*line, "--home", str(lake.home))]
    done = read_only(lake.home, sys.executable, "-m", "replay.cli", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert "cannot be written: the file system is read-only" in done.stderr
    assert files(lake.home) == before


@pytest.fixture
def own_handler() -> Iterator[None]:
    """`main` answers the first Ctrl-C of a process and leaves the next to the system."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("own_handler")
@pytest.mark.parametrize(
    ("line", "where"),
    [(RUN, (RunFolder, "write_part")), (FEATURES, (pq.ParquetWriter, "write_table"))],
    ids=["run", "features"],
)
def test_ctrl_c(
    call: Callable[..., tuple[int, str, str]],
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    line: tuple[str, ...],
    where: tuple[type, str],
) -> None:
    """A signal in the midst of writing; click ends the terminal's line first."""
    before = files(lake.home.parent)
    monkeypatch.setattr(*where, lambda *_, **__: signal.raise_signal(signal.SIGINT))
    code, out, err = call(*line)
    assert (code, out, err) == (130, "", f"\nreplay: {INTERRUPTED}\n")
    assert files(lake.home.parent) == before
