"""Names of services, as an API server told them to its client."""

from __future__ import annotations

import time

import pytest

from testing import lab, names

EXPECTED = {
    "web.default.svc.cluster.local A": ["NOERROR", "10.0.0.80"],
    "_http._tcp.web.default.svc.cluster.local SRV": ["NOERROR", "0 100 80 web.default.svc.cluster.local"],
    "80.0.0.10.in-addr.arpa PTR": ["NOERROR", "web.default.svc.cluster.local"],
    # without an address of its own: that of its pods
    "db.default.svc.cluster.local A": ["NOERROR", "10.244.1.21", "10.244.2.22"],
    "db-0.db.default.svc.cluster.local A": ["NOERROR", "10.244.1.21"],
    "22.2.244.10.in-addr.arpa PTR": ["NOERROR", "db-1.db.default.svc.cluster.local"],
    "kubernetes.default.svc.cluster.local A": ["NOERROR", "10.0.0.1"],
    # what Kubernetes does not know is asked of the other sources
    "worker-2.lab.example.cluster.local A": ["NOERROR", "192.168.221.12"],
    "storage.cluster.local A": ["NOERROR", "192.0.2.31", "192.0.2.32"],
    "www.example.org A": ["NOERROR", "192.0.2.180"],
    "no-such-name.default.svc.cluster.local A": ["NXDOMAIN"],
}


@pytest.mark.parametrize("host", lab.names("coredns"))
def test_services_have_names_beside_those_of_the_other_sources(host: str) -> None:
    assert names.answers(host, *EXPECTED) == EXPECTED


def test_the_key_for_the_api_can_be_read_by_the_daemon_alone() -> None:
    told = lab.inside("cp-1", "stat -c '%U:%G %a' /etc/coredns/kubernetes/key.pem")
    assert told.strip() == "root:coredns 640"


def test_services_that_come_and_go_are_followed_without_a_reload() -> None:
    lab.inside("outside", "systemctl kill --signal=USR1 recorded-api")
    expected = {
        "late.default.svc.cluster.local A": ["NOERROR", "10.0.0.81"],
        "web.default.svc.cluster.local A": ["NXDOMAIN"],
    }
    # An answer is kept for five seconds.
    until = time.monotonic() + 20
    while (told := names.answers("cp-1", *expected)) != expected:
        assert time.monotonic() < until, told
        time.sleep(1)
