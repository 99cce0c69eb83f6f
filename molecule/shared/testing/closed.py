"""What the nodes use between themselves is for members alone: tests of the scenarios that import them.

Each sends what must not arrive, and then sees it arrive without the table of the firewall.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testing import forge, lab

POD = "guarded"
TABLE = "inet binary_cluster"


@dataclass(frozen=True)
class Pod:
    """A pod on a node, and the tunnel of the node where it has one."""

    node: str
    address: str
    tunnel: Mapping[str, Any]

    def send(self, *arguments: str) -> str:
        """Have the pod send; what it says of it."""
        script = Path(forge.__file__).read_text()
        command = ["docker", "exec", "-i", lab.container(self.node), "ip", "netns", "exec", POD, "python3", "-"]
        done = subprocess.run([*command, *arguments], input=script, capture_output=True, text=True, check=True)
        return done.stdout

    def arrived(self) -> int:
        """How many forged packets have come to the pod so far."""
        lines = lab.inside(self.node, f"ip netns exec {POD} cat /proc/net/snmp").splitlines()
        names, values = (line.split() for line in lines if line.startswith("Udp: "))
        return int(values[names.index("NoPorts")])

    def through_its_tunnel(self, source: str) -> list[str]:
        """Arguments that send a packet in VXLAN to the pod."""
        told = self.tunnel["linkinfo"]["info_data"]
        return [
            "tunnelled", lab.address(self.node), str(told["port"]), str(told["id"]), self.tunnel["address"],
            source, self.address,
        ]  # fmt: skip


@pytest.fixture(scope="module")
def pods() -> Iterator[tuple[Pod, Pod]]:
    """A pod on each of the first two nodes."""
    nodes = lab.names("nodes")[:2]
    made = lab.modules(nodes, "cni_attachment", netns=POD)
    found = []
    for node in nodes:
        links = json.loads(lab.inside(node, "ip -details -json link show type vxlan"))
        tunnels = [link for link in links if link and "id" in link["linkinfo"]["info_data"]]
        address = made[node]["addresses"][0].partition("/")[0]
        found.append(Pod(node, address, tunnels[0] if tunnels else {}))
    yield found[0], found[1]
    lab.modules(nodes, "cni_attachment", netns=POD, state="absent")


@contextlib.contextmanager
def without_firewall(nodes: Sequence[str]) -> Iterator[None]:
    """Nodes whose ports are open to all, for a moment."""
    try:
        for node in nodes:
            lab.inside(node, f"nft delete table {TABLE}")
        yield
    finally:
        for node in nodes:
            lab.inside(node, "systemctl restart binary-cluster-firewall")


def arrives(pod: Pod, before: int) -> bool:
    """Whether another packet comes to a pod within a moment."""
    until = time.monotonic() + 0.5
    while pod.arrived() == before:
        if time.monotonic() > until:
            return False
    return True


def test_nothing_comes_out_of_a_tunnel_that_a_stranger_sent(pods: tuple[Pod, Pod]) -> None:
    """The controller is on the nodes' network, and no member."""
    first, second = pods
    kind, node, port, vni, mac, source, target = second.through_its_tunnel(first.address)
    assert kind == "tunnelled"
    before = second.arrived()
    forge.tunnelled(node, int(port), int(vni), mac, source, target)
    assert not arrives(second, before)
    with without_firewall([second.node]):
        forge.tunnelled(node, int(port), int(vni), mac, source, target)
        assert arrives(second, before)


def test_nothing_comes_out_of_a_tunnel_that_a_pod_sent(pods: tuple[Pod, Pod]) -> None:
    first, second = pods
    for target in (second, first):  # of another node, and of its own
        before = target.arrived()
        first.send(*target.through_its_tunnel("10.244.200.7"))
        assert not arrives(target, before)
    before = second.arrived()
    # Masqueraded by its own node, it comes from a member.
    with without_firewall([first.node]):
        first.send(*second.through_its_tunnel("10.244.200.7"))
        assert arrives(second, before)


def test_a_pod_reaches_no_member_of_etcd(pods: tuple[Pod, Pod]) -> None:
    first, _second = pods
    members = [lab.address(member) for member in lab.names("etcd")]
    for member in members:
        assert first.send("connect", member, "2379", "2380").split() == ["shut", "shut"]
    with without_firewall(list(dict.fromkeys([first.node, *lab.names("etcd")]))):
        assert first.send("connect", members[-1], "2379", "2380").split() == ["open", "open"]


def test_a_pod_sends_under_no_other_address(pods: tuple[Pod, Pod]) -> None:
    first, second = pods
    before = second.arrived()
    first.send("spoofed", first.address, second.address)
    assert arrives(second, before)
    before = second.arrived()
    for forged in ("10.244.200.7", lab.address(second.node)):
        first.send("spoofed", forged, second.address)
    assert not arrives(second, before)
    with without_firewall([first.node]):
        first.send("spoofed", "10.244.200.7", second.address)
        assert arrives(second, before)


def test_only_members_are_in_the_table() -> None:
    members = sorted({lab.address(host) for group in ("nodes", "etcd") for host in lab.names(group)})
    for node in lab.names("nodes"):
        listed = json.loads(lab.inside(node, "nft --json list set inet binary_cluster members4"))["nftables"]
        held = next(entry["set"]["elem"] for entry in listed if "set" in entry)
        assert set(members) <= set(held)
        assert f"{lab.variable(node, 'lab_subnet')}.1" not in held
