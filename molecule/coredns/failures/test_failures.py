"""What happens to names while something else goes wrong, and while they change."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testing import lab, names

ETCD = {
    "endpoints": [f"https://{lab.address(member)}:2379" for member in lab.names("etcd")],
    "ca_cert": "/etc/coredns/pki/etcd-ca.crt",
    "client_cert": "/etc/coredns/pki/etcd.crt",
    "client_key": "/etc/coredns/pki/etcd.key",
}
LOAD = (
    Path(__file__).parents[1] / "load.py",
    lab.CHECKOUT / "plugins" / "module_utils" / "_dns" / "messages.py",
)
STEADY = {
    "kubernetes.default.svc.cluster.local": "10.0.0.1",
    "worker-2.lab.example.cluster.local": "192.168.221.12",
    "10-244-7-5.pod.cluster.local": "10.244.7.5",
    "moved.cluster.local": "192.0.2.41",
    "www.example.com": "192.0.2.80",
    "www.example.org": "192.0.2.180",
    "no-such-name.cluster.local": "NXDOMAIN",
}


@pytest.fixture(scope="module", autouse=True)
def record_in_etcd() -> Iterator[None]:
    """A name that etcd alone has."""
    record = {"name": "moved.cluster.local", "value": "192.0.2.41"}
    done = lab.module("cp-1", "dns_record", owner="failures", records=[record], **ETCD)
    assert done["changed"], done
    yield
    lab.module("cp-1", "dns_record", owner="failures", purge=True, **ETCD)


@contextmanager
def load(host: str, rate: int, result: dict[str, Any], expected: dict[str, str]) -> Iterator[None]:
    """Questions at a steady rate from a host, while something is done; what they met is in the result."""
    for path in LOAD:
        text = base64.b64encode(path.read_bytes()).decode()
        lab.inside(host, f"echo {text} | base64 -d >/root/{path.name}")
    words = " ".join(f"{name}={value}" for name, value in expected.items())
    run = "systemd-run --collect --unit=load --property=WorkingDirectory=/root --setenv=PYTHONDONTWRITEBYTECODE=1"
    lab.inside(host, f"{run} python3 load.py load.json {names.SERVER} {rate} {words}; sleep 1")
    try:
        yield
    finally:
        lab.inside(host, "systemctl stop load")
        result.update(json.loads(lab.inside(host, "cd /root; cat load.json; rm load.json load.py messages.py")))


def failed_pairs(*arguments: str) -> list[dict[str, Any]]:
    """The pairs that fail in a run of verify."""
    done = lab.playbook("verify", *arguments)
    assert done.returncode != 0, done.stdout
    return [pair for pair in lab.connectivity()["pairs"] if not pair["ok"]]


def test_no_answer_fails_while_the_configuration_changes_under_500_queries_a_second() -> None:
    identity = "systemctl show coredns --property=MainPID,NRestarts,InvocationID"
    found: dict[str, Any] = {}
    before = lab.inside("worker-2.lab.example", identity)
    records = lab.inventory()["_meta"]["hostvars"]["worker-2.lab.example"]["coredns_records"]
    # Added, and taken away again.
    changes = {"NOERROR": [*records, {"name": "added.cluster.local", "value": "192.0.2.100"}], "NXDOMAIN": records}
    with load("worker-2.lab.example", 500, found, STEADY):
        for rcode, told in changes.items():
            done = lab.playbook("site", "--tags", "dns", "--extra-vars", json.dumps({"coredns_records": told}))
            assert done.returncode == 0, done.stdout
            assert names.answers("worker-2.lab.example", "added.cluster.local A")["added.cluster.local A"][0] == rcode
    print(f"reloads: {found}")
    assert found["udp"]["failed"] == found["tcp"]["failed"] == 0, found
    assert found["udp"]["asked"] > 500 * found["seconds"] * 0.8, found
    assert lab.inside("worker-2.lab.example", identity) == before, "it was restarted, not reloaded"


def test_a_configuration_that_coredns_refuses_is_not_put_in_place() -> None:
    held = lab.inside("worker-2.lab.example", "cat /etc/coredns/Corefile")
    told = json.dumps({"coredns_blocks": "broken.lab:53 {\n  bind 10.0.0.2\n  forward\n}\n"})
    done = lab.playbook("site", "--tags", "dns", "--extra-vars", told)
    assert done.returncode != 0
    assert "refused by /usr/local/bin/coredns" in done.stdout + done.stderr
    assert lab.inside("worker-2.lab.example", "cat /etc/coredns/Corefile") == held
    assert (
        names.answers("worker-2.lab.example", "worker-2.lab.example.cluster.local A")[
            "worker-2.lab.example.cluster.local A"
        ][0]
        == "NOERROR"
    )


def test_a_killed_coredns_answers_again_in_less_than_two_seconds() -> None:
    found: dict[str, Any] = {}
    with load("worker-2.lab.example", 100, found, {"kubernetes.default.svc.cluster.local": "10.0.0.1"}):
        lab.inside("worker-2.lab.example", "sleep 1; systemctl kill --signal=KILL coredns; sleep 4")
    print(f"killed: {found}")
    assert found["udp"]["failed"] > 0, "it was not killed under load"
    assert found["udp"]["longest_gap_s"] < 2, found


def test_names_are_answered_after_the_link_is_lost() -> None:
    # As after a boot: the link is nobody's but the unit's.
    lab.inside(
        "worker-3.lab.example", "systemctl stop coredns; ip link delete coredns0; systemctl start coredns; sleep 1"
    )
    assert names.answers("worker-3.lab.example", "worker-2.lab.example.cluster.local A") == {
        "worker-2.lab.example.cluster.local A": ["NOERROR", "192.168.221.12"]
    }


def test_records_of_etcd_are_answered_and_can_be_put_while_a_member_is_down() -> None:
    lab.inside("cp-1", "systemctl stop etcd")
    try:
        for host in lab.names("coredns"):
            told = names.answers(host, "moved.cluster.local A", "moved.cluster.local AAAA")
            assert told["moved.cluster.local A"] == ["NOERROR", "192.0.2.41"], host
        record = {"name": "later.cluster.local", "value": "192.0.2.42"}
        done = lab.module("cp-1", "dns_record", owner="failures", records=[record], **ETCD)
        assert done["changed"] and not done["failed"], done
        for host in lab.names("coredns"):
            # CoreDNS, started while the member is down, has not met it before.
            lab.inside(host, "systemctl restart coredns; sleep 1")
            assert names.answers(host, "later.cluster.local A")["later.cluster.local A"] == ["NOERROR", "192.0.2.42"]
    finally:
        lab.inside("cp-1", "systemctl start etcd")


def test_cluster_names_do_not_suffer_while_the_upstream_is_down_and_verify_tells_why() -> None:
    lab.inside("outside", "systemctl stop outside")
    try:
        inside = [name for name in STEADY if not name.endswith("example.org")]
        for host in lab.names("coredns"):
            answered = names.answers(host, *(f"{name} A" for name in inside), timeout=0.5)
            assert {name: answered[f"{name} A"][-1] for name in inside} == {name: STEADY[name] for name in inside}
        # CoreDNS gives its upstreams five seconds, and a try of the last of them two.
        told = {"verify_outside_name": "fresh.example.org", "verify_timeout": 10, "verify_tries": 1}
        failed = failed_pairs("--extra-vars", json.dumps(told))
        assert {(pair["target"], pair["protocol"]) for pair in failed} == {
            ("fresh.example.org", "dns"), ("fresh.example.org", "dns-tcp"),
        }  # fmt: skip
        assert all("SERVFAIL: plugin/errors: 2 fresh.example.org. A" in pair["cause"] for pair in failed), failed
    finally:
        lab.inside("outside", "systemd-run --unit=outside --property=WorkingDirectory=/root coredns -conf Corefile")
    until = time.monotonic() + 15
    while names.answers("worker-3.lab.example", "fresh.example.org A")["fresh.example.org A"] != [
        "NOERROR",
        "192.0.2.181",
    ]:
        assert time.monotonic() < until


def test_verify_tells_which_node_has_no_server() -> None:
    lab.inside("worker-2.lab.example", "systemctl stop coredns")
    try:
        failed = failed_pairs()
    finally:
        lab.inside("worker-2.lab.example", "systemctl start coredns")
    assert {pair["source"] for pair in failed} == {"worker-2.lab.example"}
    assert {pair["protocol"] for pair in failed} == {"dns", "dns-tcp"}
    assert all(pair["cause"].endswith("from 10.0.0.2") for pair in failed), failed


def test_nothing_is_left_to_change_after_all_this() -> None:
    done = lab.playbook("site", "--tags", "dns")
    assert done.returncode == 0, done.stdout
    assert "changed=0" in done.stdout and "changed=1" not in done.stdout, done.stdout
