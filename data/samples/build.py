"""Build the sample lake, or check that it is what its digests say.

python data/samples/build.py            builds data/samples/lake anew, and digest.json
python data/samples/build.py --check    builds it in a temporary folder and compares the rows
"""

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from recovery.production import promote, rollback
from simulator.pointer import Pointer
from simulator.sample import build_sample, digest_sample

FOLDER = Path(__file__).parent
LAKE, DIGESTS = FOLDER / "lake", FOLDER / "digest.json"


def build() -> dict[str, str]:
    """Replace the sample lake and its digests."""
    with TemporaryDirectory() as scratch:
        built = Path(scratch) / "lake"
        build_sample(built, Pointer(promote, rollback))
        digests = digest_sample(built)
        forget_place(built)
        shutil.rmtree(LAKE, ignore_errors=True)
        shutil.copytree(built, LAKE, ignore=shutil.ignore_patterns(".lock"))
    DIGESTS.write_text(json.dumps(digests, indent=2) + "\n")
    return digests


def forget_place(lake: Path) -> None:
    """Take the folder that the lake was built in out of its commits' notes: it is gone soon."""
    for commit in lake.glob("*/_delta_log/*.json"):
        commit.write_text(commit.read_text().replace(f"{lake.resolve().as_uri()}/", ""))


def differences() -> list[str]:
    """Rebuild, and name the tables whose rows differ from digest.json, here or in the rebuild."""
    with TemporaryDirectory() as scratch:
        built = Path(scratch) / "lake"
        build_sample(built, Pointer(promote, rollback))
        rebuilt = digest_sample(built)
    kept, listed = digest_sample(LAKE), json.loads(DIGESTS.read_text())
    names = sorted({*kept, *listed, *rebuilt})
    return [name for name in names if not kept.get(name) == listed.get(name) == rebuilt.get(name)]


def main() -> int:
    """Build or check; return the exit code."""
    if sys.argv[1:] == ["--check"]:
        wrong = differences()
        sys.stdout.write(f"rows differ in: {', '.join(wrong)}\n" if wrong else "same rows\n")
        return 1 if wrong else 0
    build()
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    sys.stdout.write(f"built {LAKE}: {size / 1e6:.2f} MB with its digests\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
