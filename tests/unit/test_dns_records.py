"""Records as people write them, as SkyDNS keys, and as zone files."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._dns import records as dns_records
from ansible_collections.binary_cluster.networking.plugins.module_utils._dns.records import Record
from ansible_collections.binary_cluster.networking.plugins.modules import dns_record
from hypothesis import given, strategies as some

LABELS = some.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
HOST_NAMES = some.lists(LABELS.filter(lambda label: label != "any"), min_size=1, max_size=5).map(".".join)
TEXTS = some.text(
    some.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\"), min_size=1, max_size=400
)


def values(kind: str) -> some.SearchStrategy[str]:
    if kind in ("A", "AAAA"):
        return some.ip_addresses(v=4 if kind == "A" else 6).map(str)
    if kind == "TXT":
        return TEXTS
    if kind == "SRV":
        numbers = some.integers(1, 65535)
        return some.builds("{} {} {} {}".format, numbers, numbers, numbers, HOST_NAMES)
    return HOST_NAMES


ITEMS = some.sampled_from([kind for kind in dns_records.TYPES if kind != "PTR"]).flatmap(
    lambda kind: some.fixed_dictionaries(
        {"name": HOST_NAMES, "type": some.just(kind), "value": values(kind), "ttl": some.integers(1, 86400)}
    )
)


def only(item: dict[str, Any]) -> Record:
    records, faults = dns_records.read([item])
    assert faults == []
    return next(iter(records))


@given(ITEMS)
def test_a_record_comes_back_from_its_value_in_etcd(item: dict[str, Any]) -> None:
    if item["type"] == "SRV":
        try:
            ipaddress.ip_address(item["value"].split()[3])
        except ValueError:
            pass
        else:
            return
    record = only(item)
    assert dns_records.from_skydns(dns_records.skydns_value(record, "me")) == record
    assert dns_records.skydns_owner(dns_records.skydns_value(record, "me")) == "me"


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"name": "a.x", "value": "10.0.0.300"}, "records[0].value: 10.0.0.300: not an IPv4 address such as 192.0.2.7"),
        ({"name": "a.x", "type": "AAAA", "value": "10.0.0.3"}, "records[0].value: 10.0.0.3: not an IPv6 address"),
        ({"name": "a..x", "value": "10.0.0.3"}, "records[0].name: a..x: label '' is not legal"),
        ({"name": "a.x\n", "value": "10.0.0.3"}, "is not legal"),
        ({"name": "*.x", "value": "10.0.0.3"}, "'*' stands for every label in SkyDNS"),
        ({"name": "a.x", "type": "TXT", "value": "one\ntwo"}, "printable ASCII characters"),
        ({"name": "a.x", "type": "TXT", "value": "one\n"}, "printable ASCII characters"),
        ({"name": "a.x", "type": "TXT", "value": ""}, "printable ASCII characters"),
        ({"name": "a.x", "type": "SRV", "value": "1 2 web.x"}, "give priority, weight, port and target"),
        ({"name": "a.x", "type": "SRV", "value": "1 2 70000 web.x"}, "port 70000 is not a number from 1 to 65535"),
        ({"name": "a.x", "type": "SRV", "value": "1 2 80 192.0.2.7"}, "the target is a name"),
        ({"name": "a.x", "type": "PTR", "value": "b.x"}, "a PTR record has an address for a name"),
        ({"name": "a.x", "type": "MX", "value": "b.x"}, "records[0].type: MX: not one of A, AAAA"),
        ({"name": "a.x", "value": "10.0.0.3", "ttl": 0}, "records[0].ttl: 0: give 1 to"),
        ({"name": "a.x", "value": "10.0.0.3", "ttl": "soon"}, "records[0].ttl: soon: not a number of seconds"),
    ],
)
def test_a_wrong_record_is_refused_with_its_place(item: dict[str, Any], told: str) -> None:
    records, faults = dns_records.read([item])
    assert not records
    assert [told in str(fault) for fault in faults] == [True], faults


def test_records_that_cannot_stand_together_are_refused() -> None:
    _records, faults = dns_records.read(
        [
            {"name": "a.x", "value": "192.0.2.1"},
            {"name": "A.x.", "value": "192.0.2.1"},
            {"name": "a.x", "type": "CNAME", "value": "b.x"},
            {"name": "c.x", "value": "192.0.2.1", "ttl": 60},
            {"name": "c.x", "value": "192.0.2.2", "ttl": 61},
        ]
    )
    assert [str(fault) for fault in faults] == [
        "records[1]: a.x. 300 IN A 192.0.2.1: the same as records[0]",
        "records[2].name: a.x: records[0] has the name too, and a CNAME stands alone",
        "records[4].ttl: 61: records[3] of the same name and type has 60; a set has one TTL",
    ]


@pytest.mark.parametrize(
    ("network", "zones"),
    [
        ("10.0.0.0/24", ["0.0.10.in-addr.arpa"]),
        ("10.244.0.0/16", ["244.10.in-addr.arpa"]),
        ("10.0.0.0/23", ["0.0.10.in-addr.arpa", "1.0.10.in-addr.arpa"]),
        ("10.0.0.0/28", [f"{last}.0.0.10.in-addr.arpa" for last in range(16)]),
        ("10.0.0.0/8", ["10.in-addr.arpa"]),
        ("2001:db8::/32", ["8.b.d.0.1.0.0.2.ip6.arpa"]),
    ],
)
def test_a_network_becomes_the_reverse_zones_that_cover_it(network: str, zones: list[str]) -> None:
    assert dns_records.zones([network]) == zones


@given(some.ip_addresses(v=4), some.integers(8, 31))
def test_every_address_of_a_network_is_in_one_of_its_zones(address: ipaddress.IPv4Address, length: int) -> None:
    network = ipaddress.ip_network((address, length), strict=False)
    zones = dns_records.zones([str(network)])
    assert dns_records.zone_of(address.reverse_pointer, zones)


def test_an_address_gets_its_pointer_where_its_reverse_zone_is_served() -> None:
    records, _faults = dns_records.read(
        [
            {"name": "a.x", "value": "10.0.0.9"},
            {"name": "b.x", "value": "10.0.0.9"},
            {"name": "c.x", "value": "192.0.2.9"},
        ]
    )
    files = dns_records.zone_files(records, ["x", "0.0.10.in-addr.arpa"], "ns.x")
    assert list(files) == ["x", "0.0.10.in-addr.arpa"]
    assert files["0.0.10.in-addr.arpa"].splitlines()[2:] == ["9.0.0.10.in-addr.arpa. 300 IN PTR a.x."]
    assert "c.x. 300 IN A 192.0.2.9" in files["x"]


def test_the_serial_of_a_zone_follows_its_content() -> None:
    def zone(value: str) -> str:
        records, _faults = dns_records.read([{"name": "a.x", "value": value}])
        return dns_records.zone_files(records, ["x"], "ns.x")["x"].splitlines()[0]

    assert zone("192.0.2.1") == zone("192.0.2.1") != zone("192.0.2.2")


def test_a_long_text_is_cut_where_the_protocol_wants_it() -> None:
    record = only({"name": "a.x", "type": "TXT", "value": "q" * 300 + '"'})
    assert str(record) == f'a.x. 300 IN TXT "{"q" * 255}" "{"q" * 45}\\""'


# --- what the module plans -------------------------------------------------------------


def keys(*items: dict[str, Any], owner: str = "me") -> tuple[dict[str, Record], dict[Record, str]]:
    records, faults = dns_records.read(items)
    assert faults == []
    made, faults = dns_records.skydns_keys(records, "/skydns", owner)
    assert faults == []
    return made, records


def held(wanted: dict[str, Record], owner: str = "me") -> dict[str, str]:
    return {key: dns_records.skydns_value(record, owner) for key, record in wanted.items()}


def test_what_is_there_is_not_put_again() -> None:
    wanted, _places = keys({"name": "a.x", "value": "192.0.2.1"}, {"name": "a.x", "value": "192.0.2.2"})
    assert len(wanted) == 2
    assert dns_record.plan_present(wanted, held(wanted), "me", purge=True) == {}


def test_a_purge_takes_the_records_of_its_owner_and_no_others() -> None:
    mine, _places = keys({"name": "a.x", "value": "192.0.2.1"})
    others, _places = keys({"name": "b.x", "value": "192.0.2.2"}, owner="other")
    found = {**held(mine), **held(others, "other"), "/skydns/x/c": '{"host": "192.0.2.3"}', "/skydns/x/d": "no JSON"}
    assert dns_record.plan_present({}, found, "me", purge=False) == {}
    assert dns_record.plan_present({}, found, "me", purge=True) == dict.fromkeys(mine)


def test_a_removal_without_a_value_takes_all_of_the_name_and_type() -> None:
    wanted, _places = keys(
        {"name": "a.x", "value": "192.0.2.1"},
        {"name": "a.x", "value": "192.0.2.2"},
        {"name": "a.x", "type": "TXT", "value": "stays"},
    )
    described, faults = dns_records.read([{"name": "a.x"}], partial=True)
    assert faults == []
    changes = dns_record.plan_absent(described, held(wanted), "me")
    assert changes == {key: None for key, record in wanted.items() if record.type == "A"}
    assert dns_record.plan_absent(described, held(wanted), "somebody else") == {}


def test_what_skydns_would_answer_wrongly_is_refused() -> None:
    wanted, places = keys(
        {"name": "a.x", "type": "CNAME", "value": "b.x"},
        {"name": "c.x", "value": "192.0.2.1"},
        {"name": "d.x", "value": "192.0.2.1"},
        {"name": "d.x", "type": "SRV", "value": "1 2 80 c.x"},
    )
    found = {"/skydns/x/a/www": "{}", "/skydns/x/c": "{}"}
    faults = dns_record.refusals(wanted, places, found, {}, {"owner": "me", "path": "/skydns"})
    assert [str(fault) for fault in faults] == [
        "records[0].name: a.x: /skydns/x/a/www is below it, and would hide the CNAME",
        "records[1].name: c.x: would hide what is at /skydns/x/c; remove that",
        "records[3].name: d.x: has addresses too, which SkyDNS gives as SRV; take another name, such as "
        "_https._tcp.www",
    ]


def test_the_key_of_somebody_else_is_not_taken() -> None:
    wanted, places = keys({"name": "a.x", "type": "CNAME", "value": "b.x"})
    faults = dns_record.refusals(wanted, places, {"/skydns/x/a": "{}"}, {}, {"owner": "me", "path": "/skydns"})
    assert "records[0].name: a.x: /skydns/x/a is there, and not of owner me" in map(str, faults)


@pytest.mark.parametrize(
    ("owner", "path", "refused"),
    [
        ("registry", "/skydns", []),
        ("registry@2", "/names/of.mine/", []),
        ("registry\n", "/skydns", ["owner"]),
        ("../x", "/skydns", ["owner"]),
        ("", "", ["owner", "path"]),
        ("registry", "/", ["path"]),
        ("registry", "/skydns/../registry", ["path"]),
        ("registry", "/skydns\n", ["path"]),
        ("registry", "/coreos.com/network", ["path"]),
        ("registry", "/registry", ["path"]),
        ("registry", "/calico/", ["path"]),
    ],
)
def test_records_are_kept_nowhere_but_among_records(owner: str, path: str, refused: list[str]) -> None:
    assert [fault.place for fault in dns_record.place_faults(owner, path)] == refused
