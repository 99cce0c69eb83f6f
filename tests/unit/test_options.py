"""Options of roles, as their templates and tasks read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
# A module validates its arguments itself: `key: "{{ option }}"`, with a default or without.
ARGUMENT = r'\w+: "\{\{ %s( \| default\(\w+\))? \}\}"'


def booleans(options: Mapping[str, Any]) -> Iterator[str]:
    """Names of the options, and of those in them, that are true or false."""
    for name, option in options.items():
        if option.get("type") == "bool":
            yield name
        yield from booleans(option.get("options") or {})


def specs() -> Iterator[tuple[str, str]]:
    """Each boolean of a role, with the role."""
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        options = yaml.safe_load(path.read_text())["argument_specs"]["main"].get("options") or {}
        role = path.parent.parent.name
        yield from ((role, name) for name in sorted(set(booleans(options))) if name.startswith(f"{role}_"))


LINES = [
    (f"{path.relative_to(ROLES)}:{number}", line.strip())
    for folder in ("tasks", "templates", "vars", "handlers")
    for path in sorted(ROLES.glob(f"*/{folder}/*"))
    for number, line in enumerate(path.read_text().splitlines(), start=1)
]


@pytest.mark.parametrize(("role", "name"), list(specs()))
def test_no_is_no_whoever_wrote_it(role: str, name: str) -> None:
    """`-e option=no` and an INI inventory give a text, which is true unless it is read as a boolean."""
    used = re.compile(rf"(?<![\w.']){name}\b(?!\s*\|\s*(default\([^)]*\)\s*\|\s*)?bool)(?!:)")
    raw = [
        (place, line)
        for place, line in LINES
        if used.search(line) and not re.search(ARGUMENT % name, line) and not line.startswith("#")
    ]
    assert raw == []
