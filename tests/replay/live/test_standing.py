from pathlib import Path

from replay.live.standing import NOTHING, StandingFile, write_standing
from scorer.serving.ports import Standing

ONE = Standing("v1", (), 10)
TWO = Standing("v2", ("v1", "v3"), 20)


def test_the_newest_standing_is_seen_by_every_reader(tmp_path: Path) -> None:
    readers = [StandingFile(tmp_path), StandingFile(tmp_path)]
    assert [reader.standing() for reader in readers] == [NOTHING, NOTHING]
    for standing in (ONE, TWO, ONE):
        write_standing(tmp_path, standing)
        assert [reader.standing() for reader in readers] == [standing, standing]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["standing.json"]


def test_what_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    pointer = StandingFile(tmp_path)
    write_standing(tmp_path, TWO)
    pointer.standing()
    file = tmp_path / "standing.json"
    for damaged in ('{"production": "v3", "warm"', "[]", '{"production": 3}', "\xff", ""):
        file.write_text(damaged, encoding="latin-1")
        assert pointer.standing() == TWO
    file.unlink()
    assert pointer.standing() == TWO
    write_standing(tmp_path, ONE)
    assert pointer.standing() == ONE
