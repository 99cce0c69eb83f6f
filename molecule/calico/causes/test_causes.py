"""Each fault is made by hand where the nodes speak BGP, and verify names exactly that fault, on that node."""

from __future__ import annotations

import json

import pytest

from testing import lab
from testing.breakage import Breakage, broken, expect, known

BIRD = "birdc -s /run/calico/bird.ctl"


def resource(kind: str, name: str, **spec: object) -> str:
    """A command that makes a resource."""
    told = {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": name}, "spec": spec}
    return f"echo '{json.dumps(told)}' | calicoctl create -f -"


ONLY_TCP = {"action": "Allow", "protocol": "TCP"}, {"action": "Allow", "protocol": "ICMP"}
SESSION = Breakage(
    "a BGP session is disabled",
    "worker-2.lab.example",
    f"{BIRD} disable Node_$(echo {{address1}} | tr . _)",
    f"{BIRD} enable Node_$(echo {{address1}} | tr . _)",
    "bgp-session-down",
    text=("the BGP session of worker-2.lab.example with {address1} is down: it is disabled", "enable Node_"),
)
UNADVERTISED = Breakage(
    "pods are not advertised",
    "worker-3.lab.example",
    f"cp -p /etc/calico/bird.conf /root/ && sed -i 's/if is_own() then accept;//' /etc/calico/bird.conf"
    f" && {BIRD} configure",
    f"cp -p /root/bird.conf /etc/calico/ && rm /root/bird.conf && {BIRD} configure",
    "block-unadvertised",
    text=("worker-3.lab.example does not tell ",),
)
FROZEN = Breakage(
    "Felix is frozen",
    "worker-4.lab.example",
    "systemctl kill --signal=STOP calico-felix",
    "systemctl kill --signal=CONT calico-felix",
    "felix-not-ready",
    text=("Felix of worker-4.lab.example is not ready: no answer on port 9099",),
)
EXHAUSTED = Breakage(
    "there is no address left for a node",
    "worker-3.lab.example",
    "calicoctl label nodes worker-3.lab.example tiny=yes"
    f" && {resource('IPReservation', 'tiny', reservedCIDRs=['10.250.0.0/32'])}"
    f" && {resource('IPPool', 'tiny', cidr='10.250.0.0/32', blockSize=32, nodeSelector='has(tiny)')}"
    """ && calicoctl patch ippool default -p '{"spec": {"nodeSelector": "!has(tiny)"}}'""",
    """calicoctl patch ippool default -p '{"spec": {"nodeSelector": "all()"}}'"""
    " ; calicoctl delete ippool tiny ; calicoctl delete ipreservation tiny"
    " ; calicoctl label nodes worker-3.lab.example tiny --remove",
    "ipam-exhausted",
    text=("Calico has no address left for worker-3.lab.example: ", "10.250.0.0/32"),
)


DENIED = [
    Breakage(
        "a policy does not allow UDP",
        node,
        resource("GlobalNetworkPolicy", "only-tcp", order=1, selector="all()", types=["Ingress"], ingress=ONLY_TCP)
        if node == "cp-1"
        else "true",
        "calicoctl delete globalnetworkpolicy only-tcp" if node == "cp-1" else "true",
        "policy-denies",
        text=("no rule of GlobalNetworkPolicy only-tcp allows it", "calicoctl get globalnetworkpolicy only-tcp"),
    )
    # Every node with a pod has a subject of the one policy.
    for node in ("cp-1", "worker-2.lab.example", "worker-4.lab.example")
]


@pytest.fixture(autouse=True)
def settled() -> None:
    """Wait until all sessions are up after the fault before."""
    waiting = f"{BIRD} show protocols | grep BGP | grep -vq Established"
    for node in lab.names("nodes"):
        lab.inside(node, f"for try in $(seq 150); do {waiting} || exit 0; sleep 0.1; done; exit 1")


def test_what_felix_and_bird_do_not_do_is_told() -> None:
    facts = known()
    with broken((SESSION, UNADVERTISED, FROZEN), facts):
        expect((SESSION, UNADVERTISED, FROZEN), facts)


def test_the_policy_that_denies_is_told_and_the_pool_that_is_exhausted() -> None:
    facts = known()
    with broken((*DENIED, EXHAUSTED), facts):
        report = expect((*DENIED, EXHAUSTED), facts)
    reached = [pair for pair in report["pairs"] if EXHAUSTED.on not in (pair["source"], pair["target"])]
    assert {pair["protocol"] for pair in reached if not pair["ok"]} == {"udp"}
