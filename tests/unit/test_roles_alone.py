"""Roles in a play of their own, for a group that the collection does not know: each works, or says what it lacks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.template import Templar, trust_as_template
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.role_options import argument_spec

from tests.unit.ansible_runs import run_playbook
from tests.unit.role_templates import loader, role_variables

CHECKOUT = Path(__file__).resolve().parents[2]
HOSTS = {"w1": "192.0.2.21", "w2": "192.0.2.22"}
NODE_VARIABLES = {
    "cluster_pod_cidr": "10.244.0.0/16",
    "cluster_service_cidr": "10.0.0.0/24",
    "cluster_dns_domain": "cluster.test",
}
WORKERS = "{{ groups['workers'] }}"
ENDPOINTS = ["https://192.0.2.11:2379"]
NOT_A_NODE = (
    "{0}: w1 is not in it. Put all its hosts into the group {1}, or set {0} for all of them, as from groups['workers']."
)
# What a role is given, and the sentences that it refuses the play with.
REFUSED = [
    ("flannel", {}, [NOT_A_NODE.format("flannel_nodes", "nodes"), "cluster_etcd_endpoints: empty.", "cluster_cert"]),
    ("calico", {"calico_nodes": WORKERS}, ["cluster_etcd_endpoints: empty. Set it to the client URLs of etcd"]),
    ("calico", {"calico_etcd_endpoints": ENDPOINTS}, [NOT_A_NODE.format("calico_nodes", "nodes")]),
    ("host_routes", {}, [NOT_A_NODE.format("host_routes_nodes", "nodes")]),
    ("host_routes", {"cluster_pod_cidr": "", "host_routes_nodes": WORKERS}, ["cluster_pod_cidr: not set."]),
    ("vxlan_mesh", {}, [NOT_A_NODE.format("vxlan_mesh_nodes", "nodes")]),
    ("etcd", {}, [NOT_A_NODE.format("etcd_members", "etcd"), "cluster_certificates_directory: not set."]),
    ("cluster_firewall", {"cluster_network": "vxlan_mesh"}, [NOT_A_NODE.format("cluster_firewall_nodes", "nodes")]),
    ("cluster_firewall", {"cluster_firewall_nodes": WORKERS}, ["cluster_network: not set to a network backend."]),
    (
        "api_load_balancer",
        {"cluster_api_vip": "192.0.2.100"},
        [NOT_A_NODE.format("api_load_balancer_members", "api_load_balancer"), "api_load_balancer_backends: empty."],
    ),
    ("verify", {}, ["cluster_network: not set."]),
]


def alone(role: str, expression: str, variables: dict[str, Any], *groups: str) -> Any:
    """What an expression of a role is on w1, in an inventory whose only group is workers, but for ``groups``."""
    hosts = {name: {"ansible_host": address} for name, address in HOSTS.items()}
    given = {
        **role_variables(role),
        **NODE_VARIABLES,
        **variables,
        "ansible_play_hosts": list(HOSTS),
        "ansible_play_hosts_all": list(HOSTS),
        "ansible_search_path": [str(CHECKOUT / "roles" / role)],
        "group_names": ["workers"],
        "groups": {group: list(HOSTS) for group in ("workers", *groups)},
        "hostvars": hosts,
        "inventory_hostname": "w1",
    }
    return Templar(loader=loader(), variables=given).template(trust_as_template("{{ " + expression + " }}"))


def play(role: str, variables: dict[str, Any], directory: Path) -> subprocess.CompletedProcess[str]:
    """Preview a role on this machine, whose names stand for two workers."""
    hosts = {name: {"ansible_host": address, "ansible_connection": "local"} for name, address in HOSTS.items()}
    inventory = {"workers": {"hosts": hosts, "vars": {**NODE_VARIABLES, **variables}}}
    (directory / "hosts.json").write_text(json.dumps(inventory))
    task = {"ansible.builtin.import_role": {"name": f"binary_cluster.networking.{role}"}}
    (directory / "play.yml").write_text(json.dumps([{"hosts": "workers", "gather_facts": False, "tasks": [task]}]))
    return run_playbook(directory, "--check", "-i", "hosts.json", "play.yml")


@pytest.mark.parametrize(("role", "variables", "told"), REFUSED)
def test_a_role_says_what_it_lacks(role: str, variables: dict[str, Any], told: list[str]) -> None:
    given = {name: list(HOSTS) if value == WORKERS else value for name, value in variables.items()}
    lacks = " ".join(alone(role, f"_{role}_lacks", given))
    assert all(sentence in lacks for sentence in told), lacks


@pytest.mark.parametrize("role", ["calico", "flannel"])
def test_a_node_that_serves_names_needs_their_domain(role: str) -> None:
    lacks = " ".join(alone(role, f"_{role}_lacks", {"cluster_dns_domain": ""}, "coredns"))
    assert "cluster_dns_domain: not set. Set it to the domain that the hosts of the group coredns serve." in lacks
    assert "cluster_dns_domain" not in " ".join(alone(role, f"_{role}_lacks", {"cluster_dns_domain": ""}))


@pytest.mark.parametrize("role", sorted({role for role, _variables, _told in REFUSED} | {"coredns"}))
def test_defaults_need_no_group(role: str) -> None:
    """Ansible evaluates every option of argument_specs before the first task of a role."""
    for name in argument_spec(role):
        if name in role_variables(role):
            alone(role, name, {"cluster_api_vip": "192.0.2.100"})


def test_a_role_is_refused_before_its_first_change(tmp_path: Path) -> None:
    done = play("host_routes", {}, tmp_path)
    assert done.returncode != 0
    assert NOT_A_NODE.format("host_routes_nodes", "nodes") in done.stdout
    assert "changed: [" not in done.stdout


def test_nodes_may_come_from_any_group(tmp_path: Path) -> None:
    """This machine has neither address, which is the first thing that the module looks for."""
    done = play("vxlan_mesh", {"vxlan_mesh_nodes": WORKERS}, tmp_path)
    assert "192.0.2.21 is on none of this host's interfaces" in done.stdout, done.stdout + done.stderr


def test_names_are_served_without_a_group_of_nodes(tmp_path: Path) -> None:
    done = play("coredns", {}, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
