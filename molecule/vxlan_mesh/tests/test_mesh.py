"""What a run of site.yml leaves behind, seen from the hosts and from the reports of the runs."""

from __future__ import annotations

import ipaddress
import json

from testinfra.host import Host

from testing import lab
from testing.closed import (  # pylint: disable=unused-import
    pods,  # noqa: F401
    test_a_pod_sends_under_no_other_address,  # noqa: F401
    test_nothing_comes_out_of_a_tunnel_that_a_pod_sent,  # noqa: F401
    test_nothing_comes_out_of_a_tunnel_that_a_stranger_sent,  # noqa: F401
)

testinfra_hosts = ["ansible://nodes"]


def test_every_pair_is_whole_over_both_ip_versions_with_the_mtu_of_vxlan() -> None:
    report = lab.connectivity()
    assert report["ok"]
    assert report["backend"] == "vxlan_mesh"
    found = [(pair["family"], pair["mtu"]) for pair in report["pairs"] if pair["protocol"] == "mtu"]
    assert sorted(found) == [(4, 1450)] * 6 + [(6, 1450)] * 6


def test_pods_are_seen_under_their_own_address_of_each_ip_version() -> None:
    report = lab.connectivity()
    own = {node["name"]: {one["address"] for one in node["ips"]} for node in report["nodes"]}
    seen = [(pair["source"], pair["source_seen"]) for pair in report["pairs"] if pair["protocol"] in ("udp", "http")]
    assert {address for node, address in seen if address in own[node]} == set().union(*own.values())
    assert all(address in own[node] for node, address in seen)


def test_check_mode_announced_exactly_what_the_first_run_changed() -> None:
    announced = lab.changes(lab.runs(check_mode=True)[0])
    assert announced == lab.changes(lab.runs()[0])
    assert announced


def test_the_second_run_changed_nothing_and_took_few_tasks() -> None:
    second = lab.runs()[1]
    assert lab.changes(second) == set()
    ran = [task for task in second["tasks"] if task["host"] == "worker-3.lab.example" and task["outcome"] != "skipped"]
    assert len(ran) <= 12


def test_neither_etcd_nor_a_daemon_is_needed(host: Host) -> None:
    assert not host.file("/etc/etcd").exists
    assert not host.file("/usr/local/bin/etcd").exists
    assert host.run("systemctl show vxlan_mesh --property=MainPID").stdout.strip() == "MainPID=0"


def test_every_other_node_has_an_fdb_entry_a_neighbour_and_a_route(host: Host) -> None:
    own = host.backend.get_hostname()
    numbers = {"cp-1": 0, "worker-2.lab.example": 1, "worker-3.lab.example": 2}
    fdb = host.run("bridge fdb show dev vxlan-mesh").stdout
    neighbours = host.run("ip neighbour show dev vxlan-mesh nud permanent").stdout
    routes = host.run("ip route show; ip -6 route show").stdout
    for name, number in numbers.items():
        if name == own:
            continue
        assert f"02:bc:0a:f4:0{number}:00 dst {lab.address(name)} self permanent" in fdb
        assert f"10.244.{number}.0 lladdr 02:bc:0a:f4:0{number}:00 PERMANENT" in neighbours
        assert f"10.244.{number}.0/24 via 10.244.{number}.0 dev vxlan-mesh proto 145 onlink" in routes
        six = str(ipaddress.ip_network((0xFD0000100244 << 80 | number << 64, 64)).network_address)
        assert f"{six} lladdr 02:bc:0a:f4:0{number}:00 PERMANENT" in neighbours
        assert f"{six}/64 via {six} dev vxlan-mesh proto 145" in routes
    assert len(fdb.splitlines()) == 2


def test_pods_leave_the_cluster_with_the_nodes_address(host: Host) -> None:
    table = host.run("nft list table inet vxlan_mesh").stdout
    assert "ip saddr @pods4 ip daddr @networks4 return" in table
    assert "ip saddr @pods4 masquerade fully-random" in table
    assert "ip6 saddr @pods6 ip6 daddr @networks6 return" in table
    assert "ip6 saddr @pods6 masquerade fully-random" in table


def test_the_conflist_is_json_and_the_only_network(host: Host) -> None:
    assert host.file("/etc/cni/net.d").listdir() == ["10-vxlan_mesh.conflist"]
    conflist = json.loads(host.file("/etc/cni/net.d/10-vxlan_mesh.conflist").content_string)
    assert conflist["plugins"][0]["mtu"] == 1450


def test_what_belongs_to_others_is_untouched(host: Host) -> None:
    assert host.interface("foreign0").exists
    assert "-A INPUT -s 203.0.113.9/32 -j DROP" in host.run("iptables-save").stdout
    assert "table inet foreign" in host.run("nft list tables").stdout
