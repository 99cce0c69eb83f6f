"""Plays, tasks, handlers and blocks are named by a verb and its object."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
VERBS = {
    "Add", "Apply", "Ask", "Attach", "Bring", "Build", "Change", "Check", "Close", "Collect", "Configure", "Confirm",
    "Connect", "Copy", "Count", "Create", "Deploy", "Destroy", "Detach", "Empty", "Enable", "Encapsulate", "Fetch",
    "Find", "Give", "Harden", "Install", "Join", "Keep", "Kill", "Let", "Load", "Lose", "Make", "Measure", "Mount",
    "Move", "Open", "Point", "Prepare", "Preview", "Probe", "Raise", "Re-create", "Read", "Record", "Refuse", "Release",
    "Reload", "Remove", "Repair", "Repeat", "Report", "Reset", "Restart", "Restore", "Route", "Run", "Save", "Serve",
    "Set", "Show", "Start", "Stop", "Switch", "Turn", "Unload", "Verify", "Wait", "Write",
}  # fmt: skip
PLACES = (
    "bench/*.yml", "inventories/**/*.yml", "molecule/**/*.yml", "playbooks/*.yml", "roles/*/handlers/*.yml",
    "roles/*/tasks/*.yml", "site.yml", "tests/integration/targets/*/tasks/*.yml",
)  # fmt: skip
PARTS = ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always")


def listed(path: Path) -> list[object]:
    """The plays or tasks of a file; none of one that holds variables or settings."""
    content = yaml.safe_load(path.read_text())
    return content if isinstance(content, list) else []


def names(items: object) -> Iterator[str]:
    """The names of plays or tasks and of all tasks in them; an empty one of what has none."""
    for item in items if isinstance(items, list) else []:
        yield item.get("name", "")
        for part in PARTS:
            yield from names(item.get(part))


def without_verb(items: object) -> list[str]:
    """The names in plays or tasks that do not begin with a verb."""
    return [name for name in names(items) if re.split("[ ,]", name)[0] not in VERBS]


FILES = sorted(path for place in PLACES for path in CHECKOUT.glob(place) if listed(path))
SPECS = sorted(CHECKOUT.glob("roles/*/meta/argument_specs.yml"))
PLUGINS = sorted(path for place in ("modules", "filter") for path in (CHECKOUT / "plugins" / place).glob("[a-z]*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_name_begins_with_a_verb(path: Path) -> None:
    assert without_verb(listed(path)) == []


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.parts[-3])
def test_a_name_in_the_example_of_a_role_begins_with_a_verb(path: Path) -> None:
    for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
        assert without_verb(yaml.safe_load(entry["examples"])) == []


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_name_in_the_examples_of_a_plugin_begins_with_a_verb(path: Path) -> None:
    assigned = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign)]
    (examples,) = [node.value for node in assigned if ast.unparse(node.targets[0]) == "EXAMPLES"]
    assert without_verb(yaml.safe_load(ast.literal_eval(examples))) == []
