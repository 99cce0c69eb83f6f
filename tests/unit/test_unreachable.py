"""A host that Ansible does not reach is called that, by verify and by drift, and not one that site would mend."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import (
    cause as diagnosis_cause,
    pods as diagnosis_pods,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import drift as report_drift
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.absence import Absence, absence

SSH = (
    "Task failed: Failed to connect to the host via ssh: \nssh: connect to host 192.0.2.12 port 22: No route to host\n"
)


def cause(why: Absence) -> diagnosis_cause.Cause:
    ((found, nodes),) = diagnosis_pods.of_pods({}, {"node2": why})
    assert nodes == {"node2"}
    return found


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        (
            [{"unreachable": True, "msg": SSH}],
            "Failed to connect to the host via ssh: ssh: connect to host 192.0.2.12 port 22: No route to host",
        ),
        ([{"skipped": True}, {"unreachable": True, "msg": "\n timed out\n"}], "timed out"),
        ([{"unreachable": True, "msg": ""}], "no reason"),
        ([{}, {"failed": True, "msg": "Task failed: Missing sudo password"}], "Missing sudo password"),
        (
            [{"failed": True, "msg": "Timeout (12s) waiting for privilege escalation prompt: "}],
            "Timeout (12s) waiting for privilege escalation prompt:",
        ),
    ],
)
def test_a_node_that_is_not_reached_is_a_state_of_its_own(results: list[dict[str, Any]], reason: str) -> None:
    found = cause(absence(*results))
    assert found.code == "host-unreachable"
    assert found.text == f"node2 is unreachable by Ansible: {reason}"
    assert found.fix.startswith("Advice: ") and "site" not in found.fix


def test_a_pod_that_could_not_be_made_on_a_node_that_is_reached_is_missing() -> None:
    found = cause(absence({"changed": False}, {"failed": True, "msg": "Module failed: no CNI configuration"}))
    assert (found.code, found.text) == ("pod-missing", "node2 has no probe pod: no CNI configuration")
    found = cause(absence({"failed": True, "msg": "the sudoers file has become unreadable"}))
    assert found.code == "pod-missing"
    assert cause(absence({}, {})).text == "node2 has no probe pod: it was not reached"


def drift(changed: bool) -> dict[str, Any]:
    """The comparison of two hosts, of which the second was not reached."""
    found = {"node1": {"__node_kernel": {"changed": changed, "actions": ["load br_netfilter"]}}, "node2": {}}
    return report_drift.build(["node1", "node2"], found, ["node"], "2026-03-01", {"node2": Absence("timed out", True)})


def test_drift_compares_the_other_hosts_and_names_one_that_is_not_reached() -> None:
    report = drift(changed=True)
    assert not report["ok"] and report["hosts"] == ["node1"]
    assert [one["host"] for one in report["differences"]] == ["node1"]
    first, second = report_drift.verdict(report).splitlines()
    assert first == "1 differences from the inventory; a run of site mends them"
    assert second == (
        "node2 was not compared: unreachable by Ansible: timed out "
        '[Advice: have "ansible node2 --become -m ansible.builtin.ping" succeed: address, SSH, sudo]'
    )
    assert report_drift.table(report).splitlines()[1:] == [
        "node1  node  load br_netfilter",
        "node2  -     unreachable by Ansible: timed out",
    ]


def test_drift_of_hosts_that_are_not_reached_is_no_success() -> None:
    report = drift(changed=False)
    assert not report["ok"] and "differences" not in report_drift.verdict(report)
    assert report_drift.table(report).splitlines() == [
        "1 hosts, no difference",
        "node2  -  unreachable by Ansible: timed out",
    ]
