"""After the switch from host-gw to udp."""

from __future__ import annotations

from testinfra.host import Host

from testing import lab

testinfra_hosts = ["ansible://nodes"]


def test_every_pair_is_whole_with_the_mtu_of_the_tunnel() -> None:
    report = lab.connectivity()
    assert report["ok"]
    assert {pair["mtu"] for pair in report["pairs"] if pair["protocol"] == "mtu"} == {1472}


def test_pods_are_routed_into_the_tunnel_and_not_through_nodes_any_more(host: Host) -> None:
    routes = host.run("ip route show").stdout
    assert "10.244.0.0/16 dev flannel0" in routes
    assert not any(f"via {lab.address(name)} " in routes for name in lab.names("nodes"))


def test_flannels_chains_are_gone_and_the_foreign_rules_stay(host: Host) -> None:
    saved = host.run("iptables-save").stdout
    assert "FLANNEL-" not in saved
    assert "203.0.113.9" in saved
    assert "table ip flannel-ipv4" in host.run("nft list tables").stdout
