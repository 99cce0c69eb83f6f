"""Flannel's pods use IPIP too, after Calico's."""

from __future__ import annotations

from testinfra.host import Host

from testing import lab, wire

testinfra_hosts = ["ansible://nodes"]


def test_every_pair_of_pods_is_whole_with_the_mtu_that_ipip_leaves() -> None:
    report = lab.connectivity()
    assert report["ok"] and report["backend"] == "flannel"
    assert {pair["mtu"] for pair in report["pairs"] if pair["protocol"] == "mtu"} == {1480}


def test_a_second_run_changes_nothing() -> None:
    assert lab.changes(lab.runs("to_flannel.yml")[0])
    assert lab.changes(lab.runs("flannel_again.yml")[0]) == set()


def test_all_packets_between_pods_of_two_nodes_are_wrapped() -> None:
    counted = wire.counted()
    assert counted["node1_wrapped"] > 0 and counted["node2_wrapped"] > 0
    assert counted["node1_plain"] == counted["node2_plain"] == 0


def test_nothing_of_calico_is_left(host: Host) -> None:
    assert host.check_output("ls /etc/cni/net.d") == "10-flannel.conflist"
    assert not host.file("/etc/modules-load.d/binary-cluster-calico.conf").exists
