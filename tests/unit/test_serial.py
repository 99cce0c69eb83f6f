"""Roles that need all hosts at once say so in a play with serial, before anything else: real runs, without a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.ansible_runs import run_playbook

CHECKOUT = Path(__file__).resolve().parents[2]
ROLES = ["calico", "cluster_firewall", "etcd", "host_routes", "verify", "vxlan_mesh"]
# Hosts that nobody asks: no port of theirs is open.
INVENTORY = """
all:
  vars:
    ansible_connection: local
    cluster_network: host_routes
    cluster_pod_cidr: 10.244.0.0/16
    cluster_service_cidr: 10.0.0.0/24
    cluster_certificates_directory: pki
  children:
    nodes:
      hosts: {node1: {cluster_node_address: 192.0.2.1}, node2: {cluster_node_address: 192.0.2.2}}
    etcd:
      hosts: {node1: , node2: }
"""
PLAY = """
- hosts: nodes
  gather_facts: false
  serial: SERIAL
  roles:
    - ROLE
"""


def play(directory: Path, role: str, serial: str) -> str:
    """What a run of one role in a play prints, in check mode."""
    (directory / "hosts.yml").write_text(INVENTORY)
    (directory / "play.yml").write_text(PLAY.replace("ROLE", role).replace("SERIAL", serial))
    done = run_playbook(directory, "--check", "--inventory", "hosts.yml", "play.yml")
    return done.stdout + done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_needs_all_hosts_refuses_serial(role: str, tmp_path: Path) -> None:
    said = play(tmp_path, f"binary_cluster.networking.{role}", "1")
    assert f"serial: role {role} needs all hosts of the play at once, and this batch has 1 of 2. Nothing" in said
    assert said.count("TASK [") - said.count("Validating arguments") == 1
    assert "node2" not in said


def test_an_inventory_is_not_judged_batch_by_batch(tmp_path: Path) -> None:
    said = play(tmp_path, "binary_cluster.networking.preflight", "1")
    assert "serial: role preflight needs all hosts of the play at once, and this batch has 1 of 2. Nothing" in said
    assert "changed: [" not in said


def test_a_batch_of_all_hosts_is_taken(tmp_path: Path) -> None:
    assert "needs all hosts" not in play(tmp_path, "binary_cluster.networking.verify", "100%")


def test_binaries_need_the_facts_of_their_batch_alone(tmp_path: Path) -> None:
    said = play(tmp_path, "{role: binary_cluster.networking.binaries, binaries_install: []}", "1")
    assert said.count("failed=0") == 2, said
