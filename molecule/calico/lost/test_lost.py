"""A node is lost with its pods: what it held is found from another one, and released. What else the datastore may
not know is told beside that. The run that follows in the scenario takes the node in again."""

from __future__ import annotations

import json

from testing import lab
from testing.breakage import Breakage, broken, expect, known

LOST, ANY = "worker-3.lab.example", "cp-1"
# Names of endpoints begin with that of the node, its hyphens doubled.
ENDPOINTS = "/calico/resources/v3/projectcalico.org/workloadendpoints/default/"
UNKNOWN = (
    Breakage(
        "the datastore has no such node",
        LOST,
        "true",
        "true",
        "node-missing",
        text=(f"Calico's datastore has no node {LOST}", f"--limit {LOST}"),
    ),
    Breakage(
        "endpoints are removed as they are made",
        ANY,
        "set -a; . /etc/etcd/etcdctl.env; systemd-run --quiet --unit=thief --setenv=ETCDCTL_ENDPOINTS"
        " --setenv=ETCDCTL_CACERT --setenv=ETCDCTL_CERT --setenv=ETCDCTL_KEY etcdctl watch --prefix"
        f" {ENDPOINTS}worker--4.lab.example- -- sh -c 'eval etcdctl del $ETCD_WATCH_KEY'",
        "systemctl stop thief",
        "endpoint-unknown",
        blamed="worker-4.lab.example",
        text=("worker-4.lab.example has no way to probe-worker-4.lab.example",),
    ),
)


def sweep(nodes: list[str], check_mode: bool = False) -> dict[str, dict[str, list[str]]]:
    """What lost nodes held, by node."""
    lost: dict[str, dict[str, list[str]]] = lab.module(ANY, "calico_ipam", nodes=nodes, check_mode=check_mode)["lost"]
    return lost


def test_what_a_lost_node_held_is_released_and_nothing_else() -> None:
    left = [name for name in lab.names("nodes") if name != LOST]
    kept = lab.module(ANY, "cni_attachment", netns="kept")["addresses"][0].split("/")[0]
    gone = lab.module(LOST, "cni_attachment", netns="gone")["addresses"][0].split("/")[0]
    lab.inside(LOST, "systemctl stop calico-felix")

    foretold = sweep(left, check_mode=True)
    assert list(foretold) == [LOST]
    assert gone in foretold[LOST]["addresses"]
    assert len(foretold[LOST]["endpoints"]) == 1
    assert sweep(left) == foretold
    assert sweep(left) == {}

    block = foretold[LOST]["blocks"][0]
    lab.inside(ANY, f"for try in $(seq 100); do ip route | grep -q '{block}' || exit 0; sleep 0.1; done; exit 1")
    assert "is in use" in lab.inside(ANY, f"calicoctl ipam show --ip={kept}")
    assert "is not assigned" in lab.inside(ANY, f"calicoctl ipam show --ip={gone}")
    assert "found 0 problems" in lab.inside(ANY, "calicoctl ipam check")
    endpoints = json.loads(lab.inside(ANY, "calicoctl get workloadendpoint -A -o json"))["items"]
    assert LOST not in {one["spec"]["node"] for one in endpoints}

    # Their own machines know nothing of it.
    for host, netns in ((LOST, "gone"), (ANY, "kept")):
        lab.module(host, "cni_attachment", netns=netns, state="absent")
    assert "found 0 problems" in lab.inside(ANY, "calicoctl ipam check")


def test_what_the_datastore_does_not_know_is_told() -> None:
    facts = known()
    with broken(UNKNOWN, facts):
        expect(UNKNOWN, facts)
