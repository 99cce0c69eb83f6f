"""What a probe pod probes: itself, the pods of its node, and those of other nodes."""

from __future__ import annotations

from ansible_collections.binary_cluster.networking.plugins.module_utils import _probe

TARGETS = [
    _probe.Target("probe-node1", "10.244.1.2", 18080, "192.0.2.11"),
    _probe.Target("probe-node1:2", "10.244.1.3", 18080, "192.0.2.11"),
    _probe.Target("probe-node2", "10.244.2.2", 18080, "192.0.2.12"),
]


def planned(*protocols: str) -> set[tuple[str, str]]:
    siblings = ["probe-node1", "probe-node1:2"]
    found = _probe.plan("probe-node1", siblings, TARGETS, protocols or _probe.PROTOCOLS)
    return {(target.name, protocol) for target, protocol in found}


def test_a_pod_probes_itself_its_siblings_and_strangers_each_as_is_fit() -> None:
    found = planned()
    assert {protocol for name, protocol in found if name == "probe-node1"} == {"own", "hairpin"}
    assert {protocol for name, protocol in found if name == "probe-node1:2"} == set(_probe.BETWEEN)
    assert {protocol for name, protocol in found if name == "probe-node2"} == {*_probe.BETWEEN, "node"}


def test_a_pod_probes_with_the_wanted_protocols_alone() -> None:
    assert planned("icmp", "own") == {
        ("probe-node1", "own"),
        ("probe-node1:2", "icmp"),
        ("probe-node2", "icmp"),
    }
    assert planned("dns", "vip", "host") == set()
