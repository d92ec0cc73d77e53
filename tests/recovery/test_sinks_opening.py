"""Sinks as `replay.toml` names them, and kinds that others add."""

import re
import sys
from pathlib import Path

import pytest

from recovery.delivery import deliver
from recovery.sinks import SINKS, open_sinks
from recovery.sinks.memory import Memory, MemoryOptions
from recovery.sinks.sink import BadSink, Batch, Held, Sink
from scorer.errors import BadInput
from tests.recovery.sending import batch, expected, ledger_lake

PLUGIN = """
from pathlib import Path
from pydantic import BaseModel, ConfigDict

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    word: str

class Shelf:
    Options = Options
    rows = 3

    def __init__(self, name, options, home):
        self.name, self._file = name, home / options.word

    @property
    def where(self):
        return str(self._file)

    def check(self):
        pass

    def position(self):
        return None

    def send(self, batch, pause):
        with self._file.open("a") as file:
            file.write("".join(text + "\\n" for text in batch.texts()))

    def interrupt(self):
        pass

    def close(self):
        pass
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of someone else's, installed: its module and its metadata."""
    site = tmp_path / "site"
    info = site / "someone_else-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "someone_elses_shelf.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: someone-else\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[slidr_replay.sinks]\nshelf = someone_elses_shelf:Shelf\ngone = someone_elses_shelf:Gone\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "someone_elses_shelf", raising=False)


@pytest.mark.usefixtures("plugin")
def test_a_kind_of_someone_elses(tmp_path: Path) -> None:
    lake = ledger_lake(tmp_path / "lake", 10, {"s": {"kind": "shelf", "word": "out"}})
    (served,) = deliver(lake).sinks
    assert (served.kind, served.sent, served.error) == ("shelf", 10, None)
    assert (lake.home / "out").read_text().split("\n")[:-1] == expected(lake)


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"kind": "shelf"}, r"\[sinks.s\]: word: Field required"),
        ({"kind": "gone"}, "kind 'gone' cannot be loaded: "),
        ({"kind": "shelv"}, "no kind of sink is named 'shelv'. Did you mean shelf"),
    ],
)
def test_a_kind_of_someone_elses_that_cannot_be_used(
    tmp_path: Path, table: dict[str, object], says: str
) -> None:
    with pytest.raises(BadSink, match=says):
        open_sinks(ledger_lake(tmp_path / "lake", 0, {"s": table}))


@pytest.mark.parametrize(
    ("sinks", "says"),
    [
        ({"s": {}}, "[sinks.s] has no kind. The kinds are ndjson, redis, webhook"),
        ({"s": {"kind": "ndjsn"}}, "no kind of sink is named 'ndjsn'. Did you mean ndjson?"),
        ({"s": {"kind": 7}}, "no kind of sink is named 7. The kinds are ndjson"),
        ({"s": {"kind": "ndjson"}}, "[sinks.s]: path: Field required"),
        ({"s": {"kind": "ndjson", "path": 1}}, "path: Input should be a valid string"),
        ({"s": {"kind": "ndjson", "path": "x", "mode": "w"}}, "mode: Extra inputs"),
        ({"s": {"kind": "ndjson", "path": "~nosuchuser/y"}}, "path: ~nosuchuser is the home of no"),
        ({"s": {"kind": "ndjson", "path": "x\0y"}}, "path: a path cannot hold a zero byte"),
        ({"s": {"kind": "redis", "timeout_seconds": 1e20}}, "[sinks.s]: timeout_seconds: "),
        ({"s": {"kind": "redis", "timeout_seconds": float("inf")}}, "[sinks.s]: timeout_seconds: "),
        ({"s": {"kind": "redis", "timeout_seconds": float("nan")}}, "[sinks.s]: timeout_seconds: "),
        (
            {"a": {"kind": "ndjson", "path": "x"}, "b": {"kind": "ndjson", "path": "y/../x"}},
            "sinks 'a' and 'b' both go to ",
        ),
        (
            {"a": {"kind": "redis", "url": "redis://u:p@h/0"}, "b": {"kind": "redis", "url": "redis://h/0"}},
            "sinks 'a' and 'b' both go to stream verdicts of redis://h/0;",
        ),
        ({"a": {"kind": "redis"}, "b": {"kind": "redis"}}, "sinks 'a' and 'b' both go to "),
        ({"A b": {"kind": "redis"}}, "'A b' is no sink's name"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used(
    tmp_path: Path, sinks: dict[str, dict[str, object]], says: str
) -> None:
    with pytest.raises(BadInput, match=re.escape(says)) as caught:
        open_sinks(ledger_lake(tmp_path / "lake", 0, sinks))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_two_streams_of_one_server_are_two_places(tmp_path: Path) -> None:
    sinks = {name: {"kind": "redis", "url": "redis://h", "stream": name} for name in "ab"}
    assert len(open_sinks(ledger_lake(tmp_path, 0, sinks))) == 2


EVERY_KIND: dict[str, dict[str, object]] = {
    "ndjson": {"path": "out"},
    "redis": {},
    "webhook": {"url": "https://example.com/x?token=hush", "secret_env": "HOOK_SECRET"},
}


def test_the_table_below_has_every_kind() -> None:
    assert EVERY_KIND.keys() == SINKS.keys()


@pytest.fixture(params=[*EVERY_KIND, "memory"])
def sink(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sink:
    monkeypatch.setenv("HOOK_SECRET", "a secret of some length")
    if request.param == "memory":
        return Memory("s", MemoryOptions(), tmp_path)
    lake = ledger_lake(
        tmp_path / "lake", 0, {"s": {"kind": request.param, **EVERY_KIND[request.param]}}
    )
    return open_sinks(lake)[0]


def test_what_holds_for_every_kind(sink: Sink) -> None:
    """A place without secrets; options that forbid what they don't know; closing twice is fine."""
    assert sink.name == "s"
    assert sink.rows >= 1
    assert "hush" not in sink.where
    assert sink.where
    assert sink.Options.model_config.get("extra") == "forbid"
    sink.interrupt()
    sink.close()
    sink.interrupt()
    sink.close()


def test_what_holds_for_every_kind_that_tells_its_place(sink: Sink, tmp_path: Path) -> None:
    """Empty is 0; after a batch, its last; after closing, still."""
    if sink.position() is None:
        return
    sent: Batch = batch(ledger_lake(tmp_path / "ledger", 3))
    assert sink.position() == Held(0)
    sink.check()
    sink.send(sent, lambda _: None)
    held = sink.position()
    assert held is not None
    assert held.ledger_seq == 3
    assert (held.document or b"").decode().rstrip("\n") == sent.texts()[-1]
    sink.close()
    assert sink.position() == held
    sink.close()
