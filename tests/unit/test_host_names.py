"""Names of hosts as servers have them, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory import model as inventory_model
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight import (
    checks as preflight_checks,
    names as preflight_names,
)

ROLES = Path(__file__).parents[2] / "roles"
PLAYBOOKS = Path(__file__).parents[2] / "playbooks"


def refused(name: str, group: str = "nodes") -> list[str]:
    """What preflight says of a host of this name."""
    inventory = inventory_model.Inventory(
        {name: inventory_model.Host(name)}, {group: [name], "kube_control_plane": [name]}
    )
    return [str(fault) for fault in preflight_checks.check(inventory) if fault.variable == "inventory_hostname"] + [
        str(fault) for fault in preflight_names.host_names_are_legal(inventory)
    ]


@pytest.mark.parametrize(
    "name", ["node1", "cp-1", "w-2.example.com", "192.168.1.11", "1", "a" * 63, "0-0.x", "xn--bcher-kva.example"]
)
def test_names_as_servers_have_them_are_taken(name: str) -> None:
    assert refused(name) == []


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("node_1", "name it node-1 in the inventory"),
        ("Node1", "name it node1 in the inventory"),
        ("web..example", "name it web.example in the inventory"),
        ("-a-", "name it a in the inventory"),
        ("knoten-\N{LATIN SMALL LETTER U WITH DIAERESIS}", "name it knoten in the inventory"),
        ("node1\n", "name it node1 in the inventory"),
        ("../etc", "name it etc in the inventory"),
        ("_", "give it another name"),
        ("fd00::11", "give it another name"),
        (f"{'a' * 64}.x", "name it"),
    ],
)
def test_names_that_dns_and_kubernetes_do_not_take_are_refused(name: str, advice: str) -> None:
    (said,) = refused(name)
    shown = name if name.isprintable() else repr(name)
    assert said.startswith(f"inventory_hostname: {shown}: ")
    assert advice in said or "63 are the most" in said


def test_api_servers_that_nothing_is_installed_on_may_be_called_as_they_like() -> None:
    assert refused("Api_1", group="kube_control_plane") == []


def keys(value: object) -> list[str]:
    """All keys of a structure of YAML."""
    if isinstance(value, dict):
        return [*map(str, value), *(key for one in value.values() for key in keys(one))]
    return [key for one in value for key in keys(one)] if isinstance(value, list) else []


@pytest.mark.parametrize(
    "path",
    [*ROLES.glob("*/tasks/*.yml"), *ROLES.glob("*/vars/*.yml"), *PLAYBOOKS.glob("*.yml")],
    ids=lambda path: f"{path.parts[-3]}/{path.name}",
)
def test_no_variable_is_named_by_a_template(path: Path) -> None:
    """A name from the inventory, with its hyphens and dots, would be in it."""
    assert [key for key in keys(yaml.safe_load(path.read_text())) if "{{" in key] == []
