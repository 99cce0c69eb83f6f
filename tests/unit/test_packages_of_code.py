"""What plugins share lies in packages by subject, which import each other in one direction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
KINDS = ("module_utils", "plugin_utils")
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


def test_what_runs_on_hosts_imports_nothing_of_the_controller() -> None:
    assert {other for _package, other, _imported in imports("module_utils")} == {"module_utils"}
    assert {other for _package, other, _imported in imports("plugin_utils")} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_in_a_package(kind: str) -> None:
    packages = {path.parent.name for path in (PLUGINS / kind).rglob("*.py")}
    assert [path.name for path in (PLUGINS / kind).glob("*.py")] == []
    assert all(package.startswith("_") for package in packages)
