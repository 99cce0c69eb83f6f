"""The module routed_node and links that are there: what it takes, what it refuses, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.tests.kernel.sandbox import Sandbox, sandbox

NODES = [
    {"name": "n1", "address": "192.0.2.1", "pod_cidr": "10.244.1.0/24"},
    {"name": "n2", "address": "192.0.2.2", "pod_cidr": "10.244.2.0/24"},
]
MESH: dict[str, Any] = {
    "name": "vxlan_mesh",
    "node": "n1",
    "nodes": NODES,
    "network": "10.244.0.0/16",
    "vxlan": {"vni": 1},
    "masquerade": False,
}


BRIDGE = "10.244.1.1/24"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Sandbox]:
    """A host on the underlay. There is no systemd in it; that a unit can be enabled is taken for granted."""
    with sandbox(tmp_path) as host:
        host.stand_in("systemctl")
        host.ip("link add eth0 type veth peer name eth9")
        host.ip("link set eth9 up")
        host.ip("link set eth0 up")
        host.ip("address add 192.0.2.1/24 dev eth0")
        yield host


def addresses(node: Sandbox, link: str = "cni0") -> list[str]:
    """IPv4 addresses of a link."""
    told = json.loads(node.ip(f"-4 -json address show {link}"))
    return [f"{one['local']}/{one['prefixlen']}" for entry in told for one in entry.get("addr_info", ())]


def test_a_bridge_of_somebody_else_is_refused_before_anything_is_made(node: Sandbox) -> None:
    node.ip("link add cni0 type bridge")
    node.ip("address add 10.42.0.1/24 dev cni0")
    told = node.run_module("routed_node", MESH, check=True, failing=True)["msg"]
    assert "bridge: cni0: a bridge that this collection did not make is there with 10.42.0.1/24" in told
    assert node.run_module("routed_node", MESH, failing=True)["msg"] == told
    assert "cni0" in node.links() and "vxlan-mesh" not in node.links()
    assert node.files("/var/lib/binary_cluster") == []


def test_a_device_of_somebody_else_is_refused(node: Sandbox) -> None:
    node.ip("link add vxlan-mesh type vxlan id 7 dstport 4789")
    told = node.run_module("routed_node", MESH, failing=True)["msg"]
    assert "the link vxlan-mesh is there, and this collection did not make it" in told
    assert "vxlan id 7" in node.ip("-details link show vxlan-mesh")


def test_names_of_networks_and_bridges_are_one_component_of_a_path(node: Sandbox) -> None:
    for option, value in (("name", "../x"), ("bridge", "cni0\n")):
        told = node.run_module("routed_node", {**MESH, option: value}, failing=True)["msg"]
        assert told.startswith(f"{option}: {value!r}")


def test_nothing_puts_back_the_former_network_while_it_is_changed(node: Sandbox) -> None:
    node.run_module("routed_node", MESH)
    told = node.scratch / "told"
    # What the network is like at that moment stands beside what systemd is told.
    note = f'echo "$1 $(ip route | grep -c vxlan-mesh) $*" >> {told}'
    node.stand_in("systemctl", f"{note}; printf 'ActiveState=active\\nUnitFileState=enabled\\n'")
    node.run_module("routed_node", MESH)
    assert [line for line in told.read_text().splitlines() if not line.startswith("show ")] == []
    told.write_text("")
    node.run_module("routed_node", {**MESH, "nodes": NODES[:1]})
    units = "vxlan_mesh-restore.path vxlan_mesh-restore.service"
    lines = [line for line in told.read_text().splitlines() if line.endswith(units)]
    assert lines == [f"stop 1 stop --quiet {units}", f"start 0 start --quiet --no-block {units}"]


def test_a_node_that_leaves_takes_away_what_it_made_and_nothing_else(node: Sandbox) -> None:
    node.ip("link add flannel.1 type vxlan id 1 dstport 8472")
    before = sorted(node.links())
    node.run_module("routed_node", MESH)
    node.ip("link add cni0 up type bridge")  # as the CNI plugin does with the first pod
    node.ip(f"address add {BRIDGE} dev cni0")
    told = node.run_module("routed_node", {"name": "vxlan_mesh", "state": "absent"}, check=True)["actions"]
    assert node.run_module("routed_node", {"name": "vxlan_mesh", "state": "absent"})["actions"] == told
    assert "link delete dev cni0" in told and "remove vxlan device vxlan-mesh" in told
    assert sorted(node.links()) == before
    assert node.files("/var/lib/binary_cluster") == []


def test_a_bridge_without_an_address_is_used_and_left_with_what_it_had(node: Sandbox) -> None:
    node.ip("link add cni0 up type bridge")
    node.run_module("routed_node", MESH)
    for address in (BRIDGE, "198.18.0.1/24"):  # of the CNI plugin, and somebody's
        node.ip(f"address add {address} dev cni0")
    node.run_module("routed_node", {"name": "vxlan_mesh", "state": "absent"})
    assert addresses(node) == ["198.18.0.1/24"]


def test_a_second_address_in_the_pods_network_is_named_at_once_and_before_a_change(node: Sandbox) -> None:
    node.run_module("routed_node", MESH)
    node.ip("link add cni0 up type bridge")
    for address in (BRIDGE, "10.244.2.1/24"):
        node.ip(f"address add {address} dev cni0")
    told = node.run_module("routed_node", {**MESH, "mtu": 1300}, failing=True)["msg"]
    assert "bridge: cni0: it has the address 10.244.2.1/24 besides 10.244.1.1/24" in told
    assert "remove it with `ip address delete 10.244.2.1/24 dev cni0`" in told
    assert "mtu 1300" not in node.ip("link show vxlan-mesh")
    node.ip("address delete 10.244.2.1/24 dev cni0")
    node.run_module("routed_node", {**MESH, "mtu": 1300})
    assert "mtu 1300" in node.ip("link show vxlan-mesh")


def test_a_bridge_of_ours_in_a_former_network_is_removed_and_its_address_is_forgotten(node: Sandbox) -> None:
    node.run_module("routed_node", MESH)
    node.ip("link add cni0 up type bridge")
    node.ip(f"address add {BRIDGE} dev cni0")
    moved = {**MESH, "nodes": [{**NODES[0], "pod_cidr": "10.244.7.0/24"}, NODES[1]]}
    assert "link delete dev cni0" in node.run_module("routed_node", moved)["actions"]
    assert "cni0" not in node.links()
    record = json.loads(node.read("/var/lib/binary_cluster/vxlan_mesh.json"))
    assert list(record["addresses"]) == ["cni0 10.244.7.1/24"]


def test_a_second_address_that_was_ours_is_removed(node: Sandbox) -> None:
    node.run_module("routed_node", MESH)
    node.ip("link add cni0 up type bridge")
    for address in ("10.244.7.1/24", BRIDGE):
        node.ip(f"address add {address} dev cni0")
    moved = {**MESH, "nodes": [{**NODES[0], "pod_cidr": "10.244.7.0/24"}, NODES[1]]}
    assert f"address delete {BRIDGE} dev cni0" in node.run_module("routed_node", moved)["actions"]
    assert addresses(node) == ["10.244.7.1/24"]


def test_pods_whose_plugins_are_gone_do_not_keep_a_node_from_leaving(node: Sandbox) -> None:
    node.run_module("routed_node", MESH)
    configuration = "/etc/cni/net.d/10-vxlan_mesh.conflist"
    for name in ("idle", "busy"):
        node.run_module("cni_attachment", {"netns": name, "configuration": configuration, "plugins": node.plugins})
    node.exec("sh", "-c", "ip netns exec busy sleep 60 >/dev/null 2>&1 &")
    gone = node.run_module("routed_node", {"name": "vxlan_mesh", "state": "absent"})
    assert any("there is no plugin /opt/cni/bin/bridge" in one for one in gone["warnings"])
    assert "remove network namespace idle" in gone["actions"]
    assert (node.namespaces(), node.links("busy")) == (["busy"], ["lo"])
    assert [name for name in node.links() if name.startswith("veth") or name == "cni0"] == []
    assert node.files("/run/cni") == [] and node.files("/var/lib/cni") == []
    assert not node.run_module("routed_node", {"name": "vxlan_mesh", "state": "absent"})["changed"]
