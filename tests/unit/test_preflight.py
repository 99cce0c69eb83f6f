"""Inventories with faults, and what they are told: preflight/*.yml have them as data."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.binary_cluster.networking.plugins.action import preflight as action
from ansible_collections.binary_cluster.networking.plugins.filter.node_addresses import node_addresses
from ansible_collections.binary_cluster.networking.plugins.plugin_utils import _preflight, _preflight_coredns

CASES = yaml.safe_load((Path(__file__).parent / "preflight" / "inventories.yml").read_text())
NAMES = yaml.safe_load((Path(__file__).parent / "preflight" / "coredns.yml").read_text())
ROLES = {
    "flannel": ("binaries", "certificates", "node", "verify", "etcd", "flannel"),
    "vxlan_mesh": ("binaries", "node", "verify", "vxlan_mesh"),
    "host_routes": ("binaries", "node", "verify", "host_routes"),
}


def merged(base: Any, change: Any) -> Any:
    """A structure with changes merged into it; None takes away."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    made = {**base, **{key: merged(base.get(key), value) for key, value in change.items()}}
    return {key: value for key, value in made.items() if value is not None}


def inventory(change: dict[str, Any]) -> _preflight.Inventory:
    """The good inventory with a change, read as the action plugin reads one."""
    good = copy.deepcopy(CASES["good"])
    shared = merged(good["variables"], change.get("variables", {}))
    variables = {
        name: merged(shared, {**own, **change.get("hosts", {}).get(name, {})}) for name, own in good["hosts"].items()
    }
    addresses = node_addresses(list(variables), variables, strict=False)
    hosts = {}
    for name, own in good["hosts"].items():
        facts = copy.deepcopy(good["facts"])
        facts["interfaces"]["eth0"]["addresses"] = [f"{own['ansible_host']}/24"]
        facts = merged(facts, change.get("facts", {}).get(name, {})) or {}
        hosts[name] = _preflight.Host(name, variables[name], facts, addresses.get(name, ""))
    groups = merged(good["groups"], change.get("groups", {}))
    roles = ROLES.get(shared.get("cluster_network"), ROLES["flannel"])
    specs = {role: action.argument_spec(role) for role in (*roles, *(["coredns"] if "coredns" in groups else []))}
    return _preflight.Inventory(
        hosts,
        groups,
        specs,
        change.get("ansible", good["ansible"]),
        tuple(ROLES),
        coredns_plugins=change.get("coredns_plugins", ()),
    )


def told(change: dict[str, Any]) -> list[str]:
    return [str(fault) for fault in _preflight.check(inventory(change), _preflight_coredns.CHECKS)]


def test_a_good_inventory_has_no_faults() -> None:
    assert told({}) == []


@pytest.mark.parametrize("case", CASES["fine"], ids=lambda case: case["name"])
def test_nothing_is_said_of(case: dict[str, Any]) -> None:
    assert told(case["change"]) == []


@pytest.mark.parametrize("case", CASES["bad"], ids=lambda case: case["name"])
def test_refused_is(case: dict[str, Any]) -> None:
    assert told(case["change"]) == case["faults"]


@pytest.mark.parametrize("case", NAMES["fine"], ids=lambda case: case["name"])
def test_nothing_is_said_where_names_are_served_of(case: dict[str, Any]) -> None:
    assert told(merged(NAMES["good"], case["change"])) == []


@pytest.mark.parametrize("case", NAMES["bad"], ids=lambda case: case["name"])
def test_refused_where_names_are_served_is(case: dict[str, Any]) -> None:
    assert told(merged(NAMES["good"], case["change"])) == case["faults"]
