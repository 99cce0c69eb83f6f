"""Variables of the cluster are declared once, in role preflight: with type, default and meaning."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.action import preflight as action
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight import values as preflight_values
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import role_options

CHECKOUT = Path(__file__).resolve().parents[2]
DECLARED = role_options.argument_spec("preflight")
FILES = sorted(
    path
    for pattern in ("roles/*/tasks/*", "roles/*/templates/*", "roles/*/vars/*", "roles/*/defaults/*", "playbooks/*.yml")
    for path in CHECKOUT.glob(pattern)
)
PREFLIGHT = sorted((CHECKOUT / "plugins" / "plugin_utils" / "_preflight").glob("*.py"))
SPECS = sorted(CHECKOUT.glob("roles/*/meta/argument_specs.yml"))
# Not the name of a filter, of a fact or of a role's own variable.
VARIABLE = r"(?<![\w.'\"-])(cluster_(?!firewall)\w+)"
# What is found in the facts of hosts, and is no variable.
FACTS = {"cluster_host"}


def defaults(path: Path) -> Iterator[tuple[str, str]]:
    """Each default that is said of a variable of the cluster where it is read: the variable, and the expression."""
    for found in re.finditer(VARIABLE + r"\s*\|\s*default\(", path.read_text()):
        text, depth = found.string[found.end() :], 1
        for position, character in enumerate(text):
            depth += {"(": 1, ")": -1}.get(character, 0)
            if depth == 0:
                yield found[1], " ".join(text[:position].split())
                break


def literal(expression: str) -> Any:
    """The default itself, without the flag that it stands for what is empty too. Raises ValueError for no literal."""
    try:
        return ast.literal_eval(expression.removesuffix(", true"))
    except SyntaxError as error:
        raise ValueError(expression) from error


def test_what_the_roles_read_is_declared() -> None:
    read = {name for path in FILES for name in re.findall(VARIABLE, path.read_text())}
    for path in PREFLIGHT:
        words = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
        read |= {word for word in words if isinstance(word, str) and re.fullmatch(VARIABLE, word)}
    assert len(read) > 10
    assert read - FACTS - DECLARED.keys() == set()


def test_what_is_declared_is_read() -> None:
    own = CHECKOUT / "roles" / "preflight" / "defaults" / "main.yml"
    read = "".join(path.read_text() for path in (*FILES, *PREFLIGHT) if path != own)
    assert [name for name in DECLARED if not re.search(rf"\b{name}\b", read)] == []


@pytest.mark.parametrize("name", DECLARED)
def test_a_default_is_the_same_wherever_it_is_said(name: str) -> None:
    said = {expression for path in (*FILES, *SPECS) for found, expression in defaults(path) if found == name}
    computed = set()
    for expression in said:
        try:
            told = literal(expression)
        except ValueError:
            computed.add(expression)
            continue
        # What has none is asked for with an empty text where it may be missing.
        assert told == DECLARED[name].get("default", ""), expression
    assert len(computed) <= 1


@pytest.mark.parametrize(
    ("value", "message"),
    [("x", "cluster_api_port: x: "), ("6443", ""), (6443, ""), ([6443], "cluster_api_port: [6443]: ")],
)
def test_a_variable_of_the_cluster_has_its_declared_type(value: Any, message: str) -> None:
    found = [str(fault) for fault in action.validate(DECLARED, {"cluster_api_port": value}, "node1")]
    assert bool(found) == bool(message)
    assert all(fault.startswith(message) for fault in found)


def test_every_form_is_of_an_option() -> None:
    every = {name for path in SPECS for name in role_options.argument_spec(path.parts[-3])}
    assert preflight_values.FORMS.keys() <= every
