"""Preflight judges what a run sets, wherever it sets it, as the roles see it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.unit.ansible_runs import run_playbook

CHECKOUT = Path(__file__).resolve().parents[2]
INVENTORY = """
nodes:
  hosts:
    a.example: {ansible_host: 192.0.2.1}
    b.example: {ansible_host: 192.0.2.2, node_sysctls: {net.core.somaxconn: 1024}}
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
  vars_files: [files.yml]
  tasks:
    - ansible.builtin.include_vars: {{file: included.yml}}
    # As a role of a play shows its own defaults to all of the play.
    - ansible.builtin.import_role: {{name: binary_cluster.networking.host_routes, tasks_from: uninstall.yml}}
      when: false
    - binary_cluster.networking.preflight:
        roles: {{node: nodes, verify: nodes, host_routes: nodes}}
      run_once: true
"""
IMPORTING = "- import_playbook: play.yml\n  vars: {variables}\n"


def run(
    directory: Path, play: str = "{}", files: str = "{}", included: str = "{}", imported: str = "{}", extra: str = "{}"
) -> subprocess.CompletedProcess[str]:
    """A run whose variables are set in these places."""
    (directory / "hosts.yml").write_text(INVENTORY)
    (directory / "play.yml").write_text(PLAY.format(variables=play))
    (directory / "files.yml").write_text(files)
    (directory / "included.yml").write_text(included)
    (directory / "importing.yml").write_text(IMPORTING.format(variables=imported))
    return run_playbook(directory, "-i", "hosts.yml", "importing.yml", "-e", extra)


@pytest.mark.parametrize("place", ["play", "files", "included", "imported", "extra"])
def test_what_a_run_sets_is_judged(place: str, tmp_path: Path) -> None:
    variables = {
        "cluster_network": "vxlan_mash",
        "verify_pods_per_node": "2_0",
        "verify_timer": "*:0/5\nExecStart=/bin/x",
        "node_sysctl": {},
    }
    done = run(tmp_path, **{place: json.dumps(variables)})
    assert done.returncode != 0
    for fault in ("cluster_network: vxlan_mash: ", "verify_pods_per_node: ", "verify_timer: ", "mean node_sysctls?"):
        assert fault in done.stdout + done.stderr


@pytest.mark.parametrize(
    "places",
    [
        {},
        {"play": {"cluster_network": "vxlan_mesh"}},
        # What comes later counts, as for the roles.
        {"imported": {"cluster_pod_cidr": "10.0.0.0/16"}, "extra": {"cluster_pod_cidr": "10.245.0.0/16"}},
        {"play": {"verify_tries": "x"}, "included": {"verify_tries": 2}},
        # Each host has its own.
        {"play": {"cluster_node_address": "{{ ansible_host }}"}},
    ],
)
def test_nothing_is_said_of(places: dict[str, dict[str, object]], tmp_path: Path) -> None:
    done = run(tmp_path, **{place: json.dumps(variables) for place, variables in places.items()})
    assert done.returncode == 0, done.stdout + done.stderr
