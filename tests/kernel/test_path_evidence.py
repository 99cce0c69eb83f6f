"""How nodes answer one another on the underlay, as verify's evidence has it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import Host


def drop(host: Host, what: str) -> None:
    """Have a host take no packets of a kind."""
    host.exec("nft", f"add table inet f; add chain inet f i {{ type filter hook input priority 0; }}; {what}")


@pytest.fixture
def nodes(hosts: Callable[[int], list[Host]]) -> list[Host]:
    """Five nodes: all answer the first one differently."""
    here, whole, closed, filtered, cut = hosts(5)
    drop(closed, "add rule inet f i meta l4proto icmp drop")
    drop(filtered, "add rule inet f i meta l4proto { icmp, tcp } drop")
    here.ip(f"route add prohibit {cut.address}/32")
    return [here, whole, closed, filtered, cut]


def test_how_nodes_answer_is_told_where_icmp_is_filtered(nodes: list[Host]) -> None:
    here, whole, closed, filtered, cut = nodes
    names = {f"node{host.number}": host.address for host in nodes}
    now = time.time()
    asked = {"name": "probe", "pods": [], "nodes": {**names, "gone": "192.0.2.199"}, "window": 0.1}
    told = here.run_module("path_evidence", {**asked, "start": now, "controller_time": now})["evidence"]["underlay"]
    mac = filtered.json("ip link show eth0")[0]["address"]
    assert told == {
        f"node{here.number}": "answers ICMP echo",
        f"node{whole.number}": "answers ICMP echo",
        f"node{closed.number}": "answers at tcp/22",
        f"node{filtered.number}": f"has the MAC {mac}",
        # There is a cable, and no route.
        f"node{cut.number}": "",
        "gone": "",
    }
