"""After the switch from udp to vxlan in another network."""

from __future__ import annotations

import ipaddress

from testinfra.host import Host

from testing import lab

testinfra_hosts = ["ansible://nodes"]


def test_every_pair_is_whole_with_the_mtu_that_was_asked_for() -> None:
    report = lab.connectivity()
    assert report["ok"]
    assert {pair["mtu"] for pair in report["pairs"] if pair["protocol"] == "mtu"} == {1400}


def test_every_node_holds_a_subnet_in_the_bounds() -> None:
    for node in lab.connectivity()["nodes"]:
        subnet = ipaddress.ip_network(node["pod_cidr"])
        assert subnet.prefixlen == 26
        assert ipaddress.ip_address("10.99.4.0") <= subnet.network_address <= ipaddress.ip_address("10.99.8.0")


def test_the_link_is_as_asked_for(host: Host) -> None:
    link = host.run("ip -d link show flannel.77").stdout
    assert "vxlan id 77" in link
    assert "dstport 4789" in link
    assert "mtu 1400" in link


def test_nothing_of_the_tunnel_and_of_the_former_network_is_left(host: Host) -> None:
    assert not host.interface("flannel0").exists
    assert "10.244." not in host.run("ip route show table all").stdout
    assert "10.244." not in host.run("ip address show").stdout
