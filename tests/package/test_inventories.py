"""Inventories that lack what a playbook is for: told in a sentence, and no success of nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
NOTHING = {"an inventory without groups": "", "a group whose name is almost right": "[node]\nh1\n"}


def play(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook without this project's configuration."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(CHECKOUT / ".ansible" / "collections")
    return subprocess.run(
        ["ansible-playbook", *arguments, f"binary_cluster.networking.{name}"],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["site", "verify", "drift"])
@pytest.mark.parametrize("text", NOTHING.values(), ids=NOTHING)
def test_an_inventory_without_hosts_is_refused(name: str, text: str, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.ini"
    inventory.write_text(text)
    done = play(name, "--inventory", str(inventory))
    assert done.returncode != 0
    assert "put the hosts that run pods into the group nodes" in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["site", "verify"])
def test_it_is_refused_for_some_of_its_hosts_too(name: str, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.ini"
    inventory.write_text("[node]\nh1\nh2\n")
    done = play(name, "--inventory", str(inventory), "--limit", "h1")
    assert done.returncode != 0
    assert "Its groups are node." in done.stdout


def test_hosts_with_kubeconfigs_alone_are_enough_for_site(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.ini"
    inventory.write_text("[clients]\nadmin kubeconfig_files=[] cluster_api_vip=192.0.2.9 ansible_connection=local\n")
    done = play("site", "--inventory", str(inventory), "--tags", "preflight", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["site", "verify", "drift", "teardown", "bundle"])
def test_the_syntax_is_checked_without_an_inventory(name: str) -> None:
    done = play(name, "--syntax-check")
    assert done.returncode == 0, done.stderr


def test_balancers_alone_are_enough_for_site(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.ini"
    inventory.write_text("[api_load_balancer]\nlb-1\n")
    told = play("site", "--inventory", str(inventory), "--list-hosts").stdout
    refusing = [part for part in told.split("  play #") if "Refuse" in part]
    assert len(refusing) == 2
    assert all("hosts (0)" in part for part in refusing), told


def test_the_groups_of_another_project_are_children_of_those_here(tmp_path: Path) -> None:
    """As the README says. The address of the only node is in the network of its pods, which preflight finds."""
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        """
kube_node: {hosts: {worker-1: {ansible_host: 10.244.9.9, ansible_connection: local}}}
nodes: {children: {kube_node: }}
all:
  vars: {cluster_network: vxlan_mesh, cluster_pod_cidr: 10.244.0.0/16, cluster_service_cidr: 10.0.0.0/24}
"""
    )
    done = play("site", "--inventory", str(inventory), "--tags", "preflight", "--check")
    assert "put the hosts that run pods" not in done.stdout
    assert "groups.nodes" not in done.stdout
    assert "10.244.9.9" in done.stdout and "[worker-1]" in done.stdout, done.stdout + done.stderr
