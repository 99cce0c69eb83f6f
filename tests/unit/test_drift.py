"""Drift reports whatever site would change: the results of all modules that change a host have a name that it finds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import drift

from tests.unit.ansible_runs import run_playbook

ROLES = Path(__file__).resolve().parents[2] / "roles"
COLLECTION = "binary_cluster.networking."
# What reports, measures or keeps others out.
READERS = {
    "binary_cache", "connectivity_report", "drift_report", "etcd_access", "etcd_info", "etcd_lock", "etcd_peers",
    "flannel_info", "host_facts", "path_evidence", "pod_probe", "pod_throughput", "preflight", "vip_info", "vxlan_info",
}  # fmt: skip
# Tasks whose results are not reported, and why.
NOT_REPORTED = {
    "Reload or restart one balancer at a time, while another one answers": "the task before says what is due",
    "Wait until every changed member of etcd is healthy": "it waits, and changes nothing",
    "Let members of this run through the firewalls of the other hosts": "a run for all hosts has none of these",
    "Make certificates on the controller": "a fact is made of it, with a name that is found",
    "Install iperf3 on the nodes that measure": "it is there while verify measures",
    "Remove iperf3 where it was not installed before": "it is there while verify measures",
}


def tasks(found: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All tasks of a list, also those in blocks."""
    for task in found:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks(task.get(part, ()))


CHANGING = [
    (path.parts[-3], task)
    for path in sorted(ROLES.glob("*/tasks/*.yml"))
    if path.name != "uninstall.yml"
    for task in tasks(yaml.safe_load(path.read_text()))
    for module in task
    if module.startswith(COLLECTION) and module.removeprefix(COLLECTION) not in READERS
]


@pytest.mark.parametrize(
    ("role", "task"), CHANGING, ids=lambda value: value if isinstance(value, str) else value["name"]
)
def test_what_a_role_changes_is_registered_where_drift_looks(role: str, task: dict[str, Any]) -> None:
    found = task.get("register", "").startswith(f"__{role}_")
    assert found is not (task["name"] in NOT_REPORTED)


def test_a_firewall_keeps_members_that_the_run_does_not_reach(tmp_path: Path) -> None:
    """Of these the other addresses are not known, and drift would miss them in the table."""
    module = f"{COLLECTION}cluster_firewall"
    keep = next(task[module]["keep_members"] for _role, task in CHANGING if "keep_members" in task.get(module, ()))
    hosts = {name: {"ansible_host": "127.0.0.1", "ansible_port": 1} for name in ("up", "down")}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    lists = {"cluster_firewall_nodes": "{{ groups['all'] }}", "cluster_firewall_etcd": []}
    said = {"ansible.builtin.debug": {"msg": f"keeps={keep}"}, "when": "inventory_hostname == 'up'"}
    contact = {"ansible.builtin.ping": {}, "when": "inventory_hostname == 'down'"}
    plays = [{"hosts": "all", "gather_facts": False, "vars": lists, "tasks": [task]} for task in (said, contact, said)]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(plays))
    done = run_playbook(tmp_path, "-i", "hosts.yml", "play.yml")
    assert re.findall(r"keeps=(\w+)", done.stdout) == ["False", "True"], done.stdout + done.stderr


def test_a_table_that_differs_is_reported_once() -> None:
    header = "table inet binary_cluster"
    result = {
        "changed": True,
        "actions": [f"load {header}", "file /etc/a", "start unit"],
        "diff": [{"before_header": header, "after_header": header, "before": "", "after": "table\n"}],
    }
    assert [one["what"] for one in drift.differences(result)] == [header, "file /etc/a", "start unit"]
