"""The module flannel_node: whose links it takes, and a flanneld that gets no lease.

systemd is a stand-in, and so is flanneld where it does not matter what it does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import flannel
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends.contract import Node, on_link
from ansible_collections.binary_cluster.networking.tests.kernel.calico_datastore import program
from ansible_collections.binary_cluster.networking.tests.kernel.sandbox import Sandbox, sandbox

NETWORK: dict[str, Any] = {"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "VNI": 1}}
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
    failed = node.run_module("flannel_node", OPTIONS, failing=True)["msg"]
    assert "flanneld: /run/flannel/subnet.env has no lease" in failed
    assert failed.endswith("waiting for an address")
    assert told(node, "restart") == ["restart --no-block flanneld"]


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


# --- with etcd and flanneld ---------------------------------------------------------------------------------------

# systemd as far as the module needs it: it starts flanneld and ends it, and knows whether it runs and has said so,
# which it does after it has written its lease.
SYSTEMCTL = """\
pid=$(cat /run/flanneld.pid 2>/dev/null)
case $1 in
show)
    kill -0 "$pid" 2>/dev/null && [ /run/flannel/subnet.env -nt /run/flanneld.pid ] && echo ActiveState=active
    exit 0;;
stop|restart)
    kill "$pid" 2>/dev/null
    kill -CONT "$pid" 2>/dev/null
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done;;
esac
echo "$*" >> {told}
case $1 in
start|restart)
    setsid {flanneld} --etcd-endpoints=http://127.0.0.1:2379 --iface=eth0 >>/run/flanneld.log 2>&1 &
    echo $! > /run/flanneld.pid;;
esac
"""


@pytest.fixture
def member(node: Sandbox) -> Sandbox:
    """A node of a flannel network, with a daemon of its own; it joined by the module."""
    for line in (
        "link add eth0 type veth peer name eth9",
        "link set eth9 up",
        "link set eth0 up",
        "address add 192.0.2.1/24 dev eth0",
        "route add default via 192.0.2.254",
    ):
        node.ip(line)
    etcd, etcdctl = program("etcd", "etcd"), program("etcd", "etcdctl")
    node.exec("sh", "-c", f"setsid {etcd} --data-dir=/run/etcd >/run/etcd.log 2>&1 &")
    config = json.dumps(NETWORK)
    put = f"{etcdctl} put /coreos.com/network/config '{config}' >/dev/null 2>&1 && exit; sleep 0.2"
    node.exec("sh", "-c", f"for one in $(seq 50); do {put}; done; cat /run/etcd.log >&2; exit 1")
    text = SYSTEMCTL.replace("{told}", f"{node.scratch}/told").replace("{flanneld}", program("flanneld", "flanneld"))
    node.stand_in("systemctl", text)
    (node.scratch / "told").write_text("")
    assert node.run_module("flannel_node", MEMBER)["actions"] == [
        "start flanneld",
        "file /etc/cni/net.d/10-flannel.conflist",
    ]
    assert not node.run_module("flannel_node", MEMBER)["changed"]
    (node.scratch / "told").write_text("")
    return node


MEMBER = {**OPTIONS, "endpoints": ["http://127.0.0.1:2379"], "wait": 50}


def test_an_emptied_file_of_the_lease_is_there_again_after_a_restart(member: Sandbox) -> None:
    member.exec("sh", "-c", "kill -STOP $(cat /run/flanneld.pid); : > /run/flannel/subnet.env")
    announced = member.run_module("flannel_node", MEMBER, check=True)["actions"]
    assert member.run_module("flannel_node", MEMBER)["actions"] == announced
    assert announced == ["restart flanneld: /run/flannel/subnet.env has no lease"]
    assert told(member, "restart") == ["restart --no-block flanneld"]
    assert "FLANNEL_SUBNET=10.244." in member.read("/run/flannel/subnet.env")
    assert not member.run_module("flannel_node", MEMBER)["changed"]


def test_a_second_address_is_named_and_what_the_node_made_goes_when_it_leaves(member: Sandbox) -> None:
    member.ip("link add cni0 up type bridge")  # as the CNI plugin does with the first pod
    lease = dict(line.split("=") for line in member.read("/run/flannel/subnet.env").splitlines())
    member.ip(f"address add {lease['FLANNEL_SUBNET']} dev cni0")
    assert not member.run_module("flannel_node", MEMBER)["changed"]
    member.ip("address add 10.244.0.1/24 dev cni0")
    began = time.monotonic()
    failed = member.run_module("flannel_node", MEMBER, failing=True)["msg"]
    assert f"cni0: it has the address 10.244.0.1/24 besides {lease['FLANNEL_SUBNET']}" in failed
    assert time.monotonic() - began < MEMBER["wait"] and told(member, "restart") == []
    member.run_module("flannel_node", {**MEMBER, "state": "absent"})
    assert sorted(member.links()) == ["eth0", "eth9", "lo"]
    assert member.files("/var/lib/binary_cluster") == []


def test_links_of_a_former_vni_go_and_those_of_somebody_else_stay(member: Sandbox) -> None:
    member.ip("link add flannel.9 type vxlan id 9 dstport 8472")
    config = {**NETWORK, "Backend": {"Type": "vxlan", "VNI": 2}}
    etcdctl = program("etcd", "etcdctl")
    member.exec(etcdctl, "put", "/coreos.com/network/config", json.dumps(config))
    moved = {**MEMBER, "network": config, "restart_required": True}
    actions = member.run_module("flannel_node", moved)["actions"]
    assert actions == ["restart flanneld", "link delete dev flannel.1"]
    assert {"flannel.2", "flannel.9"} <= set(member.links()) and "flannel.1" not in member.links()


@pytest.mark.parametrize(("peer", "direct"), [("192.0.2.2", True), ("192.0.2.2", False), ("198.51.100.2", True)])
def test_flanneld_makes_the_path_that_the_backend_declares(member: Sandbox, peer: str, direct: bool) -> None:
    config = {**NETWORK, "Backend": {**NETWORK["Backend"], "DirectRouting": direct}}
    lease = {"PublicIP": peer, "BackendType": "vxlan", "BackendData": {"VNI": 1, "VtepMAC": "02:bc:00:00:00:02"}}
    etcdctl = program("etcd", "etcdctl")
    granted = member.exec(etcdctl, "lease", "grant", "600").split()[1]
    key = "/coreos.com/network/subnets/10.244.200.0-24"
    member.exec(etcdctl, "put", f"--lease={granted}", key, json.dumps(lease))
    member.exec(etcdctl, "put", "/coreos.com/network/config", json.dumps(config))
    # It waits until the kernel is as the leases ask, by the path that the host half expects.
    member.run_module("flannel_node", {**MEMBER, "network": config, "restart_required": True})
    (route,) = json.loads(member.ip("-json route get 10.244.200.9"))
    backend = flannel.Flannel(config, on_link(json.loads(member.ip("-json route show"))))
    path = backend.expected_path(Node("peer", peer, "10.244.200.0/24"))
    assert path is not None and path.has(route)
    assert bool(path.encapsulation) is (not direct or peer != "192.0.2.2")
    assert not member.run_module("flannel_node", {**MEMBER, "network": config})["changed"]
