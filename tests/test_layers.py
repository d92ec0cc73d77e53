"""The layers of the packages, read from their imports."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT: dict[str, set[str]] = {
    "scorer": set(),
    "replay": {"scorer"},
    "simulator": {"replay", "scorer"},
    "recovery": {"replay", "scorer", "simulator"},
}

LOADED_ON_USE = {  # torch: files need none, nor does a simulation without a production
    ("replay.commands.import_", "replay.recording"),
    ("simulator.write", "simulator.production"),
    ("simulator.write", "simulator.versions"),
}


class Arrow(NamedTuple):
    """One module of ours imports another; `inside` says whether it does so inside a function."""

    importer: str
    imported: str
    inside: bool

    @property
    def packages(self) -> tuple[str, str]:
        return self.importer.partition(".")[0], self.imported.partition(".")[0]


def read_arrows(root: Path) -> list[Arrow]:
    """Every import of one of our modules by another, wherever in the file it stands."""
    files = {_module(root, file): file for name in MAY_IMPORT for file in _files(root / name)}
    return [
        Arrow(module, imported, inside)
        for module, file in files.items()
        for imported, inside in _imports(ast.parse(file.read_text()), module, file, set(files))
        if imported != module
    ]


def _files(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def _module(root: Path, file: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(
    tree: ast.Module, module: str, file: Path, known: set[str]
) -> Iterator[tuple[str, bool]]:
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, file)
            paths = [f"{base}.{alias.name}" for alias in node.names]
            names = [path if path in known else base for path in paths]
        else:
            continue
        for name in names:
            if name.partition(".")[0] in MAY_IMPORT:
                yield name, id(node) in inner


def _absolute(node: ast.ImportFrom, module: str, file: Path) -> str:
    if not node.level:
        return node.module or ""
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    above = package[: len(package) - node.level + 1]
    return ".".join([*above, node.module] if node.module else above)


def forbidden(arrows: list[Arrow]) -> list[Arrow]:
    """Return the arrows between packages that the layers do not allow."""
    pairs = ((arrow, *arrow.packages) for arrow in arrows)
    return [arrow for arrow, a, b in pairs if a != b and b not in MAY_IMPORT[a]]


def cycle(arrows: list[Arrow]) -> list[str]:
    """Return the modules of an import cycle, or none."""
    graph: dict[str, set[str]] = {}
    for arrow in arrows:
        graph.setdefault(arrow.importer, set()).add(arrow.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        return list(exc.args[1])
    return []


def test_imports_point_one_way() -> None:
    arrows = read_arrows(ROOT)
    assert ("replay.errors", "scorer.errors", False) in arrows, "the test reads no imports"
    assert forbidden(arrows) == []


def test_no_import_cycle() -> None:
    assert cycle(read_arrows(ROOT)) == []


def test_no_import_of_ours_hides_in_a_function() -> None:
    assert {arrow[:2] for arrow in read_arrows(ROOT) if arrow.inside} == LOADED_ON_USE


@pytest.mark.parametrize(
    ("file", "line", "arrow"),
    [
        ("scorer/a.py", "import replay.lake", ("scorer.a", "replay.lake", False)),
        ("scorer/a.py", "from replay import lake", ("scorer.a", "replay.lake", False)),
        ("scorer/sub/a.py", "def f():\n    import recovery", ("scorer.sub.a", "recovery", True)),
        (
            "replay/a.py",
            "try:\n    import simulator\nfinally: pass",
            ("replay.a", "simulator", False),
        ),
        ("simulator/a.py", "from recovery.x import y", ("simulator.a", "recovery.x", False)),
        ("scorer/a.py", "class C:\n    from replay import X", ("scorer.a", "replay", False)),
        (
            "replay/a.py",
            "async def f():\n    from recovery import X",
            ("replay.a", "recovery", True),
        ),
    ],
)
def test_an_arrow_that_is_not_allowed_is_seen(
    tmp_path: Path, file: str, line: str, arrow: tuple[str, str, bool]
) -> None:
    for name in ("replay/__init__.py", "replay/lake.py", file):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / file).write_text(line)
    assert forbidden(read_arrows(tmp_path)) == [arrow]


def test_a_cycle_is_seen_through_relative_and_inner_imports(tmp_path: Path) -> None:
    (tmp_path / "replay" / "sub").mkdir(parents=True)
    for name, text in {
        "__init__.py": "",
        "a.py": "from .sub import b",
        "sub/__init__.py": "",
        "sub/b.py": "def f():\n    from ..c import g",
        "c.py": "from replay import a",
    }.items():
        (tmp_path / "replay" / name).write_text(text)
    arrows = read_arrows(tmp_path)
    assert forbidden(arrows) == []
    assert set(cycle(arrows)) == {"replay.a", "replay.sub.b", "replay.c"}
