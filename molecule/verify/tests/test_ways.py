"""Ways other than from pod to pod of another node, each seen whole and seen broken."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testing import lab
from testing.breakage import QUICK, when_it_listens

NODES = ("cp-1", "worker-2.lab.example", "worker-3.lab.example")


class Outside:
    """A server outside of the cluster, on the machine that the lab runs on."""

    def __init__(self) -> None:
        self.address = f"{lab.address('cp-1').rpartition('.')[0]}.1"
        self.socket = socket.create_server((self.address, 0))
        self.port = self.socket.getsockname()[1]
        self.clients: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, address = self.socket.accept()
            except OSError:
                return
            self.clients.append(address[0])
            client.close()


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    server = Outside()
    yield server
    server.socket.close()


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory, outside: Outside) -> Path:
    """A balancer in the inventory, as far as verify goes: its address is the server's."""
    path: Path = tmp_path_factory.mktemp("inventory") / "balancers.json"
    address = {"cluster_api_vip": outside.address, "cluster_api_port": outside.port}
    path.write_text(
        json.dumps(
            {
                "api_load_balancer": {"hosts": {"worker-3.lab.example": {}}},
                "nodes": {"hosts": dict.fromkeys(NODES, address)},
            }
        )
    )
    return path


def verified(outside: Outside, inventory: Path) -> tuple[dict[str, Any], dict[tuple[str, str, str], dict[str, Any]]]:
    """A report, and its pairs by source, target and protocol; two pods on every node."""
    targets = {"verify_pods_per_node": 2, "verify_outside": [{"address": outside.address, "port": outside.port}]}
    outside.clients.clear()
    lab.playbook("verify", *QUICK, "--inventory", str(inventory), "--extra-vars", json.dumps(targets))
    report = lab.connectivity()
    return report, {(pair["source"], pair["target"], pair["protocol"]): pair for pair in report["pairs"]}


def test_every_way_there_is_was_gone(outside: Outside, inventory: Path) -> None:
    report, pairs = verified(outside, inventory)
    assert report["ok"], [pair for pair in report["pairs"] if not pair["ok"]]
    server = f"{outside.address}:{outside.port}"
    for node in NODES:
        assert pairs[node, node, "own"]["ways"] == pairs[node, node, "hairpin"]["ways"] == 2
        assert pairs[node, node, "bulk"]["ways"] == 2, "from each pod of a node to the other"
        assert pairs[node, server, "vip"]["ok"]
        assert pairs[node, server, "outside"]["source_seen"] == lab.address(node), "masqueraded"
    assert pairs["cp-1", "worker-2.lab.example", "http"]["ways"] == 4
    assert sorted(set(outside.clients)) == sorted(map(lab.address, NODES)), "as the server saw it"


def test_a_broken_way_is_told_and_no_other(outside: Outside, inventory: Path) -> None:
    subnets = {node["name"]: node["pod_cidr"] for node in lab.connectivity()["nodes"]}
    lab.inside(
        "cp-1",
        "nft add table ip breakage; nft 'add chain ip breakage in { type filter hook input priority 0; }';"
        f" nft add rule ip breakage in ip saddr {subnets['cp-1']} icmp type echo-request drop",
    )
    # Untracked, and so not masqueraded.
    lab.inside(
        "worker-2.lab.example",
        "nft add table ip breakage; nft 'add chain ip breakage raw { type filter hook prerouting priority -300; }';"
        f" nft add rule ip breakage raw ip saddr {subnets['worker-2.lab.example']} ip daddr {outside.address} notrack",
    )
    pod = "probe-worker-3.lab.example:2"
    fault = f"ip -n {pod} route add blackhole {subnets['cp-1']}; ip -n {pod} link set lo down"
    lab.inside("worker-3.lab.example", when_it_listens(pod, fault))
    try:
        report, pairs = verified(outside, inventory)
    finally:
        for node in ("cp-1", "worker-2.lab.example"):
            lab.inside(node, "nft delete table ip breakage")
    server = f"{outside.address}:{outside.port}"
    # The server's address is one that worker-2.lab.example does not masquerade, for whatever it is asked.
    lost = {
        ("cp-1", "cp-1", "own"),
        ("worker-2.lab.example", server, "outside"),
        ("worker-2.lab.example", server, "vip"),
    }
    lost.add(("worker-3.lab.example", "worker-3.lab.example", "hairpin"))
    between = {("cp-1", "worker-3.lab.example"), ("worker-3.lab.example", "cp-1")}
    told = {key for key, pair in pairs.items() if not pair["ok"]}
    assert lost <= told
    assert {key[:2] for key in told - lost} == between
    assert pairs["worker-3.lab.example", "worker-3.lab.example", "hairpin"]["failed_ways"] == [
        "probe-worker-3.lab.example:2 -> probe-worker-3.lab.example:2"
    ]
    assert pairs["worker-3.lab.example", "cp-1", "tcp"]["failed_ways"] == [
        "probe-worker-3.lab.example:2 -> probe-cp-1",
        "probe-worker-3.lab.example:2 -> probe-cp-1:2",
    ]
    assert "(2 of 4 ways: " in pairs["worker-3.lab.example", "cp-1", "tcp"]["cause"]
    causes = sorted((cause["code"], cause["node"]) for cause in report["causes"])
    assert causes == [("firewall", "cp-1"), ("not-masqueraded", "worker-2.lab.example")]
    assert set(outside.clients) == {lab.address("cp-1"), lab.address("worker-3.lab.example")}
