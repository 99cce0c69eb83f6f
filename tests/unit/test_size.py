"""A file of code fits on three screens, and a function does one thing.

Lines of documentation do not count: docstrings of a function, and what a module prints of itself. What is larger for a
reason is listed with it; what is larger for none is to be split.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
FILES = sorted(PLUGINS.rglob("*.py"))
IN_A_FILE, IN_A_FUNCTION = 350, 40
DOCUMENTATION = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
# By file, or by file and function.
TO_SPLIT = {
    "module_utils/_probe/engine.py": "the program of the probes, which is to be split by protocol",
    "modules/pod_probe.py probe": "goes with the program of the probes",
    "plugin_utils/_backends/calico_policies.py": "what policies let through, to be split from what they say",
    "plugin_utils/_backends/flannel.py flannel_subnets_suffice": "one check that is three",
    "plugin_utils/_diagnosis/tunnels.py _tunnel_fault": "one check after the other, which are to be functions",
    "plugin_utils/_diagnosis/packets.py packets_are_too_large": "one check after the other, which are to be functions",
    "plugin_utils/_report/build.py _explain": "goes with the rules of a path",
}
EXCEPTIONS = {
    "module_utils/_vxlan/link.py from_json": "one line for each attribute of a device",
}


def documentation(tree: ast.AST) -> set[int]:
    """Numbers of the lines that document a function or class."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            first = node.body[0]
            found.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return found


def described(tree: ast.Module) -> int:
    """Lines with what a module prints of itself."""
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    found = [node for node in assigned if ast.unparse(node.targets[0]) in DOCUMENTATION]
    return sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in found)


def too_large(source: str) -> Iterator[tuple[str, int]]:
    """Functions by name, and the file as an empty one, that have more lines than they may."""
    tree = ast.parse(source)
    lines = len(source.splitlines()) - described(tree)
    if lines > IN_A_FILE:
        yield "", lines
    documented = documentation(tree)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            held = len(set(range(node.lineno, (node.end_lineno or node.lineno) + 1)) - documented)
            if held > IN_A_FUNCTION:
                yield node.name, held


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_files_and_functions_can_be_read_at_once(path: Path) -> None:
    name = str(path.relative_to(PLUGINS))
    found = {f"{name} {function}".strip(): lines for function, lines in too_large(path.read_text())}
    assert {place: lines for place, lines in found.items() if place not in {**TO_SPLIT, **EXCEPTIONS}} == {}


@pytest.mark.parametrize("place", [*TO_SPLIT, *EXCEPTIONS])
def test_what_is_split_is_listed_no_more(place: str) -> None:
    name, _space, function = place.partition(" ")
    assert function in dict(too_large((PLUGINS / name).read_text()))


def test_the_limits_count_code_alone() -> None:
    documented = '    """' + "A line.\n" * IN_A_FUNCTION + '"""\n'
    short = f"def short():\n{documented}" + "    work()\n" * (IN_A_FUNCTION - 1)
    assert dict(too_large(short)) == {}
    assert dict(too_large(f"{short}    work()\n")) == {"short": IN_A_FUNCTION + 1}
    assert dict(too_large('DOCUMENTATION = r"""\n' + "line\n" * IN_A_FILE + '"""\n')) == {}
    assert dict(too_large("work()\n" * (IN_A_FILE + 1))) == {"": IN_A_FILE + 1}
