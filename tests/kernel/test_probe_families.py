"""Probes between pods with addresses of both IP versions: namespaces on one segment, with the real responder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import engine
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import Host, Underlay

RESPONDER = Path(__file__).resolve().parents[2] / "plugins/module_utils/_probe/responder.py"
PORT = 18080


@pytest.fixture
def pods(hosts: Callable[[int], list[Host]]) -> Iterator[list[Host]]:
    """Three pods that answer."""
    made = hosts(3)
    running = [pod.background(sys.executable, str(RESPONDER), pod.name, str(PORT)) for pod in made]
    try:
        for pod in made:
            # Listening shows on the socket itself.
            pod.exec("sh", "-c", f"until ss -Hlnt | grep -q :{PORT}; do sleep 0.05; done")
        yield made
    finally:
        for process in running:
            stop(process)


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate(timeout=10)


def probed(pod: Host, pods: list[Host], tries: int = 3) -> dict[tuple[int, str, int], dict[str, Any]]:
    """What a pod found of each, by the number of the pod, protocol and IP version."""
    addresses = [(one, address) for one in pods for address in (one.address, one.address6)]
    params = {
        "name": pod.name,
        "state": "probed",
        "targets": [{"name": one.name, "address": address, "port": PORT} for one, address in addresses],
        "protocols": [*engine.BETWEEN, "hairpin"],
        "timeout": 0.5,
        "tries": tries,
    }
    numbers = {one.name: one.number for one in pods}
    outcomes = pod.run_module("pod_probe", params)["outcomes"]
    return {(numbers[one["target"]], one["protocol"], one["family"]): one for one in outcomes}


def test_every_protocol_is_probed_over_both_ip_versions(pods: list[Host]) -> None:
    found = probed(pods[0], pods)
    between = {(number, protocol, family) for number in (2, 3) for protocol in engine.BETWEEN for family in (4, 6)}
    assert set(found) == between | {(1, "hairpin", 4), (1, "hairpin", 6)}
    assert {one["cause"] for one in found.values()} == {None}
    assert {one["mtu"] for key, one in found.items() if key[1] == "mtu"} == {1500}


def test_the_probed_pod_tells_the_source_in_the_ip_version_of_the_probe(pods: list[Host]) -> None:
    found = probed(pods[0], pods)
    for protocol in ("udp", "http"):
        assert found[2, protocol, 4]["source_seen"] == pods[0].address
        assert found[2, protocol, 6]["source_seen"] == pods[0].address6


def test_large_packets_over_ipv6_that_vanish_are_found_to_the_byte(pods: list[Host], network: Underlay) -> None:
    # A port of a bridge tells nobody of what it cannot carry.
    network.switch.ip("link set port2 mtu 1391")
    found = probed(pods[0], pods, tries=1)
    assert [found[2, "mtu", family]["mtu"] for family in (4, 6)] == [1391, 1391]
    assert found[2, "icmp", 6]["ok"] and found[3, "mtu", 6]["ok"]


def test_the_largest_packet_of_tcp_is_told_where_large_icmp_alone_is_filtered(pods: list[Host]) -> None:
    pods[1].exec("nft", "add table inet f; add chain inet f i { type filter hook input priority 0; }")
    pods[1].exec("nft", "add rule inet f i meta l4proto { icmp, ipv6-icmp } meta length > 1000 drop")
    pods[2].ip("link set eth0 mtu 1400")
    found = probed(pods[0], pods, tries=1)
    assert found[2, "mtu", 4]["mtu"] == 1000
    assert [found[number, "bulk", family]["packet"] for number in (2, 3) for family in (4, 6)] == [1500] * 2 + [
        1400
    ] * 2


def test_a_pod_that_is_down_over_ipv6_alone_fails_over_ipv6_alone(pods: list[Host]) -> None:
    pods[1].exec("nft", "add table ip6 broken")
    pods[1].exec("nft", "add chain ip6 broken in { type filter hook input priority 0; }")
    pods[1].exec("nft", "add rule ip6 broken in ip6 saddr 2001:db8::/64 icmpv6 type != { 135, 136 } drop")
    pods[1].exec("nft", "add rule ip6 broken in meta l4proto { tcp, udp } drop")
    found = probed(pods[0], pods, tries=1)
    assert {family for (number, _protocol, family), one in found.items() if number == 2 and one["ok"]} == {4}
    assert {one["ok"] for (number, _protocol, _family), one in found.items() if number == 3} == {True}


def test_a_pod_without_ipv6_is_told_at_once_that_there_is_no_way(pods: list[Host]) -> None:
    pods[0].ip("address flush dev eth0 scope global")
    pods[0].ip(f"address add {pods[0].address}/24 dev eth0")
    found = probed(pods[0], pods)
    assert found[2, "tcp", 4]["ok"]
    assert found[2, "tcp", 6]["cause"] == "network is unreachable"
