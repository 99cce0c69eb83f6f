"""Two nodes pass on the routes of all."""

from __future__ import annotations

from testinfra.host import Host

from testing import lab

testinfra_hosts = lab.machines("nodes")


def test_every_pair_is_whole() -> None:
    assert lab.runs("reflected.yml")
    assert lab.connectivity()["ok"]


def test_nodes_have_sessions_with_the_reflectors_alone(host: Host) -> None:
    lines = host.check_output("birdc -s /run/calico/bird.ctl show protocols").splitlines()
    sessions = {line.split()[0] for line in lines if line.startswith("Node_") and "Established" in line}
    reflector = host.check_output("hostname") in ("cp-1", "worker-2.lab.example")
    assert len(sessions) == (3 if reflector else 2)
    assert sessions & {f"Node_{lab.address(node).replace('.', '_')}" for node in ("cp-1", "worker-2.lab.example")}


def test_a_peer_that_nobody_is_behind_keeps_nobody_from_the_others() -> None:
    lines = lab.inside("cp-1", "birdc -s /run/calico/bird.ctl show protocols").splitlines()
    (unreachable,) = [line for line in lines if line.startswith("Peer_192_0_2_1 ")]
    assert "Established" not in unreachable
