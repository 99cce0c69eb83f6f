"""After a fourth node has joined."""

from __future__ import annotations

from testing import lab

CIDRS = {name: f"10.244.{number}.0/24" for number, name in enumerate(lab.names())}


def test_every_pair_is_whole() -> None:
    report = lab.connectivity()
    assert report["ok"]
    assert len(report["nodes"]) == 4


def test_nobody_moved_and_the_new_node_has_the_lowest_part_that_was_free() -> None:
    assert {node["name"]: node["pod_cidr"] for node in lab.connectivity()["nodes"]} == CIDRS


def test_the_other_nodes_followed_in_one_task_of_their_firewall_and_one_of_their_network() -> None:
    changes = lab.changes(lab.runs("joined.yml")[-1])
    backend = lab.connectivity()["backend"]
    for host in ("cp-1", "worker-2.lab.example", "worker-3.lab.example"):
        assert sorted(role for name, role, _task in changes if name == host) == sorted(["cluster_firewall", backend])
