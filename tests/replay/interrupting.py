"""A lake whose runs take several slices, and what every interrupted run of it must come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NoReturn
from unittest.mock import patch

import torch

from replay.cli import main
from replay.lake import Lake
from replay.production import models_folder
from replay.runs import read_manifest, run_folder, run_ids
from replay.unfinished import PLAN
from scorer.calibration import Calibration
from scorer.models import build
from scorer.models.logistic import Logistic
from scorer.registry import Registry
from scorer.spec import parse_spec
from tests.lakes import click, make_lake
from tests.recovery.kills import Command
from tests.versions import HOUR, START, at_least, logged, verdict

MINUTE = HOUR // 60
SLICE = 10 * MINUTE
SLICES = 6
ASKED = ("--from", "2026-03-01T12:00", "--to", "2026-03-01T13:00", "--model", "b", "--noise-floor")


def in_short_slices(argv: Sequence[str]) -> NoReturn:
    """Run the command line with slices of ten minutes, and so with many on a small lake."""
    with patch("replay.run.choose_slice_length", lambda *_: SLICE):
        main(argv)


EVERY = parse_spec(
    {
        "counts": [
            {"entity": "ip", "windows": ["10m@10s", "1h@1m"]},
            {"entity": "user_id", "windows": ["1h@1m"]},
        ],
        "distincts": [{"member": "user_id", "entity": "ip", "windows": ["1h@1m"]}],
        "gaps": [{"entity": "user_id", "cap": "30m"}],
        "flags": {"logged_in": False, "devices": ["mobile"]},
        "profiles": [{"table": "user", "column": "age", "default": 7.0}],
    },
    "every",
)
RUN = Command(ASKED, in_short_slices)


def resume(run_id: str) -> Command:
    """Return the command that finishes a run."""
    return Command(("--resume", run_id))


def of_everything(lake: Lake, name: str) -> None:
    """Store a version whose probabilities depend on each feature."""
    module = build("logistic", EVERY)
    assert isinstance(module, Logistic)
    draw = torch.Generator().manual_seed(11)
    with torch.no_grad():
        module.last.bias.fill_(-0.34)  # about half of the clicks on either side
        module.last.weight.copy_(torch.randn(module.last.weight.shape, generator=draw) * 0.2)
    Registry(models_folder(lake)).write(name, module, EVERY, Calibration(overall=0.5, slices={}))


def short_slices(home: Path) -> Lake:
    """An hour of clicks and one before it, of few users and addresses, in files that overlap.

    Windows of an hour and a profile that changes reach from slice to slice.
    """
    draw = Random(7)
    times = sorted(draw.randrange(-SLICES * SLICE, SLICES * SLICE, MINUTE // 2) for _ in range(300))
    clicks = [
        click(
            START + time,
            n,
            f"c{n:03}",
            user_id=draw.choice(["u", "v", "w", None]),
            ip=f"10.0.0.{draw.randrange(3)}",
            device=draw.choice(["desktop", "mobile"]),
            price_micros=1000 + n,
        )
        for n, time in enumerate(times)
    ]
    late = set(draw.sample(range(300), 90))
    lake = Lake.create(home, "USD")
    a = at_least(lake, "a", 20)
    of_everything(lake, "b")
    said = [
        logged(
            row, a if draw.random() < 0.5 else "gone", draw.choice(["valid", "invalid"]), [n % 40]
        )
        for n, row in enumerate(clicks)
        if n % 5
    ]
    ages: list[dict[str, Any]] = [
        {"key": key, "valid_from": START + k * 7 * MINUTE, "age": 10.0 * k}
        for key in "uv"
        for k in range(-2, 9)
    ]
    ages += [{**row, "age": row["age"] + 1} for row in ages[::3]]  # two of one moment
    bought = [
        {"purchase_id": f"p{k}", "ts": START + k * 15 * MINUTE, "user_id": "u"} for k in range(4)
    ]
    return make_lake(
        home,
        clicks,
        commits=[[n for n in range(300) if n not in late], sorted(late)],
        decisions=said,
        profiles_user=ages,
        purchases=bought,
        verdicts=[verdict(clicks[n], "invalid", n) for n in range(150, 290, 9)],
    )


@dataclass(frozen=True)
class Outcome:
    """What a run came to: its parts' bytes, and what its manifest says of them."""

    parts: dict[str, bytes]
    said: dict[str, Any]


def outcome(lake: Lake, run_id: str | None = None) -> Outcome:
    """Return what the lake's latest run came to, and see that nothing else is in its folder.

    A kill in the very last step leaves the plan there, which nobody reads then.
    """
    folder = run_folder(lake, run_id or run_ids(lake)[-1])
    found = {str(p.relative_to(folder.path)): p for p in folder.path.rglob("*") if p.is_file()}
    assert found.pop("manifest.json")
    found.pop(PLAN, None)
    manifest = read_manifest(folder).model_dump()
    own = {name: manifest.pop(name) for name in ("run_id", "created_at", "seconds", "resumed")}
    manifest.pop("settled_until")  # without a service's log: the moment of the run
    assert own["run_id"] == folder.path.name
    return Outcome({name: path.read_bytes() for name, path in found.items()}, manifest)


def inodes(folder: Path) -> dict[str, int]:
    """Return which file each part is."""
    return {str(p.relative_to(folder)): p.stat().st_ino for p in folder.glob("*/*.parquet")}
