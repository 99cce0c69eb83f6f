"""The module dns_record against the cluster's etcd, and what CoreDNS answers then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from testing import lab, names

ACCESS = {
    "ca_cert": "/etc/coredns/pki/etcd-ca.crt",
    "client_cert": "/etc/coredns/pki/etcd.crt",
    "client_key": "/etc/coredns/pki/etcd.key",
}
RECORDS = [
    {"name": "shop.cluster.local", "value": "192.0.2.21"},
    {"name": "shop.cluster.local", "value": "192.0.2.22"},
    {"name": "shop.cluster.local", "type": "AAAA", "value": "2001:db8::21"},
    {"name": "shop.cluster.local", "type": "TXT", "value": 'say "hello"; then wait', "ttl": 60},
    {"name": "_https._tcp.shop.cluster.local", "type": "SRV", "value": "10 100 8443 shop.cluster.local"},
    {"name": "store.cluster.local", "type": "CNAME", "value": "shop.cluster.local"},
    {"name": "10.0.0.21", "type": "PTR", "value": "shop.cluster.local"},
]
ANSWERS = {
    "shop.cluster.local A": ["NOERROR", "192.0.2.21", "192.0.2.22"],
    "shop.cluster.local AAAA": ["NOERROR", "2001:db8::21"],
    "shop.cluster.local TXT": ["NOERROR", 'say "hello"; then wait'],
    "_https._tcp.shop.cluster.local SRV": ["NOERROR", "10 100 8443 shop.cluster.local"],
    "store.cluster.local CNAME": ["NOERROR", "shop.cluster.local"],
    "store.cluster.local A": ["NOERROR", "192.0.2.21", "192.0.2.22"],
    "21.0.0.10.in-addr.arpa PTR": ["NOERROR", "shop.cluster.local"],
}


def put(*records: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    return lab.module("cp-1", "dns_record", records=list(records), **{"owner": "shop", **ACCESS, **arguments})


@pytest.fixture(scope="module", autouse=True)
def put_once() -> Iterator[dict[str, Any]]:
    """All the records, once; gone afterwards."""
    yield put(*RECORDS)
    put(purge=True)
    put(owner="other", purge=True)


def test_every_type_is_answered_by_every_server_at_once(put_once: dict[str, Any]) -> None:
    assert put_once["changed"] and len(put_once["added"]) == len(RECORDS), put_once
    for host in lab.names("coredns"):
        assert names.answers(host, *ANSWERS) == ANSWERS, host


def test_the_same_records_again_change_nothing() -> None:
    again = put(*RECORDS, purge=True)
    assert not again["changed"] and not again["failed"], again


def test_a_change_is_announced_by_check_mode_and_then_made() -> None:
    wanted = [RECORDS[0] | {"ttl": 120}, *RECORDS[2:]]
    announced = put(*wanted, purge=True, check_mode=True)
    done = put(*wanted, purge=True)
    assert announced["added"] == done["added"] == ["shop.cluster.local. 120 IN A 192.0.2.21"]
    assert announced["removed"] == done["removed"] == [
        "shop.cluster.local. 300 IN A 192.0.2.21", "shop.cluster.local. 300 IN A 192.0.2.22",
    ]  # fmt: skip
    assert not put(*wanted, purge=True)["changed"]
    assert put(*RECORDS)["changed"]


def test_a_purge_leaves_the_records_of_others() -> None:
    other = {"name": "desk.cluster.local", "value": "192.0.2.51"}
    assert put(other, owner="other")["changed"]
    assert not put(*RECORDS, purge=True)["changed"]
    assert names.answers("worker-2.lab.example", "desk.cluster.local A") == {
        "desk.cluster.local A": ["NOERROR", "192.0.2.51"]
    }


def test_one_value_of_a_name_can_be_removed() -> None:
    extra = {"name": "many.cluster.local", "value": "192.0.2.61"}
    put(extra, extra | {"value": "192.0.2.62"})
    assert put(extra, state="absent")["removed"] == ["many.cluster.local. 300 IN A 192.0.2.61"]
    assert not put(extra, state="absent")["changed"]
    assert put({"name": "many.cluster.local"}, state="absent")["removed"] == [
        "many.cluster.local. 300 IN A 192.0.2.62"
    ]  # fmt: skip


def test_wrong_records_are_refused_with_their_places_and_nothing_is_put() -> None:
    refused = put(
        {"name": "new.cluster.local", "value": "192.0.2.71"},
        {"name": "new.cluster.local", "value": "192.0.2"},
        {"name": "store.cluster.local", "type": "CNAME", "value": "new.cluster.local"},
        owner="other",
    )
    assert refused["failed"] and "records[1].value: 192.0.2: not an IPv4 address" in refused["msg"]
    refused = put({"name": "store.cluster.local", "type": "CNAME", "value": "new.cluster.local"}, owner="other")
    assert refused["failed"] and "/skydns/local/cluster/store is there, and not of owner other" in refused["msg"]
    assert names.answers("cp-1", "new.cluster.local A") == {"new.cluster.local A": ["NXDOMAIN"]}


def test_an_etcd_that_cannot_be_asked_is_told() -> None:
    refused = put(RECORDS[0], endpoints=["https://127.0.0.1:9"], timeout=1)
    assert refused["failed"] and "https://127.0.0.1:9" in refused["msg"], refused
