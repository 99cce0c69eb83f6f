"""The module flannel_node up to where it needs etcd: whose links it takes, and a flanneld that gets no lease."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.tests.kernel.sandbox import Sandbox, sandbox

NETWORK = {"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "VNI": 1}}
OPTIONS: dict[str, Any] = {
    "endpoints": ["http://127.0.0.1:1"],
    "address": "192.0.2.1",
    "network": NETWORK,
    "conflist": {"name": "flannel"},
    "wait": 2,
}
LEASE = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.7.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
RECORD = """{"networks": {"10.244.0.0/16": {}}, "links": {"flannel.1": {}, "flannel0": {}, "cni0": {}}}"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Sandbox]:
    """A host whose systemd says that flanneld runs, and notes what it is told to do."""
    with sandbox(tmp_path) as host:
        host.stand_in("systemctl", f'echo "$*" >> {tmp_path}/told; echo ActiveState=active')
        host.stand_in("journalctl", "echo waiting for an address")
        yield host


def write(node: Sandbox, path: str, text: str) -> None:
    """Write a file in the sandbox."""
    node.exec("mkdir", "-p", str(Path(path).parent))
    node.exec("sh", "-c", f"cat > {path} <<'EOF'\n{text}\nEOF")


def told(node: Sandbox, verb: str) -> list[str]:
    """What systemd was told to do."""
    lines = (node.scratch / "told").read_text().splitlines()
    return [line for line in lines if line.startswith(verb)]


@pytest.mark.parametrize("lease", ["", "FLANNEL_NETWORK=10.244.0.0/16\n"])
def test_a_flanneld_without_a_lease_is_restarted_once_and_reported_with_its_last_lines(
    node: Sandbox, lease: str
) -> None:
    write(node, "/run/flannel/subnet.env", lease)
    began = time.monotonic()
    failed = node.run_module("flannel_node", OPTIONS, failing=True)["msg"]
    assert "flanneld: /run/flannel/subnet.env has no lease" in failed
    assert failed.endswith("waiting for an address")
    assert told(node, "restart") == ["restart --no-block flanneld"]
    assert time.monotonic() - began < 30


def test_the_restart_of_a_flanneld_without_a_lease_is_announced(node: Sandbox) -> None:
    actions = node.run_module("flannel_node", OPTIONS, check=True)["actions"]
    assert actions[0] == "restart flanneld: /run/flannel/subnet.env has no lease"
    assert told(node, "restart") == []


def test_a_link_of_another_flannel_is_refused(node: Sandbox) -> None:
    node.ip("link add flannel.1 type vxlan id 1 dstport 8472")
    failed = node.run_module("flannel_node", OPTIONS, failing=True)["msg"]
    assert "the link flannel.1 is there, and this collection did not make it" in failed
    assert "flannel.1" in node.links() and node.files("/var/lib/binary_cluster") == []


def test_a_bridge_of_somebody_else_is_refused(node: Sandbox) -> None:
    node.ip("link add cni0 type bridge")
    node.ip("address add 10.42.0.1/24 dev cni0")
    failed = node.run_module("flannel_node", OPTIONS, failing=True)["msg"]
    assert "bridge: cni0: a bridge that this collection did not make is there with 10.42.0.1/24" in failed
    assert "cni0" in node.links() and node.files("/var/lib/binary_cluster") == []


def test_a_second_address_of_the_bridge_is_named_at_once(node: Sandbox) -> None:
    write(node, "/var/lib/binary_cluster/flannel-node.json", RECORD)
    write(node, "/run/flannel/subnet.env", LEASE)
    node.ip("link add cni0 type bridge")
    for address in ("10.244.7.1/24", "10.244.9.1/24"):
        node.ip(f"address add {address} dev cni0")
    failed = node.run_module("flannel_node", OPTIONS, failing=True)["msg"]
    assert "bridge: cni0: it has the address 10.244.9.1/24 besides 10.244.7.1/24" in failed
    assert failed.endswith("remove it with `ip address delete 10.244.9.1/24 dev cni0`")


def test_a_node_that_leaves_removes_recorded_links_and_no_others(node: Sandbox) -> None:
    write(node, "/var/lib/binary_cluster/flannel-node.json", RECORD)
    for line in ("flannel.1 type vxlan id 1 dstport 8472", "flannel.7 type vxlan id 7 dstport 8472"):
        node.ip(f"link add {line}")
    node.ip("link add cni0 type bridge")
    absent = {**OPTIONS, "state": "absent"}
    announced = node.run_module("flannel_node", absent, check=True)["actions"]
    assert node.run_module("flannel_node", absent)["actions"] == announced
    assert {"link delete dev flannel.1", "link delete dev cni0"} <= set(announced)
    assert node.links() == ["lo", "flannel.7"]
    assert node.files("/var/lib/binary_cluster") == []
