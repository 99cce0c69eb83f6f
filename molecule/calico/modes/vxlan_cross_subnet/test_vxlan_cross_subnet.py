"""Plain routes within a subnet, VXLAN to the node behind the router."""

from __future__ import annotations

from pathlib import Path

from testinfra.host import Host

from testing import lab

AGAIN = Path(__file__).parents[2] / "side_effects" / "vxlan_cross_subnet.yml"
testinfra_hosts = lab.machines("nodes")


def test_every_pair_is_whole_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    assert lab.connectivity()["ok"]
    (first,) = lab.runs("vxlan_cross_subnet.yml")
    assert lab.changes(first)
    assert lab.changes(lab.reported(AGAIN, tmp_path, "--skip-tags", "verify,node,etcd")) == set()


def test_the_tunnel_is_for_the_other_subnet_alone(host: Host) -> None:
    lines = host.check_output("ip route show").splitlines()
    devices = [line.split(" dev ")[1].split()[0] for line in lines if line.startswith("10.244.") and "/26 via" in line]
    tunnelled = 3 if host.check_output("hostname") == "worker-4.lab.example" else 1
    assert devices.count("vxlan.calico") == tunnelled
    assert devices.count("eth0") == 3 - tunnelled
