"""Nodes with a pod each, in namespaces: two whose pods' packets are routed, and two that are joined by VXLAN."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import (
    explanation,
    path as diagnosis_path,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import Cause, End
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import PYTHON, Host, Namespace, underlay

RESPONDER = Path(__file__).resolve().parents[2] / "plugins" / "module_utils" / "_probe" / "responder.py"
PORT = 18080
# Seconds until all nodes begin to watch together, and those they watch.
START, WINDOW = 1.2, 1.0


class Node:
    """A host, its bridge ``cni0`` and its pod."""

    def __init__(self, host: Host) -> None:
        self.host, self.number = host, host.number
        self.name, self.address = f"node{host.number}", f"10.244.{host.number}.2"
        self.subnet = f"10.244.{host.number}.0/24"
        self.pod = Namespace(f"pod{host.number}")
        host.exec("sysctl", "-qw", "net.ipv4.ip_forward=1")
        host.ip("link add cni0 up type bridge")
        host.ip(f"address add 10.244.{self.number}.1/24 dev cni0")
        host.ip(f"link add veth{self.number} up master cni0 type veth peer name eth0 netns {self.pod.name}")
        self.pod.ip("link set eth0 up")
        self.pod.ip(f"address add {self.address}/24 dev eth0")
        self.pod.ip(f"route add default via 10.244.{self.number}.1")
        self.responder = self.pod.background(PYTHON, str(RESPONDER), self.pod.name, str(PORT))

    def route(self, other: Node) -> None:
        """Lead to the other's pods through its node."""
        self.host.ip(f"route add {other.subnet} via {other.host.address}")

    def tunnel(self, other: Node) -> None:
        """Lead to the other's pods through a tunnel."""
        own, remote = (f"02:00:00:00:00:0{node.number}" for node in (self, other))
        link = f"type vxlan id 1 local {self.host.address} dstport 8472 dev eth0 nolearning"
        self.host.ip(f"link add flannel.1 address {own} mtu 1450 {link}")
        self.host.ip(f"address add 10.244.{self.number}.0/32 dev flannel.1")
        self.host.ip("link set flannel.1 up")
        self.host.ip(f"neighbour add 10.244.{other.number}.0 lladdr {remote} dev flannel.1 nud permanent")
        self.host.bridge(f"fdb append {remote} dev flannel.1 dst {other.host.address} self permanent")
        self.host.ip(f"route add {other.subnet} via 10.244.{other.number}.0 dev flannel.1 onlink")
        self.pod.ip("link set eth0 mtu 1450")

    def wait(self) -> None:
        """Wait until the pod answers."""
        until = time.monotonic() + 10
        while f":{PORT}" not in self.pod.exec("ss", "-Hlun"):
            assert time.monotonic() < until, f"{self.pod.name} does not listen"
            time.sleep(0.05)

    def remove(self) -> None:
        self.responder.kill()
        self.responder.wait()
        self.pod.remove()


class Pairs:
    """Pairs of nodes whose pods reach each other."""

    def __init__(self, pairs: Sequence[tuple[Node, Node]]) -> None:
        self.pairs = pairs
        self.nodes = [node for pair in pairs for node in pair]

    def ends(self) -> dict[Node, End]:
        """What all nodes know and see, at the same time, each of the other one of its pair."""
        now = time.time()
        other = {**dict(self.pairs), **{second: first for first, second in self.pairs}}

        def gather(node: Node) -> End:
            target = other[node]
            params = {
                "name": node.pod.name,
                "targets": [{"name": target.pod.name, "address": target.address, "node": target.host.address}],
                "pods": [one.address for one in self.nodes],
                "nodes": {one.name: one.host.address for one in self.nodes},
                "start": now + START,
                "controller_time": now,
                "window": WINDOW,
            }
            evidence = node.host.run_module("path_evidence", params)["evidence"]
            return End(node.name, node.host.address, node.pod.name, node.address, node.subnet, evidence)

        with ThreadPoolExecutor(len(self.nodes)) as pool:
            return dict(zip(self.nodes, pool.map(gather, self.nodes)))


def cause(source: End, target: End, failed: Sequence[str], passed: Sequence[str]) -> Cause | None:
    """Why probes fail between two pods; None where nobody knows."""
    path = diagnosis_path.Path(source, target, tuple(failed), tuple(passed), None, (source, target))
    return explanation.of_probes(path, failed).get(failed[0])


@contextlib.contextmanager
def pairs(scratch: Path) -> Iterator[Pairs]:
    """A pair that is routed and one that has a tunnel, removed whatever happens."""
    nodes: list[Node] = []
    with underlay(scratch) as network:
        try:
            for host in network.add(4):
                nodes.append(Node(host))
            first, second, third, fourth = nodes
            for one, another in ((first, second), (second, first)):
                one.route(another)
            for one, another in ((third, fourth), (fourth, third)):
                one.tunnel(another)
            for node in nodes:
                node.wait()
            yield Pairs([(first, second), (third, fourth)])
        finally:
            for node in nodes:
                node.remove()
