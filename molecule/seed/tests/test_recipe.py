"""What the recipe shows, step by step: pods by CNI, HTTP between nodes, leases, VTEPs, FDB entries."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator

import pytest

from testing import lab

# Hosts of this inventory are called by their addresses.
ETCD, FIRST, SECOND = lab.names()
CONNECTION = {
    "endpoints": [f"https://{lab.address(ETCD)}:2379"],
    "ca_cert": "/etc/flannel/pki/ca.crt",
    "client_cert": "/etc/flannel/pki/client.crt",
    "client_key": "/etc/flannel/pki/client.key",
}


@pytest.fixture(scope="module")
def pods() -> Iterator[dict[str, str]]:
    """A pod on each node, with its address."""
    netns = {FIRST: "ns-2", SECOND: "ns-3"}
    made = {host: lab.module(host, "cni_attachment", netns=name) for host, name in netns.items()}
    yield {host: result["addresses"][0].partition("/")[0] for host, result in made.items()}
    for host, name in netns.items():
        assert lab.module(host, "cni_attachment", netns=name, state="absent")["changed"]


def test_a_page_served_in_a_pod_is_fetched_from_a_pod_of_the_other_node(pods: dict[str, str]) -> None:
    lab.inside(FIRST, "mkdir -p /srv/seed && echo hello from a pod > /srv/seed/index.html")
    lab.inside(
        FIRST,
        "systemd-run --quiet --unit=seed-http --property=NetworkNamespacePath=/run/netns/ns-2 "
        "python3 -m http.server --directory /srv/seed 8000",
    )
    try:
        fetch = f"import urllib.request as r; print(r.urlopen('http://{pods[FIRST]}:8000/', timeout=5).read())"
        page = lab.inside(
            SECOND, f'for i in 1 2 3 4 5; do ip netns exec ns-3 python3 -c "{fetch}" && break; sleep 0.5; done'
        )
        assert "hello from a pod" in page
    finally:
        lab.inside(FIRST, "systemctl stop seed-http; rm -r /srv/seed")


def test_each_node_has_a_lease_that_names_its_vtep(pods: dict[str, str]) -> None:
    keys = lab.inside(
        ETCD,
        "set -a; . /etc/etcd/etcdctl.env; etcdctl get --prefix /coreos.com/network/subnets/ --write-out json",
    )
    entries = json.loads(keys)["kvs"]
    assert len(entries) == 2
    info = lab.module(FIRST, "flannel_info", **CONNECTION)
    for lease in info["leases"]:
        host = {lab.address(name): name for name in lab.names("nodes")}[lease["address"]]
        assert ipaddress.ip_address(pods[host]) in ipaddress.ip_network(lease["subnet"])
        assert lease["vtep_mac"] == json.loads(lab.inside(host, "ip -json link show flannel.1"))[0]["address"]
        assert (lease["backend"], lease["vni"]) == ("vxlan", 1)


def test_the_forwarding_database_sends_the_peers_mac_to_the_peer() -> None:
    mac = json.loads(lab.inside(FIRST, "ip -json link show flannel.1"))[0]["address"]
    fdb = lab.inside(SECOND, "bridge fdb show dev flannel.1")
    assert f"{mac} dst {lab.address(FIRST)} self permanent" in fdb


def test_an_attachment_is_idempotent_and_made_anew_when_it_is_broken(pods: dict[str, str]) -> None:
    assert not lab.module(FIRST, "cni_attachment", netns="ns-2")["changed"]
    lab.inside(FIRST, "ip -n ns-2 address flush dev eth0")
    again = lab.module(FIRST, "cni_attachment", netns="ns-2")
    assert again["changed"] and again["addresses"]
    assert not lab.module(FIRST, "cni_attachment", netns="ns-2")["changed"]


def test_cnitool_sees_the_attachment_too() -> None:
    path = "/var/lib/cni/results"
    kept = json.loads(lab.inside(SECOND, f"cat {path}/flannel-*"))
    assert (kept["kind"], kept["networkName"], kept["ifName"]) == ("cniCacheV1", "flannel", "eth0")


def test_a_failed_add_is_undone_and_told_in_the_plugins_words() -> None:
    broken = {
        "cniVersion": "0.4.0",
        "name": "broken",
        "plugins": [
            {"type": "bridge", "bridge": "broken0", "ipam": {"type": "host-local", "subnet": "192.0.2.0/29"}},
            {"type": "portmap", "snat": "not a boolean"},
        ],
    }
    lab.inside(FIRST, f"echo '{json.dumps(broken)}' > /root/broken.conflist")
    failed = lab.module(FIRST, "cni_attachment", netns="ns-9", configuration="/root/broken.conflist")
    assert failed["failed"]
    assert "ADD portmap: code" in failed["msg"]
    assert lab.inside(FIRST, "ls /var/lib/cni/networks/broken | grep -c 192.0.2 || true").strip() == "0"
    lab.module(FIRST, "cni_attachment", netns="ns-9", state="absent")
    lab.inside(FIRST, "ip link delete broken0; rm -r /root/broken.conflist /var/lib/cni/networks/broken")
