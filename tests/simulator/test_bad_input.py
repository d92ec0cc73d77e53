"""Bad input as a user types it: one line that says what to do, exit code 2, and nothing written."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from replay.cli import main
from replay.lake import Lake

FEW = ("--scenario", "quiet", "--clicks-per-day", "300")
PRODUCTION = "[production]\n"
TYPO = '[[incidents]]\nkind = "threshold_mistyped"\nhours = 2\nbegins_hour = '


class Typed(NamedTuple):
    code: object
    out: str
    err: str


Type = Callable[..., Typed]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Type:
    def type_(*args: object) -> Typed:
        with pytest.raises(SystemExit) as exit_:
            main(["simulate", *map(str, args)])
        return Typed(exit_.value.code, *capsys.readouterr())

    return type_


def files(home: Path) -> dict[str, bytes]:
    """Return what is in a folder; nothing where it is not there."""
    return {str(f.relative_to(home)): f.read_bytes() for f in home.rglob("*") if f.is_file()}


def refused(found: Typed, message: str) -> None:
    assert (found.code, found.out) == (2, "")
    assert found.err.count("\n") == 1
    assert message in found.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--scenario quite", "Did you mean quiet?"),
        ("--scenario .", "no scenario named '.'"),
        (f"--scenario {'a' * 5000}", "and no such file"),
        ("--scenario quiet --days 0", "days: Input should be greater than or equal to 1"),
        ("--scenario quiet --days nan", "'--days'"),
        ("--scenario quiet --clicks-per-day -5", "clicks_per_day: Input should be"),
        ("--scenario quiet --clicks-per-day 1000000000", "385,782,052 users are too many"),
        ("--scenario quiet --clicks-per-day 100000000", "home addresses are too many"),
        ("--scenario quiet --scale 0", "--scale 0: clicks_per_day"),
        ("--scenario quiet --scale -1", "--scale -1: clicks_per_day"),
        ("--scenario quiet --scale nan", "--scale nan: must be a number above 0"),
        ("--scenario quiet --scale 2000", "lower --clicks-per-day"),
        ("--scenario quiet --seed -1", "seed: Input should be"),
        ("--scenario quiet --start 2026-03-01T00:30", "start: the start must be a whole hour"),
        ("--scenario quiet --start 9999-12-31", "from 1971 to 2999"),
        ("--scenario service_down --start 1970-12-31", "start: must be from 1971 to 2999"),
        ("--scenario burst --days 1", "robot 2 (burst): begins_hour 38.5 is not before the end"),
        ("--scenario flash_sale --days 1", "surge 1 (flash_sale): begins_hour 43 is not before"),
        ("--scenario quiet --currency dollar", "'dollar' is no currency code"),
        ("--scenario quiet --currency=", "'' is no currency code"),
        ("--scenario quiet --append", "is no folder"),
        ("--compare-to nowhere", "is no folder"),
    ],
)
def test_what_is_mistyped_makes_no_lake(
    typed: Type, tmp_path: Path, options: str, message: str
) -> None:
    home = tmp_path / "lake"
    refused(typed(*options.split(), "--home", home), message)
    assert not home.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shaer = 1", "no key named 'shaer'. Did you mean"),
        ("robots = ['burst']", "robot 1: no kind named None. Known: background"),
        ("[[robots]]\nkind = []", "robot 1: no kind named []"),
        (
            "[[robots]]\nkind = 'rival'\nshare = 0.1\naims = ['cmp-00422']",
            "robot 1 (rival): aims: no campaign with the id 'cmp-00422'. Did you mean cmp-0042",
        ),
        (
            "[[robots]]\nkind = 'burst'\nshare = 10\nclicks_per_user = 0.01\nbegins_hour = 1\n"
            "hours = 1",
            "users are too many",
        ),
        (
            "[[robots]]\nkind = 'background'\nshare = 9\nclicks_per_user = 1\n"
            "users_per_address = 0.5",
            "datacenter addresses are too many, there is room for 131,072",
        ),
        ("[market]\nadvertisers = 100_000\nads_per_campaign = 100", "40,000,000 ads are too many"),
        (
            "[production]\nhistory_days = 60\n"
            + "[[robots]]\nkind = 'burst'\nshare = 0.1\nbegins_hour = 1\nhours = 1\n" * 5,
            "300 populations of robots",
        ),
        (
            "[[humans.surges]]\nkind = 'flash_sael'",
            "surge 1: no kind named 'flash_sael'. Did you mean flash_sale?",
        ),
        (
            "[[humans.surges]]\nkind = 'holiday'\nhours = 3\nbegin_hour = 1",
            "surge 1 (holiday): no key named 'begin_hour'. Did you mean begins_hour",
        ),
        ("[humans.zones]\n0 = nan", "humans.zones.0: Input should be a finite number"),
        ("[humans.zones]\n0 = true", "humans: zones.0: Input should be a number"),
        ("[humans.devices]\ntablet = '1'", "humans: devices.tablet: Input should be a number"),
        (TYPO + "3", "incidents need a [production]"),
        (PRODUCTION + TYPO + "48", "begins_hour 48 is not before the end"),
        (PRODUCTION + TYPO + "0", "incident 1 (threshold_mistyped) puts a version into production"),
        (PRODUCTION + TYPO + "3\n" + TYPO + "4", "put a version into production at the same time"),
        (PRODUCTION + TYPO + "3\n" + TYPO + "5", "put a version into production at the same time"),
        (PRODUCTION + "earlier = 'logistic'\npromoted_hour = 48", "promoted_hour is not before"),
        (PRODUCTION + "promoted_hour = 3", "earlier and promoted_hour go together"),
    ],
)
def test_a_scenario_that_does_not_hold_makes_no_lake(
    typed: Type, tmp_path: Path, text: str, message: str
) -> None:
    file, home = tmp_path / "mine.toml", tmp_path / "lake"
    file.write_text('title = "t"\nstart = 2026-03-01\n' + text)
    found = typed("--scenario", file, "--home", home)
    refused(found, message)
    assert f"scenario {file}: " in found.err
    assert not home.exists()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"title = ", b"a\0b = 1"])
def test_a_file_that_is_no_toml_makes_no_lake(typed: Type, tmp_path: Path, content: bytes) -> None:
    file, home = tmp_path / "mine.toml", tmp_path / "lake"
    file.write_bytes(content)
    refused(typed("--scenario", file, "--home", home), "not TOML")
    assert not home.exists()


def test_a_file_that_cannot_be_read_makes_no_lake(typed: Type, tmp_path: Path) -> None:
    home = tmp_path / "lake"
    refused(typed("--scenario", "/proc/self/mem", "--home", home), "can't be read")
    assert not home.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (FEW, "already has"),
        ((*FEW, "--seed", "9"), "already has"),
        ((*FEW, "--days", "3"), "already has"),
        ((*FEW, "--start", "2026-02-28"), "already has"),
        ((*FEW, "--start", "2026-03-02"), "already has"),
        (("--scenario", "burst", "--clicks-per-day", "300"), "already has"),
        (("--scenario", "service_down"), "already has"),
        ((*FEW, "--start", "2026-05-01", "--currency", "EUR"), "is kept in USD, not EUR"),
        ((*FEW, "--append", "--currency", "EUR"), "is kept in USD, not EUR"),
        ((*FEW, "--append", "--seed", "9"), "--append takes those that it was begun with"),
        ((*FEW, "--append", "--start", "2026-03-03"), "--append takes those"),
        (("--scenario", "quiet", "--append"), "--append takes those that it was begun with"),
        ((*FEW, "--append", "--days", "0"), "--days 0: --append writes one day more"),
        ((*FEW, "--append", "--days", "4000"), "days: Input should be less than or equal"),
        (("--compare-to", "{empty}"), "has no clicks"),
        (("--compare-to", "{empty}", "--days", "3"), "--compare-to takes nothing that says what"),
        (("score", "--run", "latest"), "no run named 'latest'"),
        (("score", "--run", "../clicks"), "no run named '../clicks'"),
    ],
)
def test_a_lake_that_is_there_is_left_as_it_is(
    typed: Type, there: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    empty, before = Lake.create(tmp_path / "empty", "USD").home, files(there)
    given = [option.format(empty=empty) for option in options]
    refused(typed(*given, "--home", there), message)
    assert files(there) == before


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("there") / "lake"
    with pytest.raises(SystemExit) as exit_:
        main(["simulate", *FEW, "--home", str(home)])
    assert exit_.value.code == 0
    return home
