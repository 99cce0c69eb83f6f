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


def test_a_member_that_the_inventory_has_no_more_stays_until_a_variable_names_it() -> None:
    # The inventory has three members; the others came with their playbook.
    done = lab.run(
        lab.CHECKOUT / "molecule" / "etcd" / "converge.yml",
        "--extra-vars", f"{{etcd_remove_members: [{MEMBERS[4]}]}}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    told = f"members that the inventory does not have: {MEMBERS[3]} (https://{lab.address(MEMBERS[3])}:2380)"
    # A warning is broken to the width of the terminal, also at hyphens.
    assert "".join(told.split()) in "".join((done.stdout + done.stderr).split())
    listed = lab.inside(MEMBERS[0], "set -a; . /etc/etcd/etcdctl.env; etcdctl member list")
    assert sorted(line.split(", ")[2] for line in listed.splitlines()) == MEMBERS[:4]
