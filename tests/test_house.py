"""Limits that keep the code easy to find one's way in."""

import ast
from collections import defaultdict
from pathlib import Path
from statistics import median

PACKAGE = Path(__file__).parents[1] / "monitor"
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if len(ast.parse(path.read_text()).body) > 1]
"""Without the `__init__.py` of a folder that has a docstring only."""
ENTRY = {"main"}
"""Where a process, or a command, begins."""
COMMAND = {"Options"}
"""What each module of a command defines besides."""


def public_names(module: Path) -> set[str]:
    """The public classes and functions at the top level of a module, without those that have one name on purpose."""
    names = {
        node.name
        for node in ast.parse(module.read_text()).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_")
    }
    return names - ENTRY - (COMMAND if PACKAGE / "commands" in module.parents else set())


def test_no_folder_has_more_than_20_files() -> None:
    """A folder is short enough to be read as a list."""
    files: dict[str, int] = defaultdict(int)
    for path in PACKAGE.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            files[str(path.parent.relative_to(PACKAGE))] += 1
    assert {folder: count for folder, count in files.items() if count > 20} == {}


def test_each_public_name_is_defined_once() -> None:
    """The name of a class or function means one thing in the whole package."""
    homes: dict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        for name in public_names(module):
            homes[name].append(str(module.relative_to(PACKAGE)))
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


def test_the_median_module_has_80_to_250_lines() -> None:
    """A typical module has one subject, and can be read in one go."""
    assert 80 <= median(len(module.read_text().splitlines()) for module in MODULES) <= 250
