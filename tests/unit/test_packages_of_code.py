"""What plugins share lies in packages by subject, which import each other in one direction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
KINDS = ("module_utils", "plugin_utils")
FILES = re.compile(
    r"^from ansible_collections\.binary_cluster\.networking\.plugins\.(\w+\.\w+(?:\.\w+)?) import (\([^)]*\)|.*)$",
    re.MULTILINE,
)
IMPORT = re.compile(r"^\s*from ansible_collections\.binary_cluster\.networking\.plugins\.(\w+)\.(\w+)", re.MULTILINE)


def imports(kind: str) -> Iterator[tuple[str, str, str]]:
    """A package of a kind, and the kind and package of each import in it."""
    for path in (PLUGINS / kind).rglob("*.py"):
        for other, package in IMPORT.findall(path.read_text()):
            yield path.parent.name, other, package


@pytest.mark.parametrize("kind", KINDS)
def test_packages_import_each_other_in_one_direction(kind: str) -> None:
    graph: dict[str, set[str]] = {}
    for package, other, imported in imports(kind):
        if other == kind and imported != package:
            graph.setdefault(package, set()).add(imported)
    # Raises CycleError, which names the packages.
    assert list(TopologicalSorter(graph).static_order())


def test_files_import_each_other_in_one_direction() -> None:
    """Python would find a file of a cycle half made, by whichever of them is imported first."""
    graph: dict[str, set[str]] = {}
    for path in PLUGINS.rglob("*.py"):
        own = ".".join(path.relative_to(PLUGINS).with_suffix("").parts)
        for place, names in FILES.findall(path.read_text()):
            of_package = {f"{place}.{name}" for name in re.findall(r"(\w+)(?: as \w+)?", names.strip("()"))}
            is_file = PLUGINS.joinpath(*place.split(".")).with_suffix(".py").exists()
            graph.setdefault(own, set()).update({place} if is_file else of_package)
    assert list(TopologicalSorter(graph).static_order())


def test_what_runs_on_hosts_imports_nothing_of_the_controller() -> None:
    assert {other for _package, other, _imported in imports("module_utils")} == {"module_utils"}
    assert {other for _package, other, _imported in imports("plugin_utils")} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_in_a_package(kind: str) -> None:
    packages = {path.parent.name for path in (PLUGINS / kind).rglob("*.py")}
    assert [path.name for path in (PLUGINS / kind).glob("*.py")] == []
    assert all(package.startswith("_") for package in packages)
