"""Inventories with faults, and what they are told: preflight/*.yml have them as data."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.binary_cluster.networking.plugins.action import preflight as action
from ansible_collections.binary_cluster.networking.plugins.filter.node_addresses import node_addresses
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory import model as inventory_model
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight import checks as preflight_checks
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import role_options

DATA = Path(__file__).parent / "preflight"
FILES = {
    name: yaml.safe_load((DATA / f"{name}.yml").read_text())
    for name in ("inventories", "balancers", "calico", "ipv6", "records")
}
# What it takes to serve names is a change to the good inventory.
NAMES = yaml.safe_load((DATA / "coredns.yml").read_text())
# Roles by network backend.
ROLES = {
    "flannel": ("binaries", "certificates", "node", "cluster_firewall", "verify", "etcd", "flannel"),
    "vxlan_mesh": ("binaries", "node", "cluster_firewall", "verify", "vxlan_mesh"),
    "host_routes": ("binaries", "node", "cluster_firewall", "verify", "host_routes"),
    "calico": ("binaries", "certificates", "node", "cluster_firewall", "verify", "etcd", "calico"),
}


def cases(kind: str) -> list[Any]:
    """Cases of all files, each with the good inventory of its file."""
    return [pytest.param(one["good"], case, id=case["name"]) for one in FILES.values() for case in one.get(kind, ())]


def merged(base: Any, change: Any) -> Any:
    """A structure with changes merged into it; None takes away."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    made = {**base, **{key: merged(base.get(key), value) for key, value in change.items()}}
    return {key: value for key, value in made.items() if value is not None}


def inventory(sound: dict[str, Any], change: dict[str, Any]) -> inventory_model.Inventory:
    """The good inventory with a change, read as the action plugin reads one."""
    good = copy.deepcopy(sound)
    shared = merged(good["variables"], change.get("variables", {}))
    variables = {
        name: merged(shared, {**own, **change.get("hosts", {}).get(name, {})}) for name, own in good["hosts"].items()
    }
    addresses = node_addresses(list(variables), variables, strict=False)
    hosts = {}
    for name, own in good["hosts"].items():
        facts = copy.deepcopy(good["facts"])
        facts["interfaces"]["eth0"]["addresses"] += [f"{own['ansible_host']}/24"]
        facts = merged(facts, change.get("facts", {}).get(name, {})) or {}
        hosts[name] = inventory_model.Host(name, variables[name], facts, addresses.get(name, ""))
    groups = merged(good["groups"], change.get("groups", {}))
    roles = good.get("roles") or ROLES.get(shared.get("cluster_network"), ROLES["flannel"])
    further = ["preflight", *(["coredns"] if "coredns" in groups else [])]
    specs = {role: role_options.argument_spec(role) for role in (*roles, *further)}
    return inventory_model.Inventory(
        hosts,
        groups,
        specs,
        change.get("ansible", good["ansible"]),
        tuple(ROLES),
        coredns_plugins=change.get("coredns_plugins", ()),
        authority=change.get("authority", ()),
    )


def told(good: dict[str, Any], change: dict[str, Any], warning: bool = False) -> list[str]:
    """What an inventory is refused for, or warned of."""
    faults = preflight_checks.check(inventory(good, change), action.CHECKS)
    return [str(fault) for fault in faults if fault.warning == warning]


def told_of_names(change: dict[str, Any]) -> list[str]:
    return told(FILES["inventories"]["good"], merged(NAMES["good"], change))


@pytest.mark.parametrize("name", FILES)
def test_a_good_inventory_has_no_faults(name: str) -> None:
    assert told(FILES[name]["good"], {}) == []


@pytest.mark.parametrize(("good", "case"), cases("fine"))
def test_nothing_is_said_of(good: dict[str, Any], case: dict[str, Any]) -> None:
    assert told(good, case["change"]) == []


@pytest.mark.parametrize(("good", "case"), cases("bad"))
def test_refused_is(good: dict[str, Any], case: dict[str, Any]) -> None:
    assert told(good, case["change"]) == case["faults"]


@pytest.mark.parametrize(("good", "case"), cases("warned"))
def test_warned_of_is(good: dict[str, Any], case: dict[str, Any]) -> None:
    assert told(good, case["change"]) == []
    assert told(good, case["change"], warning=True) == case["warnings"]


@pytest.mark.parametrize("case", NAMES["fine"], ids=lambda case: case["name"])
def test_nothing_is_said_where_names_are_served_of(case: dict[str, Any]) -> None:
    assert told_of_names(case["change"]) == []


@pytest.mark.parametrize("case", NAMES["bad"], ids=lambda case: case["name"])
def test_refused_where_names_are_served_is(case: dict[str, Any]) -> None:
    assert told_of_names(case["change"]) == case["faults"]


def test_one_balancer_is_allowed_and_the_consequence_is_told() -> None:
    good = FILES["balancers"]["good"]
    change = {"groups": {"api_load_balancer": ["lb1"]}}
    assert told(good, change) == []
    assert told(good, change, warning=True) == [
        "groups.api_load_balancer: 1 member: "
        "one balancer: the addresses go down with it, and every restart is felt; take two"
    ]
