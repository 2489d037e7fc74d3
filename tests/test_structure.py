import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "core": {"core"},
    "search_spaces": {"search_spaces", "core"},
    "tune": {"tune", "search_spaces", "core"},
    "scripts": {"tune", "search_spaces", "core"},
    "benchmarks": {"benchmarks", "tune", "search_spaces", "core"},
}
OURS = set(MAY_IMPORT) | {"tests"}
FILES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """First names of everything that a file imports, at any depth."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_between_packages_only_point_towards_core(path):
    package = path.relative_to(ROOT).parts[0]
    assert imported(path) & OURS <= MAY_IMPORT[package]


PEERS = ROOT / "benchmarks/peers"  # what users write without Tandem, with Ray and Optuna themselves


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_tune_imports_ray_or_optuna(path):
    if path.relative_to(ROOT).parts[0] != "tune" and path.parent != PEERS:
        assert not imported(path) & {"ray", "optuna"}


def test_peers_use_nothing_of_ours_but_each_other():
    for path in PEERS.glob("*.py"):
        modules = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        assert not {name for name in modules if name.split(".")[0] in OURS and not name.startswith("benchmarks.peers")}


def test_the_check_sees_every_package():
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(MAY_IMPORT)


FILE_LINES, FUNCTION_LINES = 250, 45  # docs/house.md says what the longest are


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_fit_on_a_few_screens(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < FUNCTION_LINES, node.name


def test_the_picture_of_the_house_says_of_every_module_what_its_first_line_says():
    picture = (ROOT / "docs/house.md").read_text(encoding="utf-8")
    sections = {text.partition("\n")[0]: text for text in picture.split("\n## ")[1:]}
    for path in FILES:
        if path.stem != "__init__":
            first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
            rows = re.findall(rf"\| `{path.stem}` \| \d+ \| (.*) \|\n", sections[path.relative_to(ROOT).parts[0]])
            assert first in rows, path
