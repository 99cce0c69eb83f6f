from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import link as vxlan_link
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.link import Link

KERNEL = (6, 18)
PLAIN = Link("vx0", 7, local="192.0.2.1", mac="02:00:00:00:00:01", mtu=1450)


def entry(**data: Any) -> dict[str, Any]:
    """A device as `ip` of Debian 12 prints it."""
    info = {
        "id": 7, "local": "192.0.2.1", "port_range": {"low": 0, "high": 0}, "port": 4789, "learning": True, "ttl": 0,
        "df": "unset", "ageing": 300, "udp_csum": True, "udp_zero_csum6_tx": False, "udp_zero_csum6_rx": False, **data,
    }  # fmt: skip
    return {
        "ifname": "vx0", "flags": ["BROADCAST", "UP"], "mtu": 1450, "address": "02:00:00:00:00:01",
        "linkinfo": {"info_kind": "vxlan", "info_data": info},
    }  # fmt: skip


def test_a_device_of_ip_is_read() -> None:
    assert vxlan_link.from_json(entry()) == PLAIN


def test_what_newer_releases_print_of_switches_that_are_off_or_on_without_a_value_is_understood() -> None:
    newer = {"gbp": None, "external": False, "proxy": False, "rsc": True, "reserved_bits": "0x77", "localbypass": True}
    assert vxlan_link.from_json(entry(**newer)) == replace(PLAIN, gbp=True, rsc=True)


def test_a_ttl_that_is_not_printed_is_inherited() -> None:
    data = entry()
    del data["linkinfo"]["info_data"]["ttl"]
    assert vxlan_link.from_json(data) == replace(PLAIN, ttl="inherit")


@pytest.mark.parametrize(("printed", "tos"), [("0x1", "inherit"), ("0x10", "0x10"), ("0", "0")])
def test_a_tos_of_one_is_inherited(printed: str, tos: str) -> None:
    assert vxlan_link.from_json(entry(tos=printed)) == replace(PLAIN, tos=tos)


def test_ipv6_and_groups_have_keys_of_their_own() -> None:
    data = entry(group6="ff05::1", local6="2001:db8::1", link="eth0")
    del data["linkinfo"]["info_data"]["local"]
    found = vxlan_link.from_json(data)
    assert found == replace(PLAIN, local="2001:db8::1", remote="ff05::1", device="eth0")
    assert found is not None
    assert found.family == 6


def test_other_links_are_none() -> None:
    assert vxlan_link.from_json({"ifname": "eth0", "mtu": 1500}) is None


def test_a_new_device_comes_up_last() -> None:
    assert replace(PLAIN, bridge="br0", device="eth0", learning=False, port_range="1 2").put(None) == [
        "link add vx0 mtu 1450 address 02:00:00:00:00:01 type vxlan id 7 dstport 4789 local 192.0.2.1 dev eth0 "
        "nolearning udpcsum srcport 1 2",
        "link set dev vx0 master br0",
        "link set dev vx0 up",
    ]


def test_changes_in_place_name_only_what_differs() -> None:
    assert replace(PLAIN, ttl="64", learning=False).put(PLAIN) == ["link set dev vx0 type vxlan nolearning ttl 64"]
    assert replace(PLAIN, bridge="br0").put(PLAIN) == ["link set dev vx0 master br0"]
    assert PLAIN.put(replace(PLAIN, bridge="br0", up=False)) == ["link set dev vx0 nomaster", "link set dev vx0 up"]


def test_a_remote_is_taken_away_by_the_address_of_nobody() -> None:
    assert PLAIN.put(replace(PLAIN, remote="192.0.2.9")) == ["link set dev vx0 type vxlan remote 0.0.0.0"]


def test_the_mtu_is_set_again_with_another_underlay_device() -> None:
    assert replace(PLAIN, device="eth1").put(PLAIN) == [
        "link set dev vx0 type vxlan dev eth1",
        "link set dev vx0 mtu 1450",
    ]


def test_a_group_is_left_and_joined_anew_with_another_underlay_device() -> None:
    before = replace(PLAIN, device="eth0", remote="239.1.1.1")
    assert replace(before, device="eth1").put(before)[:2] == [
        "link set dev vx0 type vxlan remote 0.0.0.0",
        "link set dev vx0 type vxlan dev eth1 group 239.1.1.1",
    ]


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"ttl": "64", "tos": "0x10", "df": "set", "learning": False, "ageing": 9, "local": "192.0.2.2"}, []),
        ({"remote": "192.0.2.9"}, []),
        ({"device": "eth0"}, []),
        ({"mac": "02:00:00:00:00:02", "mtu": 1400, "up": False, "bridge": "br0"}, []),
        ({"vni": 8, "port": 1}, ["vni", "port"]),
        ({"local": "2001:db8::1"}, ["local"]),
        ({"local": "", "remote": "2001:db8::1"}, ["local", "remote"]),
        ({"ttl": "inherit"}, ["ttl"]),
    ],
)
def test_the_kernel_changes_some_attributes_in_place_and_others_not(change: dict[str, Any], fields: list[str]) -> None:
    assert sorted(vxlan_link.unchangeable(PLAIN, replace(PLAIN, **change), KERNEL)) == sorted(fields)


def test_an_underlay_device_cannot_be_taken_away() -> None:
    assert vxlan_link.unchangeable(replace(PLAIN, device="eth0"), PLAIN, KERNEL) == ["device"]


def test_kernels_before_6_15_do_not_join_another_group() -> None:
    before = replace(PLAIN, device="eth0", remote="239.1.1.1")
    other = replace(before, remote="239.1.1.2")
    assert vxlan_link.unchangeable(before, other, (6, 15)) == []
    assert vxlan_link.unchangeable(before, other, (6, 1)) == ["remote"]
    assert vxlan_link.unchangeable(before, replace(before, device="eth1"), (6, 1)) == ["device"]
    assert vxlan_link.unchangeable(before, replace(before, ttl="9"), (6, 1)) == []


@pytest.mark.parametrize("address", ["224.0.0.1", "239.255.255.255", "ff02::1", "ff05::101"])
def test_groups_are_told_from_single_addresses(address: str) -> None:
    assert vxlan_link.multicast(address)


@pytest.mark.parametrize("address", ["", "192.0.2.1", "223.255.255.255", "240.0.0.1", "fe80::1", "ff::1", "::ff00"])
def test_single_addresses_are_no_groups(address: str) -> None:
    assert not vxlan_link.multicast(address)
