"""Plain routes within a subnet, VXLAN to the node behind the router."""

from __future__ import annotations

from testinfra.host import Host

from testing import lab

testinfra_hosts = ["ansible://nodes"]


def test_every_pair_is_whole_and_a_second_run_changes_nothing() -> None:
    assert lab.connectivity()["ok"]
    first, second = lab.runs("vxlan_cross_subnet.yml")
    assert lab.changes(first)
    assert lab.changes(second) == set()


def test_the_tunnel_is_for_the_other_subnet_alone(host: Host) -> None:
    lines = host.check_output("ip route show").splitlines()
    devices = [line.split(" dev ")[1].split()[0] for line in lines if line.startswith("10.244.") and "/26 via" in line]
    tunnelled = 3 if host.backend.get_hostname() == "node4" else 1
    assert devices.count("vxlan.calico") == tunnelled
    assert devices.count("eth0") == 3 - tunnelled
