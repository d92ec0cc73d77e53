"""The tutorial as a user types it, on the real logs, against what it says comes out.

A `text` block on the page is what the commands before it print, `…` standing for what is left out.
It holds to the last digit; in a `text varies` block the figures hang on a trained model, so they
are compared without their digits, and the claims made of them within bounds.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.type_commands import markdown_commands
from scorer.metrics import wilson
from scorer.spec import load_spec

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "tutorial.md"
DATA = ROOT.parent / "shared" / "data"
REPLAY = Path(sys.executable).parent / "replay"
BLOCK = re.compile(r"^```(sh|text varies|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "=== typed ==="
VARYING = (
    (r"\d{8}T\d{6}Z-[0-9a-f]{6}", "RUN"),
    (r"[▁-█]+", "BARS"),
    (r"\((cpu|cuda)\)", "(DEVICE)"),
    (r"(?<![a-z_])[+-]?\d[\d,.]*%?", "#"),
)


def type_page(folder: Path) -> list[str]:
    """Type every `sh` block in one shell, its lakes in `folder`; return what each printed."""
    typed = f"\necho '{MARK}'\n".join(markdown_commands(PAGE.read_text()))
    for written, bound in (
        ("DATA=../shared/data", f"DATA='{DATA}'"),
        (".venv/bin/replay", f"'{REPLAY}'"),
        ("build/tutorial", f"{folder}/tutorial"),
    ):
        assert written in typed
        typed = typed.replace(written, bound)
    bash = ["bash", "-euo", "pipefail", "-c", typed]
    done = subprocess.run(bash, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout.split(f"{MARK}\n")


def plain(text: str, *, varies: bool) -> str:
    """Return a text without its line breaks and column widths, and where it varies its digits."""
    for pattern, word in VARYING if varies else ():
        text = re.sub(pattern, word, text)
    return " ".join(text.split())


def check_printed(outputs: list[str]) -> None:
    """Find every part of every `text` block, in order, in what its commands printed."""
    printed, number = "", -1
    for kind, body in BLOCK.findall(PAGE.read_text()):
        if kind == "sh":
            number += 1
            printed = outputs[number]
            continue
        rest = plain(printed, varies=kind == "text varies")
        for part in body.split("…\n"):
            said = plain(part, varies=kind == "text varies")
            assert said in rest, f"after {printed}\nthe page says, or says too early:\n{said}"
            rest = rest.split(said, 1)[1] if said else rest
    assert number == len(outputs) - 1


def figures(printed: str, row: str) -> list[float]:
    """Return the numbers in the line that begins with a word; shares in percent."""
    line = re.search(rf"^{row}\b(.*)$", printed, re.MULTILINE)
    assert line, f"no line begins with {row}"
    return [float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*\.?\d*", line[1])]


def check_claims(replayed: str, blamed: str) -> None:
    """Hold what the page says of v2 against its run, and the click that sets its threshold."""
    assert "decided 33,895, undecided 0;" in replayed
    changed, to_valid, model = (
        figures(replayed, r)[0] for r in ("v2 decides", "to_valid", "model")
    )
    assert model == changed > 10_000
    assert to_valid > 0.99 * changed
    assert figures(replayed, "production")[0] > 50
    assert figures(replayed, "replayed")[0] < 5
    assert figures(replayed, "replayed")[-1] == 67
    probability, threshold = figures(blamed, "v2")[:2]
    assert probability == pytest.approx(threshold, abs=1.5e-6)


@pytest.mark.skipif(
    not (DATA / "talkingdata").is_dir() or not (DATA / "rees46").is_dir(),
    reason="the real logs are not in ../shared/data",
)
def test_the_page_types_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPLAY_HOME", raising=False)
    outputs = type_page(tmp_path)
    check_printed(outputs)
    (replayed,) = (text for text in outputs if "\nv2 decides " in text)
    (blamed,) = (text for text in outputs if text.startswith("click 47465 "))
    check_claims(replayed, blamed)


def test_the_page_computes_its_intervals_right() -> None:
    text = plain(PAGE.read_text(), varies=False)
    low, high = wilson(1, 100)
    assert f"between {low:.2%} and {high:.2%} (95%)" in text
    enough = next(n for n in range(1, 1000) if wilson(0, n)[1] <= 0.01)
    assert f"takes {enough} held-out purchasing clicks with none lost" in text
    assert f"about {round(enough * 5 / (227 / 100_000), -4):,.0f} clicks of this log" in text


def test_the_spec_of_the_page_holds() -> None:
    spec = load_spec(str(ROOT / "docs" / "specs" / "talkingdata.toml"))
    assert {"clicks_advertiser_24h", "clicks_campaign_24h", "users_ip_24h"} <= set(spec.facts)
    assert not [name for name in spec.names if "session" in name or name == "logged_in"]
