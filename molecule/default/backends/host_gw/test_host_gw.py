"""After the switch from vxlan to host-gw."""

from __future__ import annotations

from testinfra.host import Host

from testing import lab

testinfra_hosts = ["ansible://nodes"]


def test_every_pair_is_whole_with_the_mtu_of_the_underlay() -> None:
    report = lab.connectivity()
    assert report["ok"]
    assert {pair["mtu"] for pair in report["pairs"] if pair["protocol"] == "mtu"} == {1500}


def test_pods_are_routed_through_the_nodes(host: Host) -> None:
    others = [lab.address(name) for name in lab.names("nodes") if name != host.backend.get_hostname()]
    routes = host.run("ip route show").stdout
    assert all(f"via {address} dev eth0" in routes for address in others)


def test_nothing_of_vxlan_or_of_the_own_table_is_left(host: Host) -> None:
    assert not host.interface("flannel.1").exists
    assert "flannel" not in host.run("nft list tables").stdout
    assert "FLANNEL-FWD" in host.run("iptables-save").stdout
