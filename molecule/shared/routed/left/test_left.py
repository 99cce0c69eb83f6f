"""After the fourth node has left."""

from __future__ import annotations

from testinfra.host import Host

from testing import lab

testinfra_hosts = ["ansible://nodes"]


def test_every_pair_is_whole() -> None:
    report = lab.connectivity()
    assert report["ok"]
    assert {node["name"]: node["pod_cidr"] for node in report["nodes"]} == {
        "cp-1": "10.244.0.0/24",
        "worker-2.lab.example": "10.244.1.0/24",
        "worker-3.lab.example": "10.244.2.0/24",
    }


def test_nothing_leads_to_the_node_any_more(host: Host) -> None:
    seen = host.run(
        "ip route show table all; ip -6 route show table all; ip neighbour show nud permanent; bridge fdb show"
    ).stdout
    assert "10.244.1.0" in seen or "10.244.2.0" in seen
    assert "10.244.3.0" not in seen
    assert "fd00:10:244:3:" not in seen
    assert f"dst {lab.address('worker-4.lab.example')}" not in seen


def test_the_next_boot_does_not_bring_it_back(host: Host) -> None:
    kept = lab.connectivity()["backend"]
    assert "10.244.3.0" not in host.file(f"/etc/binary_cluster/{kept}/restore").content_string
    # Nor is it a member for the firewall.
    assert host.run(f"grep -rwF {lab.address('worker-4.lab.example')} /etc/binary_cluster").stdout == ""


def test_the_others_followed_in_one_task_of_their_firewall_and_one_of_their_network() -> None:
    changes = lab.changes(lab.runs("left.yml")[-1])
    backend = lab.connectivity()["backend"]
    for name in ("cp-1", "worker-2.lab.example", "worker-3.lab.example"):
        assert sorted(role for one, role, _task in changes if one == name) == sorted(["cluster_firewall", backend])
