"""After a machine was replaced and two members were added."""

from __future__ import annotations

from testing import lab

MEMBERS = ["cp-1", "worker-2.lab.example", "worker-3.lab.example", "worker-4.lab.example", "worker-5.lab.example"]


def test_all_five_are_healthy_voting_members() -> None:
    found = lab.module(
        "cp-1",
        "etcd_info",
        endpoints=[f"https://{lab.address(member)}:2379" for member in MEMBERS],
        ca_cert="/etc/etcd/pki/ca.crt",
        client_cert="/etc/etcd/pki/client.crt",
        client_key="/etc/etcd/pki/client.key",
    )
    assert found["healthy"]
    assert sorted(member["name"] for member in found["members"]) == MEMBERS
    assert not any(member["learner"] for member in found["members"])


def test_the_last_of_the_runs_changed_nothing() -> None:
    newest = lab.runs("more_members.yml")[-1]
    last = [task for task in newest["tasks"] if task["role"] == "etcd"][-10:]
    assert last
    assert not [task for task in last if task["outcome"] == "changed"]
