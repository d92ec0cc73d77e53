"""Type the commands that a text tells its reader to type, in order, and stop at the first failure.

In a Markdown page these are its `sh` blocks; in any other text, the lines that are a command of
`.venv/bin/replay` and nothing else. They run in the repository's root.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHELL_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SUGGESTION = re.compile(r"^\s*(\.venv/bin/replay .*?)\s*$", re.MULTILINE)


def markdown_commands(text: str) -> list[str]:
    """Return the `sh` blocks of a Markdown text."""
    return [block.strip() for block in SHELL_BLOCK.findall(text)]


def suggested_commands(text: str) -> list[str]:
    """Return the commands that a program's output suggests, each once."""
    return list(dict.fromkeys(SUGGESTION.findall(text)))


def main(file: Path) -> int:
    """Type the commands of `file`; return the first exit code that is not 0, and 1 for none."""
    find = markdown_commands if file.suffix == ".md" else suggested_commands
    found = find(file.read_text())
    if not found:
        print(f"{file}: no command to type")
        return 1
    for command in found:
        print(f"\n$ {command}", flush=True)
        bash = ["bash", "-euo", "pipefail", "-c", command]
        code = subprocess.run(bash, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode
        if code:
            print(f"{file}: exit code {code}: {command}")
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
