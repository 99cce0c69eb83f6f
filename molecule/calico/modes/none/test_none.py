"""No tunnel: BIRD tells the nodes and the router of every pod."""

from __future__ import annotations

from pathlib import Path

import pytest
from testinfra.host import Host

from testing import lab
from testing.boot import behind_a_router, boot

AGAIN = Path(__file__).parents[2] / "side_effects" / "none.yml"
testinfra_hosts = lab.machines("nodes")
SESSIONS = "birdc -s /run/calico/bird.ctl show protocols"


def test_every_pair_is_whole_with_the_mtu_of_the_underlay() -> None:
    report = lab.connectivity()
    assert report["ok"]
    assert {pair["mtu"] for pair in report["pairs"] if pair["protocol"] == "mtu"} == {1500}


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    (first,) = lab.runs("none.yml")
    assert lab.changes(first)
    assert lab.changes(lab.reported(AGAIN, tmp_path, "--skip-tags", "verify,node,etcd")) == set()


def test_every_node_has_a_session_with_every_other_and_with_the_router(host: Host) -> None:
    lines = host.check_output(SESSIONS).splitlines()
    assert sum("Established" in line for line in lines if line.startswith("Node_")) == 3
    assert [line for line in lines if line.startswith("Peer_192_168") and "Established" in line]


def test_what_the_router_tells_is_followed(host: Host) -> None:
    assert "via 192.168.22" in host.check_output("ip route show 203.0.113.0/24 proto bird")


def test_nothing_of_vxlan_is_left(host: Host) -> None:
    assert not host.interface("vxlan.calico").exists
    assert host.check_output("ip route show proto 80") == ""


def test_bird_runs_unprivileged_and_that_of_the_distribution_does_not(host: Host) -> None:
    properties = dict(line.split("=", 1) for line in host.check_output("systemctl show calico-bird").splitlines())
    assert properties["User"] == "calico-bird"
    assert properties["CapabilityBoundingSet"] == "cap_net_bind_service cap_net_admin cap_net_raw"
    assert not host.service("bird").is_running


@pytest.mark.parametrize("what", ["report", "log"])
def test_the_password_is_nowhere_but_in_the_configuration(host: Host, what: str) -> None:
    if what == "report":
        assert not [path for path in lab.REPORTS.glob("run-*.json") if '"fabric"' in path.read_text()]
        return
    assert host.file("/etc/calico/bird.conf").mode == 0o600
    assert 'password "fabric"' in host.file("/etc/calico/bird.conf").content_string
    assert "fabric" not in host.check_output(
        "journalctl --no-pager -o cat -t python3 -t ansible-binary_cluster.networking.daemon"
    )


def test_pods_are_reached_after_bird_was_killed_and_after_a_machine_has_booted() -> None:
    nodes = ("cp-1", "worker-3.lab.example", "worker-4.lab.example")

    def reached(node: str) -> None:
        lab.inside(
            "cp-1", f"for try in $(seq 50); do ip netns exec demo ping -c 1 -W 1 {pods[node]} && exit 0; done; exit 1"
        )

    made = lab.modules(nodes, "cni_attachment", netns="demo")
    pods = {node: one["addresses"][0].split("/")[0] for node, one in made.items()}
    try:
        reached("worker-4.lab.example")
        bird = "systemctl show -p MainPID --value calico-bird"
        another = (
            f"for try in $(seq 100); do sleep 0.1; now=$({bird}); test $now -gt 0 -a $now != $before && exit 0; done"
        )
        lab.inside("cp-1", f"before=$({bird}); kill -9 $before; {another}; exit 1")
        reached("worker-4.lab.example")
        boot("worker-3.lab.example", "calico-felix", "calico-bird", "etcd", before=behind_a_router())
        again = lab.module("worker-3.lab.example", "cni_attachment", netns="demo")
        assert again["reason"] == "there is no such namespace"
        pods["worker-3.lab.example"] = again["addresses"][0].split("/")[0]
        reached("worker-3.lab.example")
        assert lab.inside("worker-3.lab.example", SESSIONS).count("Established") == 4
    finally:
        lab.modules(nodes, "cni_attachment", netns="demo", state="absent")
