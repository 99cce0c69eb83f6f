"""Preflight judges what the play sets too, which hostvars do not have."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
INVENTORY = """
nodes:
  hosts:
    a.example: {ansible_host: 192.0.2.1}
    b.example: {ansible_host: 192.0.2.2}
  vars:
    cluster_node_address: "{{ ansible_host }}"
    cluster_network: host_routes
    cluster_pod_cidr: 10.244.0.0/16
    cluster_service_cidr: 10.0.0.0/24
"""
PLAY = """
- hosts: nodes
  gather_facts: false
  connection: local
  vars: {variables}
  tasks:
    - binary_cluster.networking.preflight:
        roles: {{node: nodes}}
        networks: [host_routes, vxlan_mesh]
      run_once: true
"""


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ("{}", ""),
        ("{cluster_network: vxlan_mesh}", ""),
        ("{cluster_network: vxlan_mash}", "cluster_network: vxlan_mash: "),
        ("{cluster_pod_cidr: 10.0.0.0/16}", "10.0.0.0/16"),
    ],
)
def test_variables_of_the_cluster_in_a_play_are_judged(variables: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(INVENTORY)
    (tmp_path / "play.yml").write_text(PLAY.format(variables=variables))
    done = subprocess.run(
        ["ansible-playbook", "-i", "hosts.yml", "play.yml"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".ansible" / "collections"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == bool(fault), done.stdout + done.stderr
    assert fault in done.stdout + done.stderr
