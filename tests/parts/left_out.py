"""Which tests need the packages of the zoo and of training. Where those are missing, they are left out and counted."""

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = frozenset(
    ("ai_edge_litert", "onnxscript", "safetensors", "scipy", "soundfile", "tflite", "torch", "transformers")
)
"""What the extra `dev` has and `test` has not."""


def missing() -> frozenset[str]:
    """Those of the packages that are not installed."""
    return frozenset(name for name in PACKAGES if importlib.util.find_spec(name) is None)


def needs(path: Path, absent: frozenset[str]) -> bool:
    """Whether importing this test file, or the conftest.py of this folder, imports one of the absent packages."""
    file = path / "conftest.py" if path.is_dir() else path
    return file.suffix == ".py" and file.is_file() and not absent.isdisjoint(_packages(file))


def count(paths: list[Path], absent: frozenset[str]) -> tuple[int, int]:
    """How many test functions in how many files below these paths are left out."""
    files = {file for path in paths for file in ([path] if path.is_file() else path.rglob("test_*.py"))}
    tests = [
        sum(_is_test(node) for node in ast.walk(_tree(file)))
        for file in files
        if any(needs(place, absent) for place in (file, *file.parents) if place.is_relative_to(ROOT))
    ]
    return sum(tests), len(tests)


def _is_test(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")


@cache
def _packages(file: Path) -> frozenset[str]:
    """The packages that importing this file imports, also by way of other files of the checkout."""
    found: set[str] = set()
    seen: set[Path] = set()
    waiting = [file]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for module in _imported(_tree(current).body):
            found.add(module.split(".")[0])
            waiting += _files(module)
    return frozenset(found)


def _imported(body: list[ast.stmt]) -> Iterator[str]:
    """The modules that these statements name, except those within functions and those for the type checker alone."""
    for node in body:
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{name.name}" for name in names)
            case ast.Assign(value=ast.Call() as call) | ast.Expr(value=ast.Call() as call) if call.args:
                if isinstance(call.func, ast.Attribute) and call.func.attr == "importorskip":
                    yield ast.literal_eval(call.args[0])
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=other):
                yield from _imported(other)
            case ast.ClassDef() | ast.If() | ast.Try() | ast.With():
                yield from _imported([child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)])


def _files(module: str) -> Iterator[Path]:
    """The files of the checkout that run when this module, or a name in it, is imported."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        place = ROOT.joinpath(*parts[:length])
        yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())
