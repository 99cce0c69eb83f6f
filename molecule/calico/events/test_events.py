"""Felix killed, a machine booted, a route taken away, etcd with a member less or with users, a policy between pods."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator

import pytest

from testing import lab
from testing.boot import behind_a_router, boot

PODS = {"cp-1": "web", "worker-2.lab.example": "database", "worker-4.lab.example": "batch"}
POLICY = {
    "apiVersion": "projectcalico.org/v3",
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
    label = f"{{{{ {PODS}[inventory_hostname] }}}}"
    made = lab.modules(PODS, "cni_attachment", netns="demo", labels={"role": label})
    yield {node: one["addresses"][0].split("/")[0] for node, one in made.items()}
    lab.modules(PODS, "cni_attachment", netns="demo", state="absent")


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
    lab.inside("cp-1", f"echo {shlex.quote(json.dumps(POLICY))} | calicoctl create -f -")
    assert wait_for({("cp-1", "worker-2.lab.example")}, pods) == {("cp-1", "worker-2.lab.example")}
    lab.inside("cp-1", "calicoctl delete globalnetworkpolicy no-web-to-database")
    assert wait_for(set(), pods) == set()


def test_other_labels_attach_a_pod_anew_and_the_same_ones_do_not(pods: dict[str, str]) -> None:
    again = lab.module("worker-4.lab.example", "cni_attachment", netns="demo", labels={"role": "batch"})
    assert not again["changed"]
    other = lab.module(
        "worker-4.lab.example", "cni_attachment", netns="demo", labels={"role": "queue"}, check_mode=True
    )
    assert other["reason"] == "attached with other labels"


def test_a_killed_felix_comes_back_and_pods_notice_nothing(pods: dict[str, str]) -> None:
    ping = f"ip netns exec demo ping -c 20 -i 0.2 -W 1 -q {pods['worker-2.lab.example']}"
    felix = "systemctl show -p MainPID --value calico-felix"
    seen = lab.inside("cp-1", f"before=$({felix}); kill -9 $before; {ping}; test $before != $({felix}) && echo another")
    assert "20 received" in seen and "another" in seen


def test_a_machine_that_boots_has_its_ways_back_and_a_new_pod_takes_the_place_of_the_lost_one(
    pods: dict[str, str],
) -> None:
    ways = "ip route show dev vxlan.calico | sort | xargs"
    before = lab.inside("worker-2.lab.example", ways)
    boot("worker-2.lab.example", "calico-felix", "etcd", before=behind_a_router())
    lab.inside(
        "worker-2.lab.example",
        f'for try in $(seq 300); do test "$({ways})" = "{before.strip()}" && exit 0; sleep 0.1; done; exit 1',
    )
    lost = lab.inside("cp-1", "calicoctl get workloadendpoints -A").count(" worker-2.lab.example ")
    made = lab.module("worker-2.lab.example", "cni_attachment", netns="demo", labels={"role": "database"})
    assert (lost, made["reason"]) == (1, "there is no such namespace")
    pods["worker-2.lab.example"] = made["addresses"][0].split("/")[0]
    assert wait_for(set(), pods) == set()
    assert lab.inside("cp-1", "calicoctl get workloadendpoints -A").count(" worker-2.lab.example ") == 1
    assert "found 0 problems" in lab.inside("cp-1", "calicoctl ipam check")


def test_an_address_of_a_tunnel_that_somebody_took_away_comes_back(pods: dict[str, str]) -> None:
    shown = "calicoctl get node worker-2.lab.example -o yaml | grep VXLAN"
    lab.inside("cp-1", """calicoctl patch node worker-2.lab.example -p '{"spec": {"ipv4VXLANTunnelAddr": null}}'""")
    lab.inside("cp-1", f"! {shown} && for try in $(seq 150); do {shown} && exit 0; sleep 0.1; done; exit 1")
    assert wait_for(set(), pods) == set()


def test_a_node_whose_neighbours_the_kernel_dropped_is_not_cut_off_for_long(pods: dict[str, str]) -> None:
    # As it does where the last address of the tunnel goes before the new one is there, which is a race in Felix.
    lab.inside("worker-2.lab.example", "ip neigh flush dev vxlan.calico nud permanent")
    assert wait_for(set(), pods) == set()


def test_without_a_member_of_etcd_pods_are_attached_and_reached(pods: dict[str, str]) -> None:
    lab.inside("cp-1", "systemctl stop etcd")
    try:
        made = lab.module("cp-1", "cni_attachment", netns="late")
        address = made["addresses"][0].split("/")[0]
        ping = f"ip netns exec demo ping -i 0.2 -W 1 {address}"
        # Felix of the other node has the route once etcd has sent it there.
        lab.inside("worker-4.lab.example", f"timeout 15 sh -c 'until {ping} -c 1; do :; done'")
        assert " 0% packet loss" in lab.inside("worker-4.lab.example", f"{ping} -c 5")
        lab.module("cp-1", "cni_attachment", netns="late", state="absent")
    finally:
        lab.inside("cp-1", "systemctl start etcd")


def test_a_route_that_somebody_took_away_is_told_and_made_again() -> None:
    route = lab.inside("cp-1", "ip route show dev vxlan.calico").split()[0]
    lab.inside("cp-1", f"ip route delete {route}")
    done = lab.playbook("site", "--limit", "cp-1", "--skip-tags", "verify,binaries,node,etcd")
    assert done.returncode == 0, done.stdout[-2000:]
    assert route in lab.inside("cp-1", "ip route show dev vxlan.calico")


def test_an_etcd_whose_users_are_others_is_refused_with_a_remedy_that_opens_it_to_calico_alone() -> None:
    url = f"https://{lab.address('cp-1')}:12379"
    pki = "/etc/etcd/pki"
    etcd = (
        f"etcd --data-dir /run/stranger --listen-client-urls {url} --advertise-client-urls {url}"
        f" --listen-peer-urls http://127.0.0.1:12380 --cert-file {pki}/server.crt --key-file {pki}/server.key"
        f" --trusted-ca-file {pki}/ca.crt --client-cert-auth"
    )
    etcdctl = f"set -a; . /etc/etcd/etcdctl.env; ETCDCTL_ENDPOINTS={url}; etcdctl"
    access = {
        "endpoints": [url],
        "prefix": "/calico/",
        "authority": str(lab.directory() / "pki" / "etcd"),
        "client": "calico",
        "variable": "calico_etcd_endpoints",
    }
    try:
        lab.inside(
            "cp-1",
            f"systemd-run --quiet --unit=stranger {etcd}; "
            "for try in $(seq 100); do ss -lnt | grep -q :12379 && break; sleep 0.1; done; "
            f"{etcdctl} user add root --no-password && "
            "etcdctl user grant-role root root && etcdctl auth enable",
        )
        refused = lab.module("cp-1", "etcd_access", **access)
        said = refused["msg"]
        assert said.startswith(f"calico_etcd_endpoints: {url}: KV/Txn: etcdserver: permission denied: "), said
        remedy = said.partition("let this client use it: ")[2]
        assert "auth disable" not in said
        lab.inside("cp-1", f"set -a; . /etc/etcd/etcdctl.env; ETCDCTL_ENDPOINTS={url}; {remedy}")
        assert lab.module("cp-1", "etcd_access", **access)["granted"] == [url]
        assert lab.module("cp-1", "etcd_access", **{**access, "prefix": "/registry/"})["failed"]
    finally:
        lab.inside("cp-1", "systemctl stop stranger; rm -rf /run/stranger")


def test_an_etcd_of_another_authority_is_refused_whichever_side_knows_not_the_other() -> None:
    url = f"https://{lab.address('cp-1')}:12379"
    etcd = (
        f"etcd --data-dir /run/stranger --listen-client-urls {url} --advertise-client-urls {url}"
        " --listen-peer-urls http://127.0.0.1:12380"
    )
    ours = "--cert-file /etc/etcd/pki/server.crt --key-file /etc/etcd/pki/server.key --client-cert-auth"
    theirs = "--trusted-ca-file /run/stranger/fixtures/client/cert.pem"
    told = []
    try:
        for options in ("--auto-tls", f"{ours} {theirs}"):
            lab.inside(
                "cp-1",
                f"systemctl stop stranger 2>/dev/null; systemd-run --quiet --unit=stranger {etcd} {options}; "
                "for try in $(seq 100); do ss -lnt | grep -q :12379 && exit 0; sleep 0.1; done; exit 1",
            )
            told.append(
                lab.module(
                    "cp-1",
                    "etcd_access",
                    endpoints=[url],
                    prefix="/calico/",
                    authority=str(lab.directory() / "pki" / "etcd"),
                    client="calico",
                    variable="calico_etcd_endpoints",
                )
            )
    finally:
        lab.inside("cp-1", "systemctl stop stranger; rm -rf /run/stranger")
    for one in told:
        assert one["failed"] and one["msg"].startswith(f"calico_etcd_endpoints: {url}: "), one
        assert "do not know each other" in one["msg"]
    assert ["certificate verify failed" in one["msg"] for one in told] == [True, False]
