"""The report of a verification where names were asked for."""

from __future__ import annotations

from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils import _connectivity

PODS = {
    node: {
        "name": f"probe-{node}",
        "address": f"10.244.{number}.9",
        "subnet": f"10.244.{number}.0/24",
        "network": "pods",
        "configuration": "10-flannel.conflist",
    }
    for number, node in enumerate(("node1", "node2"))
}


def outcome(target: str, protocol: str, cause: str | None = None) -> dict[str, Any]:
    return {
        "target": target,
        "protocol": protocol,
        "ok": not cause,
        "rtt_ms": 0.2,
        "mtu": None,
        "tries": 1,
        "cause": cause,
        "source_seen": None,
    }


def report(cause: str | None = None, absent: dict[str, str] | None = None) -> dict[str, Any]:
    outcomes = {
        "node1": [outcome("probe-node2", "icmp"), outcome("web.x", "dns", cause), outcome("web.x", "dns-tcp", cause)],
        "node2": [outcome("probe-node1", "icmp"), outcome("web.x", "dns"), outcome("web.x", "dns-tcp")],
    }
    gone = absent or {}
    return _connectivity.build(
        backend="flannel",
        pods={node: pod for node, pod in PODS.items() if node not in gone},
        addresses={"node1": "192.0.2.11", "node2": "192.0.2.12"},
        outcomes={node: found for node, found in outcomes.items() if node not in gone},
        absent=gone,
        evidence={},
        protocols=["icmp", "dns"],
        started="2026-01-01T00:00:00",
        duration=0.1,
    )


def test_names_have_a_column_of_their_own_and_are_no_pairs() -> None:
    told = report()
    assert told["ok"]
    assert _connectivity.matrix(told).splitlines()[0].split() == ["node1", "node2", "dns"]
    assert "2 pairs, 1 names, 6 probes" in _connectivity.summary(told)


def test_a_wrong_name_fails_the_whole_and_tells_its_own_cause() -> None:
    told = report("SERVFAIL: plugin/errors: 2 web.x. A: refused")
    assert not told["ok"]
    assert _connectivity.failures(told) == [
        "node1 -> web.x: dns, dns-tcp: SERVFAIL: plugin/errors: 2 web.x. A: refused"
    ]
    assert told["causes"] == []


def test_a_node_without_a_pod_is_not_blamed_on_names() -> None:
    told = report(absent={"node2": "it was not reached"})
    assert {pair["protocol"] for pair in told["pairs"] if not pair["ok"]} == {"icmp"}
    assert [cause["code"] for cause in told["causes"]] == ["pod-missing"]


def test_a_pod_that_is_seen_under_another_address_is_not_whole() -> None:
    outcomes = {
        "node1": [{**outcome("probe-node2", "udp"), "source_seen": "10.244.0.0"}],
        "node2": [{**outcome("probe-node1", "udp"), "source_seen": PODS["node2"]["address"]}],
    }
    made = _connectivity.build(
        backend="flannel",
        pods=PODS,
        addresses={},
        outcomes=outcomes,
        absent={},
        evidence={},
        protocols=["udp"],
        started="2026-03-01T12:00:00+00:00",
        duration=0.1,
    )
    assert [pair["ok"] for pair in made["pairs"]] == [False, True]
    assert [cause["code"] for cause in made["causes"]] == ["source-rewritten"]
