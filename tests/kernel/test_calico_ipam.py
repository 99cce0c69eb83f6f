"""The module calico_ipam against etcd, calicoctl and Calico's own CNI plugins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.tests.kernel.calico_datastore import Datastore, datastore, program
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import Host, Namespace

NODES = ("n1", "n2", "n3")


class Cluster(Datastore):
    """Three nodes by name; all their pods are on one host, which is no matter to the datastore."""

    def cni(self, command: str, node: str, pod: str, *, namespace: str = "", plugin: str = "calico-ipam") -> Any:
        conf = {
            "cniVersion": "1.0.0",
            "name": "net",
            "type": "calico",
            "nodename": node,
            "nodename_file_optional": True,
            "log_file_path": str(self.config.parent / "cni.log"),
            "datastore_type": "etcdv3",
            "etcd_endpoints": "http://127.0.0.1:2379",
            "ipam": {"type": "calico-ipam"},
            "mtu": 1400,
        }
        path = program("calico-cni", plugin)
        environment = [
            f"CNI_COMMAND={command}",
            f"CNI_CONTAINERID={pod}",
            f"CNI_NETNS=/run/netns/{namespace or pod}",
            "CNI_IFNAME=eth0",
            f"CNI_PATH={Path(path).parent}",
        ]
        out = self.host.exec("env", *environment, path, data=json.dumps(conf))
        return json.loads(out) if out.strip() else {}

    def leak(self, node: str, pod: str) -> str:
        """Have an address given out for which no endpoint is made; return it."""
        address: str = self.cni("ADD", node, pod)["ips"][0]["address"].split("/")[0]
        return address

    def problems(self) -> str:
        return self.ctl("ipam", "check").splitlines()[-1]

    def sweep(self, *nodes: str, check: bool = False) -> dict[str, Any]:
        return self.run_module("calico_ipam", nodes=list(nodes), check=check)


@pytest.fixture
def cluster(host: Host, tmp_path: Path) -> Iterator[Cluster]:
    with datastore(host, tmp_path) as made:
        cluster = Cluster(host, tmp_path)
        pool = {"kind": "IPPool", "metadata": {"name": "pods"}, "spec": {"cidr": "10.244.0.0/16", "blockSize": 29}}
        nodes = [{"kind": "Node", "metadata": {"name": name}} for name in NODES]
        made.run_module("calico_resource", resources=[pool, *nodes])
        yield cluster


@pytest.fixture
def pod() -> Iterator[Namespace]:
    made = Namespace("pod")
    yield made
    made.remove()


def test_nothing_is_lost_while_all_nodes_are_named(cluster: Cluster) -> None:
    cluster.leak("n1", "a")
    result = cluster.sweep(*NODES)
    assert (result["changed"], result["lost"]) == (False, {})


def test_what_a_lost_node_held_is_foretold_released_and_then_free(cluster: Cluster, pod: Namespace) -> None:
    attached = cluster.cni("ADD", "n3", pod.name, plugin="calico")["ips"][0]["address"].split("/")[0]
    leaked, kept = cluster.leak("n3", "x"), cluster.leak("n1", "y")
    peer = {"kind": "BGPPeer", "metadata": {"name": "p"}, "spec": {"node": "n3", "peerIP": "192.0.2.1", "asNumber": 1}}
    endpoint = {"kind": "HostEndpoint", "metadata": {"name": "h"}, "spec": {"node": "n3", "interfaceName": "*"}}
    cluster.run_module("calico_resource", resources=[peer, endpoint])

    foretold = cluster.sweep("n1", "n2", check=True)
    lost = foretold["lost"]["n3"]
    assert sorted(lost["addresses"]) == sorted([attached, leaked])
    assert len(lost["blocks"]) == len(lost["endpoints"]) == 1
    assert cluster.names("node") == list(NODES)

    done = cluster.sweep("n1", "n2")
    assert done["changed"]
    assert done["lost"] == foretold["lost"]
    assert cluster.names("node") == ["n1", "n2"]
    assert cluster.names("bgppeer") == cluster.names("hostendpoint") == []
    assert json.loads(cluster.ctl("get", "wep", "-A", "-o", "json"))["items"] == []
    shown = cluster.ctl("ipam", "show", "--show-blocks")
    assert lost["blocks"][0] not in shown
    assert "is in use" in cluster.ctl("ipam", "show", f"--ip={kept}")
    # The one of n1 alone is left, which has no endpoint either.
    assert "found 1 problems" in cluster.problems()
    assert not cluster.sweep("n1", "n2")["changed"]


def test_a_node_whose_entry_is_gone_already_is_found_by_what_it_held(cluster: Cluster) -> None:
    leaked = cluster.leak("n3", "x")
    cluster.host.exec(program("etcd", "etcdctl"), "del", "/calico/resources/v3/projectcalico.org/nodes/n3", check=True)
    assert cluster.names("node") == ["n1", "n2"]
    done = cluster.sweep("n1", "n2")
    assert done["lost"]["n3"]["addresses"] == [leaked]
    assert "found 0 problems" in cluster.problems()
    assert not cluster.sweep("n1", "n2")["changed"]


def test_an_address_that_a_lost_node_borrowed_out_stays_with_its_pod(cluster: Cluster) -> None:
    # The only block is n3's, and n1 takes an address out of it.
    cluster.run_module("calico_resource", resources=[{"kind": "IPPool", "metadata": {"name": "pods"}}], state="absent")
    small = {"kind": "IPPool", "metadata": {"name": "one"}, "spec": {"cidr": "10.99.0.0/29", "blockSize": 29}}
    cluster.run_module("calico_resource", resources=[small])
    cluster.leak("n3", "x")
    borrowed = cluster.leak("n1", "y")
    done = cluster.sweep("n1", "n2")
    assert borrowed not in done["lost"]["n3"]["addresses"]
    assert "is in use" in cluster.ctl("ipam", "show", f"--ip={borrowed}")


def test_without_a_single_known_node_nothing_is_released(cluster: Cluster) -> None:
    result = cluster.run_module("calico_ipam", nodes=[], failing=True)
    assert result["msg"].startswith("nodes: []: name the nodes that the cluster has")
    assert cluster.names("node") == list(NODES)
