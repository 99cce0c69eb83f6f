"""The report of a network where pods have addresses of both IP versions."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from ansible_collections.binary_cluster.networking.plugins.filter.failed_targets import failed_targets
from ansible_collections.binary_cluster.networking.plugins.filter.probe_targets import probe_targets
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import (
    build as report_build,
    junit as report_junit,
    matrix as report_matrix,
    prometheus,
    state as report_state,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.absence import Absence

NODES = {"node1": "192.0.2.11", "node2": "192.0.2.12"}
PROTOCOLS = ["icmp", "tcp", "node", "hairpin"]


def pod(number: int, families: tuple[int, ...] = (4, 6)) -> dict[str, Any]:
    ips = {
        4: {"address": f"10.244.{number}.2", "subnet": f"10.244.{number}.0/24"},
        6: {"address": f"fd00:{number}::2", "subnet": f"fd00:{number}::/64"},
    }
    held = [ips[family] for family in families]
    return {
        "name": f"probe-node{number}", **held[0], "ips": held, "network": "pods", "port": 18080,
        "configuration": "/etc/cni/net.d/10-pods.conflist",
    }  # fmt: skip


def outcome(source: int, target: int, protocol: str, family: int, **more: Any) -> dict[str, Any]:
    return {
        "source": f"probe-node{source}", "target": f"probe-node{target}", "protocol": protocol, "family": family,
        "ok": True, "rtt_ms": 0.2, "mtu": None, "tries": 1, "cause": None, "source_seen": None, **more,
    }  # fmt: skip


def report(
    pods: dict[str, Any] | None = None, absent: dict[str, Absence] | None = None, **more: Any
) -> report_build.Report:
    """The report of two nodes. ``more`` changes the probes over IPv6 from node1 to node2."""
    pods = pods or {"node1": pod(1), "node2": pod(2)}
    found = {
        f"node{source}": [
            outcome(source, target, protocol, family, **(more if (source, family) == (1, 6) else {}))
            for family in (4, 6)
            for protocol in ("icmp", "tcp")
        ]
        for source, target in ((1, 2), (2, 1))
    }
    known = {one["address"] for pod in pods.values() for one in pod["ips"]}
    outcomes = {node: [one for one in told if _address(one) in known] for node, told in found.items() if node in pods}
    return report_build.build(
        backend="vxlan_mesh",
        every={node: [pod] for node, pod in pods.items()},
        addresses=NODES,
        outcomes=outcomes,
        absent=absent or {},
        evidence={},
        protocols=PROTOCOLS,
        started="2026-01-01T00:00:00+00:00",
        duration=0.1,
    )


def _address(told: dict[str, Any]) -> str:
    ips = pod(int(told["target"][-1]))["ips"]
    return str(ips[0 if told["family"] == 4 else 1]["address"])


def test_each_address_of_a_pod_is_a_target_and_the_node_where_its_address_is_alike() -> None:
    ready = {"node1": {"pods": [pod(1)]}}
    assert probe_targets(ready, NODES) == [
        {"name": "probe-node1", "address": "10.244.1.2", "port": 18080, "node": "192.0.2.11"},
        {"name": "probe-node1", "address": "fd00:1::2", "port": 18080, "node": ""},
    ]


def test_only_addresses_that_were_not_reached_are_asked_after() -> None:
    ready = {node: {"pods": [pod(number)]} for number, node in enumerate(NODES, start=1)}
    outcomes = [outcome(1, 2, "tcp", 4), outcome(1, 2, "tcp", 6, ok=False), outcome(1, 2, "udp", 6, ok=False)]
    assert failed_targets({"node1": {"outcomes": outcomes}}, ready, NODES) == {
        "node1": [{"name": "probe-node2", "address": "fd00:2::2", "port": 18080, "node": ""}],
        "node2": [],
    }


def test_a_node_that_its_own_pod_did_not_reach_is_asked_after() -> None:
    ready = {node: {"pods": [pod(number)]} for number, node in enumerate(NODES, start=1)}
    outcomes = [outcome(2, 2, "own", 4, ok=False), outcome(2, 1, "tcp", 4)]
    assert failed_targets({"node2": {"outcomes": outcomes}}, ready, NODES) == {
        "node2": [{"name": "probe-node2", "address": "10.244.2.2", "port": 18080, "node": "192.0.2.12"}],
    }


def test_a_pair_is_whole_if_both_ip_versions_are() -> None:
    assert report()["ok"]
    told = report(ok=False, rtt_ms=None, cause="no answer")
    assert not told["ok"]
    assert report_matrix.failures(told) == ["node1 -> node2: icmp6, tcp6: no answer"]


def test_the_matrix_names_an_ip_version_that_is_down_and_else_the_probe() -> None:
    lines = report_matrix.matrix(report(ok=False, rtt_ms=None, cause="no answer")).splitlines()
    assert lines[1].split() == ["node1", "-", "IPV6"]
    assert lines[2].split() == ["node2", "0.20", "ms", "-"]
    one = report()
    one["pairs"][3].update(ok=False, state="failed", cause="no answer")
    assert report_matrix.matrix(one).splitlines()[1].split() == ["node1", "-", "TCP6"]


def test_the_ip_version_stands_in_every_form_of_the_report() -> None:
    told = report()
    names = [case.get("name") for case in ElementTree.fromstring(report_junit.junit(told)).iter("testcase")]
    assert names[:4] == [f"node1 -> node2 {protocol}" for protocol in ("icmp", "tcp", "icmp6", "tcp6")]
    assert told["nodes"][0]["ips"][1] == {"address": "fd00:1::2", "subnet": "fd00:1::/64"}
    assert 'probe_success{source="node1",target="node2",family="6",protocol="tcp"} 1' in prometheus.render(told)


def test_a_comparison_tells_ip_versions_apart_and_takes_earlier_reports_for_ipv4() -> None:
    earlier, now = report(), report(ok=False, rtt_ms=None, cause="no answer")
    assert {report_state.title(change) for change in report_state.compare(earlier, now)["worse"]} == {"icmp6", "tcp6"}
    for probe in earlier["pairs"]:
        del probe["family"]
    earlier["pairs"] = [probe for number, probe in enumerate(earlier["pairs"]) if number % 4 < 2]
    assert report_state.compare(earlier, now)["worse"] == []


def test_pods_arriving_under_another_address_of_their_ip_version_fail() -> None:
    assert report(source_seen="fd00:1::2")["ok"]
    told = report(source_seen="10.244.1.2")
    assert {cause["code"] for cause in told["causes"]} == {"source-rewritten"}


def test_a_pod_without_ipv6_among_pods_with_it_fails_these_pairs_alone() -> None:
    told = report({"node1": pod(1), "node2": pod(2, families=(4,))})
    failed = {(pair["source"], pair["target"], report_state.title(pair)) for pair in told["pairs"] if not pair["ok"]}
    assert failed == {("node1", "node2", "icmp6"), ("node1", "node2", "tcp6")}
    assert [(cause["code"], cause["node"]) for cause in told["causes"]] == [("pod-address-missing", "node2")]


def test_an_absent_node_fails_for_every_ip_version_that_pods_have() -> None:
    told = report({"node1": pod(1)}, absent={"node2": Absence("it was not reached")})
    failed = {report_state.title(pair) for pair in told["pairs"] if not pair["ok"]}
    assert failed == {"icmp", "tcp", "node", "icmp6", "tcp6"}, "nodes have no IPv6 address to probe"
    assert [cause["code"] for cause in told["causes"]] == ["pod-missing"]
