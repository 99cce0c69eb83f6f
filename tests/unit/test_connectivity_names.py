"""The report of a verification where names were asked for."""

from __future__ import annotations

from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import (
    build as report_build,
    matrix as report_matrix,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.absence import Absence

PODS: dict[str, dict[str, Any]] = {
    node: {
        "name": f"probe-{node}",
        "address": f"10.244.{number}.9",
        "subnet": f"10.244.{number}.0/24",
        "ips": [{"address": f"10.244.{number}.9", "subnet": f"10.244.{number}.0/24"}],
        "network": "pods",
        "configuration": "10-flannel.conflist",
    }
    for number, node in enumerate(("node1", "node2"))
}


def outcome(target: str, protocol: str, cause: str | None = None) -> dict[str, Any]:
    return {
        "target": target,
        "protocol": protocol,
        "family": 4,
        "ok": not cause,
        "rtt_ms": 0.2,
        "mtu": None,
        "tries": 1,
        "cause": cause,
        "source": "",
        "source_seen": None,
    }


def report(cause: str | None = None, absent: dict[str, Absence] | None = None) -> dict[str, Any]:
    outcomes = {
        "node1": [outcome("probe-node2", "icmp"), outcome("web.x", "dns", cause), outcome("web.x", "dns-tcp", cause)],
        "node2": [outcome("probe-node1", "icmp"), outcome("web.x", "dns"), outcome("web.x", "dns-tcp")],
    }
    gone = absent or {}
    return report_build.build(
        backend="flannel",
        every={node: [pod] for node, pod in PODS.items() if node not in gone},
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
    assert report_matrix.matrix(told).splitlines()[0].split() == ["node1", "node2", "dns"]
    assert "2 pairs, 1 names, 6 probes" in report_matrix.summary(told)


def test_a_wrong_name_fails_the_whole_and_tells_its_own_cause() -> None:
    told = report("SERVFAIL: plugin/errors: 2 web.x. A: refused")
    assert not told["ok"]
    assert report_matrix.failures(told) == [
        "node1 -> web.x: dns, dns-tcp: SERVFAIL: plugin/errors: 2 web.x. A: refused"
    ]
    assert told["causes"] == []


def test_a_node_without_a_pod_is_not_blamed_on_names() -> None:
    told = report(absent={"node2": Absence("it was not reached")})
    assert {pair["protocol"] for pair in told["pairs"] if not pair["ok"]} == {"icmp"}
    assert [cause["code"] for cause in told["causes"]] == ["pod-missing"]


def test_a_pod_that_is_seen_under_another_address_is_not_whole() -> None:
    outcomes = {
        "node1": [{**outcome("probe-node2", "udp"), "source": "probe-node1", "source_seen": "10.244.0.0"}],
        "node2": [{**outcome("probe-node1", "udp"), "source": "probe-node2", "source_seen": PODS["node2"]["address"]}],
    }
    made = report_build.build(
        backend="flannel",
        every={node: [pod] for node, pod in PODS.items()},
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


# --- several pods on a node, and addresses beyond them ----------------------------------

SECOND: dict[str, dict[str, Any]] = {
    node: {
        **pod,
        "name": f"{pod['name']}:2",
        "address": f"{pod['address']}9",
        "ips": [{"address": f"{pod['address']}9", "subnet": pod["subnet"]}],
    }
    for node, pod in PODS.items()
}


def built(found: list[dict[str, Any]]) -> dict[str, Any]:
    return report_build.build(
        backend="flannel",
        every={node: [pod, SECOND[node]] for node, pod in PODS.items()},
        addresses={"node1": "192.0.2.11", "node2": "192.0.2.12"},
        outcomes={"node1": found, "node2": [outcome("probe-node1", "icmp")]},
        absent={},
        evidence={},
        protocols=["icmp"],
        started="2026-03-01T12:00:00+00:00",
        duration=0.1,
    )


def test_a_pair_of_nodes_is_as_bad_as_the_worst_way_between_their_pods() -> None:
    slow = {**outcome("probe-node2:2", "icmp"), "source": "probe-node1", "rtt_ms": 9.0}
    lost = {**outcome("probe-node2:2", "icmp", "no answer"), "source": "probe-node1:2"}
    good = {**outcome("probe-node2", "icmp"), "source": "probe-node1"}
    pair = built([good, slow, good])["pairs"][0]
    assert (pair["ok"], pair["rtt_ms"], pair["ways"], pair["failed_ways"]) == (True, 9.0, 3, [])
    told = built([good, lost, slow])
    pair = told["pairs"][0]
    assert not pair["ok"] and pair["failed_ways"] == ["probe-node1:2 -> probe-node2:2"]
    assert pair["cause"] == "no answer (1 of 3 ways: probe-node1:2 -> probe-node2:2)"
    assert len(told["pairs"]) == 2 and "2 pairs, 4 probes, 1 FAILED" in report_matrix.summary(told)


def test_every_pod_has_an_address_of_its_own_to_be_seen_under() -> None:
    def seen(address: str) -> bool:
        found = {**outcome("probe-node2", "udp"), "source": "probe-node1:2", "source_seen": address}
        return bool(built([found])["pairs"][0]["ok"])

    assert seen(SECOND["node1"]["address"])
    assert not seen(PODS["node1"]["address"])


def test_pods_of_one_node_are_told_as_that_node_and_itself() -> None:
    told = built([{**outcome("probe-node1:2", "icmp"), "source": "probe-node1"}])
    assert (told["pairs"][0]["source"], told["pairs"][0]["target"]) == ("node1", "node1")
    assert "2 pairs" in report_matrix.summary(told), "and count as no pair"


def test_what_leaves_unmasqueraded_and_unanswered_has_that_for_its_cause() -> None:
    lost = {**outcome("198.51.100.7:443", "outside", "no answer"), "source": "probe-node1"}
    left_as = PODS["node1"]["address"]
    told = built([{**lost, "source_seen": left_as}])
    assert [(cause["code"], cause["node"]) for cause in told["causes"]] == [("not-masqueraded", "node1")]
    assert "addresses, " in report_matrix.summary(told)
    masqueraded = built([{**lost, "source_seen": "192.0.2.11"}])
    assert masqueraded["causes"] == [] and masqueraded["pairs"][0]["cause"] == "no answer"
    reached = built([{**lost, "ok": True, "cause": None, "source_seen": left_as}])
    assert reached["pairs"][0]["ok"], "a router may know the way to pods"
