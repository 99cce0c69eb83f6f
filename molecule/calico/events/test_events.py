"""Felix killed, a route taken away, etcd with a member less, and a policy between two pods."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from testing import lab

PODS = {"node1": "web", "node2": "database", "node4": "batch"}
POLICY = {
    "kind": "GlobalNetworkPolicy",
    "metadata": {"name": "no-web-to-database"},
    "spec": {
        "order": 10,
        "selector": "role == 'database'",
        "types": ["Ingress"],
        "ingress": [{"action": "Deny", "source": {"selector": "role == 'web'"}}, {"action": "Allow"}],
    },
}


@pytest.fixture(scope="module")
def pods() -> Iterator[dict[str, str]]:
    """Pods with a label each; their addresses by the node they are on."""
    made = {
        node: lab.module(node, "cni_attachment", netns="demo", labels={"role": role})["addresses"][0].split("/")[0]
        for node, role in PODS.items()
    }
    yield made
    for node in PODS:
        lab.module(node, "cni_attachment", netns="demo", state="absent")


def blocked(pods: dict[str, str]) -> set[tuple[str, str]]:
    """Pairs of nodes whose pods do not reach each other."""
    found = set()
    for source in pods:
        command = "; ".join(
            f"ip netns exec demo ping -c 2 -i 0.2 -W 1 -q {address} >/dev/null || echo {target}"
            for target, address in pods.items()
            if target != source
        )
        found |= {(source, target) for target in lab.inside(source, command).split() if target in pods}
    return found


def wait_for(wanted: set[tuple[str, str]], pods: dict[str, str]) -> set[tuple[str, str]]:
    """The pairs that are blocked, once they are those that are wanted, or after a while."""
    until = time.monotonic() + 15
    while (found := blocked(pods)) != wanted and time.monotonic() < until:
        pass
    return found


def test_a_policy_blocks_exactly_one_pair_and_its_end_restores_it(pods: dict[str, str]) -> None:
    assert wait_for(set(), pods) == set()
    lab.module("node1", "calico_resource", resources=[POLICY])
    assert wait_for({("node1", "node2")}, pods) == {("node1", "node2")}
    lab.module("node1", "calico_resource", resources=[POLICY], state="absent")
    assert wait_for(set(), pods) == set()


def test_other_labels_attach_a_pod_anew_and_the_same_ones_do_not(pods: dict[str, str]) -> None:
    again = lab.module("node4", "cni_attachment", netns="demo", labels={"role": "batch"})
    assert not again["changed"]
    other = lab.module("node4", "cni_attachment", netns="demo", labels={"role": "queue"}, check_mode=True)
    assert other["reason"] == "attached with other labels"


def test_a_killed_felix_comes_back_and_pods_notice_nothing(pods: dict[str, str]) -> None:
    ping = f"ip netns exec demo ping -c 20 -i 0.2 -W 1 -q {pods['node2']}"
    felix = "systemctl show -p MainPID --value calico-felix"
    seen = lab.inside(
        "node1", f"before=$({felix}); kill -9 $before; {ping}; test $before != $({felix}) && echo another"
    )
    assert "20 received" in seen and "another" in seen


def test_without_a_member_of_etcd_pods_are_attached_and_reached(pods: dict[str, str]) -> None:
    lab.inside("node1", "systemctl stop etcd")
    try:
        made = lab.module("node1", "cni_attachment", netns="late")
        address = made["addresses"][0].split("/")[0]
        assert " 0% packet loss" in lab.inside("node4", f"ip netns exec demo ping -c 5 -i 0.2 -W 1 {address}")
        lab.module("node1", "cni_attachment", netns="late", state="absent")
    finally:
        lab.inside("node1", "systemctl start etcd")


def test_a_route_that_somebody_took_away_is_told_and_made_again() -> None:
    route = lab.inside("node1", "ip route show dev vxlan.calico").split()[0]
    lab.inside("node1", f"ip route delete {route}")
    done = lab.playbook("site", "--limit", "node1", "--skip-tags", "verify,binaries,node,etcd")
    assert done.returncode == 0, done.stdout[-2000:]
    assert route in lab.inside("node1", "ip route show dev vxlan.calico")
