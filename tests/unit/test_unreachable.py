"""A node that Ansible does not reach is called that, and not one without a probe pod."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.action.connectivity_report import absence
from ansible_collections.binary_cluster.networking.plugins.plugin_utils import _cause, _diagnosis

SSH = (
    "Task failed: Failed to connect to the host via ssh: \nssh: connect to host 192.0.2.12 port 22: No route to host\n"
)


def cause(why: str) -> _cause.Cause:
    ((found, nodes),) = _diagnosis.of_pods({}, {"node2": why})
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
