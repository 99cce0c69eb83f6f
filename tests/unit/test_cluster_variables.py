"""Variables of the cluster are declared once, in role preflight: with type, default and meaning."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.action import preflight as action
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components import declarations
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory import model
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight import (
    checks as preflight_checks,
    cluster as preflight_cluster,
    values as preflight_values,
)
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


# Values of the right type that no cluster can have.
IMPOSSIBLE = {
    "cluster_node_address": "192.0.2.300",
    "cluster_pod_cidr": "10.244.0.0/33",
    "cluster_pod_cidr_v6": "10.244.0.0/16",
    "cluster_service_cidr": "10.0.0.1/24",
    "cluster_dns_domain": "Cluster.local",
    "cluster_dns_address": "10.0.0",
    "cluster_dns_upstreams": ["192.0.2.53", "ns.example.com"],
    "cluster_api_vip": "192.0.2.100/24",
    "cluster_api_port": 70000,
    "cluster_api_name": "api server",
    "cluster_etcd_endpoints": ["http://192.0.2.1:2379"],
    "cluster_etcd_client_files": {"ca": "/nowhere"},
    "cluster_etcd_client_port": 0,
    "cluster_max_unavailable": "0",
}
# What a type says already, and the network backend, which may be one that others set up for other roles.
OF_A_TYPE = {"cluster_network", "cluster_network_switch", "cluster_certificates_directory"}
COMPONENTS = declarations.declared()


def refused_alone(role: str, variable: str, value: Any) -> list[str]:
    """Faults of a value that a role used alone reports, as the action plugin checks them for one host."""
    networks = [name for name, component in COMPONENTS.items() if component.network]
    variables = {
        "cluster_pod_cidr": "10.244.0.0/16", "cluster_service_cidr": "10.0.0.0/24",
        "cluster_dns_domain": "cluster.test", "cluster_certificates_directory": "/srv/pki",
        "cluster_api_vip": "192.0.2.100", "cluster_network": role, variable: value,
    }  # fmt: skip
    host = action._for_role(model.Host("node1", variables, {}, "192.0.2.1"), role, networks)
    specs = {name: role_options.argument_spec(name) for name in ("preflight", role)}
    groups = {group: ["node1"] for group in declarations.GROUPS}
    faults = [fault for options in specs.values() for fault in action.validate(options, variables, "node1")]
    inventory = model.Inventory({"node1": host}, groups, specs, "2.21", networks, faults=faults)
    found = preflight_checks.check(inventory, action.CHECKS)
    return [
        str(fault)
        for fault in found
        if preflight_checks.is_of_variable(fault, inventory) and model.variable_of(fault.variable) == variable
    ]


def test_every_variable_of_the_cluster_has_a_check() -> None:
    assert IMPOSSIBLE.keys() | OF_A_TYPE == DECLARED.keys()
    assert preflight_cluster.RULES.keys() == IMPOSSIBLE.keys() - {"cluster_etcd_client_files"}


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_role_that_is_used_alone_refuses_impossible_values_of_what_it_reads(name: str) -> None:
    for variable in IMPOSSIBLE.keys() & COMPONENTS[name].reads:
        assert refused_alone(name, variable, IMPOSSIBLE[variable]), variable


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("cluster_node_address", ""), ("cluster_pod_cidr_v6", ""), ("cluster_pod_cidr_v6", "fd00::/48"),
        ("cluster_dns_upstreams", []), ("cluster_dns_upstreams", ["tls://192.0.2.53", "/etc/resolv.conf", "::1"]),
        ("cluster_api_vip", "2001:db8::100"), ("cluster_api_port", "6443"), ("cluster_max_unavailable", "100%"),
        ("cluster_etcd_endpoints", ["https://etcd-1.example.com:2379", "https://[2001:db8::1]:2379"]),
    ],
)  # fmt: skip
def test_a_value_that_a_cluster_can_have_is_taken(variable: str, value: Any) -> None:
    assert refused_alone("node", variable, value) == []


def test_the_table_of_the_variables_is_current() -> None:
    write = runpy.run_path(str(CHECKOUT / "docs" / "role_readmes.py"))["variables_document"]
    assert (CHECKOUT / "docs" / "variables.md").read_text() == write(), "run make docs"
