"""VXLAN devices themselves: created, changed in place, refused, made anew, removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import Host, Underlay
from ansible_collections.binary_cluster.networking.tests.kernel.vxlan_cases import settles

Hosts = Callable[[int], list[Host]]
GATEWAY_MAC = "02:00:00:00:00:02"


def wanted(host: Host, **options: Any) -> dict[str, Any]:
    """Arguments for one device with an IPv4 underlay."""
    return {"devices": [{"name": "vx0", "vni": 100, "local": host.address, **options}]}


def device(host: Host, name: str = "vx0") -> dict[str, Any]:
    """The device as the kernel shows it."""
    return host.json(f"ip -details link show dev {name}")[0]


def attributes(host: Host, name: str = "vx0") -> dict[str, Any]:
    """Attributes of the type."""
    return dict(device(host, name)["linkinfo"]["info_data"])


def test_a_device_is_created_as_wanted_and_a_second_run_changes_nothing(host: Host) -> None:
    result = settles(host, wanted(host, port=8472, mac="02:00:00:00:00:01", learning=False))
    assert attributes(host)["id"] == 100
    assert attributes(host)["port"] == 8472
    assert attributes(host)["local"] == host.address
    assert attributes(host)["learning"] is False
    assert device(host)["address"] == "02:00:00:00:00:01"
    assert "UP" in device(host)["flags"]
    assert result["devices"] == [{"name": "vx0", "vni": 100, "port": 8472, "mac": "02:00:00:00:00:01", "mtu": 1450}]


def test_a_preview_touches_nothing(host: Host) -> None:
    host.run_module("vxlan", wanted(host), check=True)
    assert "vx0" not in host.ip("link show")


def test_any_number_of_devices_is_made_in_one_call(host: Host) -> None:
    params = {"devices": [{"name": f"vx{n}", "vni": n + 1, "local": host.address} for n in range(20)]}
    settles(host, params)
    assert len(host.json("ip link show type vxlan")) == 20


IN_PLACE: list[tuple[str, dict[str, Any], dict[str, Any], Any]] = [
    ("ttl", {}, {"ttl": "64"}, 64),
    ("ttl", {"ttl": "64"}, {}, 0),
    ("tos", {}, {"tos": "0x10"}, "0x10"),
    ("tos", {"tos": "0x10"}, {"tos": "inherit"}, "0x1"),
    ("tos", {"tos": "16"}, {}, None),
    ("df", {}, {"df": "set"}, "set"),
    ("df", {"df": "set"}, {"df": "inherit"}, "inherit"),
    ("learning", {}, {"learning": False}, False),
    ("learning", {"learning": False}, {}, True),
    ("ageing", {}, {"ageing": 30}, 30),
    ("ageing", {"ageing": 30}, {}, 300),
    ("remote", {}, {"remote": "192.0.2.99"}, "192.0.2.99"),
    ("remote", {"remote": "192.0.2.99"}, {"remote": "192.0.2.98"}, "192.0.2.98"),
    ("remote", {"remote": "192.0.2.99"}, {}, None),
    ("local", {}, {"local": "192.0.2.50"}, "192.0.2.50"),
    ("local", {"remote": "192.0.2.99"}, {"local": None, "remote": "192.0.2.99"}, None),
    ("link", {}, {"device": "eth0"}, "eth0"),
    ("link", {"device": "eth0"}, {"device": "eth1"}, "eth1"),
    ("group", {"device": "eth0"}, {"device": "eth0", "group": "239.1.1.1"}, "239.1.1.1"),
    ("group", {"device": "eth0", "group": "239.1.1.1"}, {"device": "eth0", "group": "239.1.1.2"}, "239.1.1.2"),
]


@pytest.fixture
def roomy(host: Host) -> Host:
    """A host with a second underlay interface and a second address."""
    host.ip("link add eth1 type veth peer name far1")
    host.ip("link set eth1 up")
    host.ip("link set far1 up")
    host.ip("address add 192.0.2.50/24 dev eth0")
    return host


@pytest.mark.parametrize(("key", "first", "second", "expected"), IN_PLACE)
def test_a_changeable_attribute_is_changed_in_place(
    roomy: Host, key: str, first: dict[str, Any], second: dict[str, Any], expected: Any
) -> None:
    roomy.run_module("vxlan", wanted(roomy, **first))
    index = device(roomy)["ifindex"]
    settles(roomy, wanted(roomy, **second))
    assert attributes(roomy).get(key) == expected
    assert device(roomy)["ifindex"] == index


UNCHANGEABLE: list[tuple[str, dict[str, Any], dict[str, Any], Any]] = [
    ("vni", {}, {"vni": 101}, 101),
    ("port", {}, {"port": 4790}, 4790),
    ("udp_checksum", {}, {"udp_checksum": False}, False),
    ("udp6_zero_checksum_tx", {}, {"udp6_zero_checksum_tx": True}, True),
    ("udp6_zero_checksum_rx", {}, {"udp6_zero_checksum_rx": True}, True),
    ("gbp", {}, {"gbp": True}, True),
    ("proxy", {}, {"proxy": True}, True),
    ("l2miss", {}, {"l2miss": True}, True),
    ("l3miss", {}, {"l3miss": True}, True),
    ("port_range", {}, {"port_range": [20000, 30000]}, {"low": 20000, "high": 30000}),
    ("limit", {}, {"limit": 7}, 7),
    ("ttl", {}, {"ttl": "inherit"}, None),
    ("ttl", {"ttl": "inherit"}, {}, 0),
    ("local", {}, {"local": "2001:db8::11"}, "2001:db8::11"),
    ("device", {"device": "eth0"}, {}, None),
]
KEYS = {
    "vni": "id",
    "udp_checksum": "udp_csum",
    "udp6_zero_checksum_tx": "udp_zero_csum6_tx",
    "udp6_zero_checksum_rx": "udp_zero_csum6_rx",
    "device": "link",
}


@pytest.mark.parametrize(("option", "first", "second", "expected"), UNCHANGEABLE)
def test_an_unchangeable_attribute_is_refused_and_with_consent_the_device_is_made_anew(
    host: Host, option: str, first: dict[str, Any], second: dict[str, Any], expected: Any
) -> None:
    host.run_module("vxlan", wanted(host, **first))
    before = device(host)
    refusal = host.run_module("vxlan", wanted(host, **second), failing=True)["msg"]
    assert refusal.startswith(f"devices[0].{option}: ")
    assert "recreate: allowed" in refusal
    assert device(host) == before
    settles(host, {**wanted(host, **second), "recreate": "allowed"})
    after = device(host)
    key = KEYS.get(option, option)
    seen = after["linkinfo"]["info_data"]
    assert (seen.get(key, seen.get("local6")) if option == "local" else seen.get(key)) == expected
    assert after["ifindex"] != before["ifindex"]
    assert after["address"] == before["address"], "peers know the device by its MAC"


def test_a_refusal_names_old_and_new_and_what_would_be_dropped(host: Host) -> None:
    peer = {
        "underlay": "192.0.2.99",
        "mac": GATEWAY_MAC,
        "overlay": ["10.1.2.0"],
        "subnets": ["10.1.2.0/24", "10.1.3.0/24"],
    }
    host.ip("link add br0 type bridge")
    host.run_module("vxlan", wanted(host, addresses=["10.1.1.0"], peers=[peer], bridge="br0"))
    refusal = host.run_module("vxlan", wanted(host, vni=200, port=8472, peers=[peer]), failing=True)["msg"]
    told = (
        "to make it anew drops what it holds now: 1 FDB entries, 1 addresses, 1 neighbours, 2 routes, "
        "its port of bridge br0. Allow that with `recreate: allowed`"
    )
    assert refusal.splitlines() == [
        f"devices[0].vni: 100 cannot become 200 while vx0 exists; {told}",
        f"devices[0].port: 4789 cannot become 8472 while vx0 exists; {told}",
    ]


def test_a_device_made_anew_gets_back_all_that_is_wanted(host: Host) -> None:
    peer = {"underlay": "192.0.2.99", "mac": GATEWAY_MAC, "overlay": ["10.1.2.0"], "subnets": ["10.1.2.0/24"]}
    host.ip("link add br0 type bridge")
    options = {"addresses": ["10.1.1.0"], "peers": [peer], "bridge": "br0", "flood": ["192.0.2.98"]}
    host.run_module("vxlan", wanted(host, **options))
    before = host.exec("sh", "-c", "ip route show; ip neigh show dev vx0; bridge fdb show dev vx0 | grep self")
    settles(host, {**wanted(host, **options, port=8472), "recreate": "allowed"})
    assert host.exec("sh", "-c", "ip route show; ip neigh show dev vx0; bridge fdb show dev vx0 | grep self") == before
    assert device(host)["master"] == "br0"


def test_two_devices_exchange_their_vnis_with_consent(host: Host) -> None:
    both = [{"name": f"vx{n}", "vni": n + 1, "local": host.address} for n in range(2)]
    host.run_module("vxlan", {"devices": both})
    both[0]["vni"], both[1]["vni"] = 2, 1
    settles(host, {"devices": both, "recreate": "allowed"})
    assert [attributes(host, f"vx{n}")["id"] for n in range(2)] == [2, 1]


@pytest.mark.parametrize(
    ("options", "mtu"),
    [
        ({}, 1350),
        ({"local": "2001:db8::11"}, 1330),
        ({"local": None, "device": "eth0"}, 1350),
        ({"local": None, "remote": "192.0.2.99"}, 1350),
        ({"local": None, "flood": ["192.0.2.99"]}, 1350),
        ({"mtu": 1300}, 1300),
    ],
)
def test_the_mtu_is_that_of_the_underlay_less_the_headers_unless_given(
    host: Host, options: dict[str, Any], mtu: int
) -> None:
    host.ip("link set eth0 mtu 1400")
    settles(host, wanted(host, **options))
    assert device(host)["mtu"] == mtu


def test_a_loopback_address_as_local_does_not_give_the_mtu_of_the_loopback(host: Host) -> None:
    host.ip("address add 198.51.100.1/32 dev lo")
    host.run_module("vxlan", wanted(host, local="198.51.100.1", flood=["192.0.2.99"]))
    assert device(host)["mtu"] == 1450


def test_the_mtu_follows_the_underlay(roomy: Host) -> None:
    roomy.ip("link set eth1 mtu 1400")
    roomy.run_module("vxlan", wanted(roomy, device="eth0"))
    for name, mtu in (("eth1", 1350), ("eth0", 1450)):
        settles(roomy, wanted(roomy, device=name))
        assert device(roomy)["mtu"] == mtu


def test_an_mtu_the_underlay_cannot_carry_is_refused(host: Host) -> None:
    refusal = host.run_module("vxlan", wanted(host, device="eth0", mtu=1500), failing=True)["msg"]
    assert refusal == "devices[0].mtu: 1500 is more than eth0 carries: 1500 less 50 of headers is 1450"


def test_an_mtu_that_nothing_tells_is_asked_for(host: Host) -> None:
    refusal = host.run_module("vxlan", wanted(host, local=None), failing=True)["msg"]
    assert refusal.startswith("devices[0].mtu: cannot be derived")


def test_a_device_joins_a_bridge_stays_in_it_unasked_and_leaves_it(host: Host) -> None:
    host.ip("link add br0 type bridge")
    settles(host, wanted(host, bridge="br0"))
    assert host.run_module("vxlan", wanted(host))["changed"] is False
    assert device(host)["master"] == "br0"
    settles(host, wanted(host, bridge=""))
    assert "master" not in device(host)


def test_what_the_host_does_not_have_is_refused_before_anything_is_touched(host: Host) -> None:
    devices = [
        {"name": "vx0", "vni": 1, "local": host.address},
        {"name": "vx1", "vni": 2, "local": "198.51.100.9"},
        {"name": "vx2", "vni": 3, "device": "eth9"},
        {"name": "vx3", "vni": 4, "local": host.address, "bridge": "br9"},
        {"name": "eth0", "vni": 5, "local": host.address},
        {
            "name": "vx5",
            "vni": 6,
            "local": host.address,
            "peers": [
                {"underlay": "192.0.2.9", "mac": GATEWAY_MAC, "overlay": ["10.1.1.1"], "subnets": ["192.0.2.0/24"]}
            ],
        },
    ]
    faults = host.run_module("vxlan", {"devices": devices}, failing=True)["msg"].splitlines()
    assert faults == [
        "devices[4].name: eth0 is there but no VXLAN device (veth)",
        "devices[1].local: 198.51.100.9 is no address of this host",
        "devices[2].device: there is no interface eth9",
        "devices[3].bridge: there is no bridge br9",
        "devices[5].peers[0].subnets[0]: 192.0.2.0/24 is a network of this host, on eth0",
    ]
    assert host.json("ip link show type vxlan") == []


def test_the_vni_of_another_device_is_refused_by_that_devices_name(host: Host) -> None:
    host.ip(f"link add other type vxlan id 100 local {host.address} dstport 4789")
    refusal = host.run_module("vxlan", wanted(host), failing=True)["msg"]
    assert refusal == "devices[0].vni: 100 at port 4789 belongs to other"


@pytest.mark.parametrize("option", ["external", "vnifilter"])
def test_a_device_without_a_vni_of_its_own_is_refused(host: Host, option: str) -> None:
    refusal = host.run_module("vxlan", wanted(host, **{option: True}), failing=True)["msg"]
    assert refusal.startswith(f"devices[0].{option}: a device whose VNI comes with each packet")


def test_an_external_device_of_that_name_is_made_anew_only_with_consent(host: Host) -> None:
    host.ip("link add vx0 type vxlan external dstport 4789")
    assert (
        "devices[0].external: true cannot become false" in host.run_module("vxlan", wanted(host), failing=True)["msg"]
    )
    settles(host, {**wanted(host), "recreate": "allowed"})
    assert attributes(host)["id"] == 100


def test_addresses_are_given_kept_unasked_and_taken_away(host: Host) -> None:
    settles(host, wanted(host, addresses=["10.1.0.1/24", "fd00:1::1/64", "10.9.9.9"]))
    seen = [f"{a['local']}/{a['prefixlen']}" for a in host.json("ip address show dev vx0")[0]["addr_info"]]
    assert [text for text in seen if not text.startswith("fe80")] == ["10.1.0.1/24", "10.9.9.9/32", "fd00:1::1/64"]
    assert host.run_module("vxlan", wanted(host))["changed"] is False
    settles(host, wanted(host, addresses=[]))
    left = host.json("ip address show dev vx0 scope global")
    assert not left or left[0]["addr_info"] == []


@pytest.mark.parametrize("promote", [0, 1])
def test_an_address_is_replaced_by_another_of_its_network(host: Host, promote: int) -> None:
    peer = {"underlay": "192.0.2.99", "mac": GATEWAY_MAC, "overlay": ["10.1.0.9"], "subnets": ["10.2.0.0/24"]}
    host.exec("sysctl", "-qw", f"net.ipv4.conf.all.promote_secondaries={promote}")
    host.run_module("vxlan", wanted(host, addresses=["10.1.0.1/24", "10.1.0.2/24"], peers=[peer]))
    host.ip("neighbour replace 10.1.0.77 lladdr 02:00:00:00:00:77 dev vx0 nud permanent")
    settles(host, wanted(host, addresses=["10.1.0.2/24", "10.1.0.3/24"], peers=[peer]))
    addresses = host.json("ip -4 address show dev vx0")[0]["addr_info"]
    assert sorted(a["local"] for a in addresses) == ["10.1.0.2", "10.1.0.3"]
    assert "02:00:00:00:00:77" in host.ip("neighbour show 10.1.0.77 dev vx0"), "the neighbour of somebody else"
    settles(host, wanted(host, addresses=["10.1.0.4/24"], peers=[peer]))
    assert "10.2.0.0/24 via 10.1.0.9" in host.ip("route show")


def test_a_device_goes_down_with_its_addresses_and_comes_up_with_its_peers(host: Host) -> None:
    peer = {"underlay": "192.0.2.99", "mac": GATEWAY_MAC, "overlay": ["10.1.2.0"], "subnets": ["10.1.2.0/24"]}
    addresses = ["10.1.1.0/32", "fd00:1::1/64"]
    host.run_module("vxlan", wanted(host, addresses=addresses, peers=[peer]))
    settles(host, wanted(host, addresses=addresses, up=False))
    assert "UP" not in device(host)["flags"]
    settles(host, wanted(host, addresses=addresses, peers=[peer]))
    assert "10.1.2.0/24" in host.ip("route show dev vx0")
    assert "fd00:1::1/64" in host.ip("address show dev vx0")


def test_the_mac_is_changed_and_the_neighbours_of_all_owners_stay(host: Host) -> None:
    peer = {"underlay": "192.0.2.99", "mac": GATEWAY_MAC, "overlay": ["10.1.2.0"], "subnets": ["10.1.2.0/24"]}
    host.run_module("vxlan", wanted(host, mac="02:00:00:00:00:01", peers=[peer]))
    host.ip("neighbour replace 10.7.7.7 lladdr 02:00:00:00:00:77 dev vx0 nud permanent")
    before = sorted(host.ip("neighbour show dev vx0").splitlines())
    settles(host, wanted(host, mac="02:00:00:00:00:05", peers=[peer]))
    assert device(host)["address"] == "02:00:00:00:00:05"
    assert sorted(host.ip("neighbour show dev vx0").splitlines()) == before


def test_the_entry_of_the_remote_follows_a_changed_underlay_device(roomy: Host) -> None:
    # The kernel itself leaves it at the former device.
    roomy.run_module("vxlan", wanted(roomy, device="eth0", remote="192.0.2.99"))
    settles(roomy, wanted(roomy, device="eth1", remote="192.0.2.99"))
    entries = roomy.bridge("fdb show dev vx0").splitlines()
    assert [entry.strip() for entry in entries] == ["00:00:00:00:00:00 dst 192.0.2.99 via eth1 self permanent"]


def test_a_group_is_joined_on_a_changed_underlay_device(roomy: Host) -> None:
    roomy.run_module("vxlan", wanted(roomy, device="eth0", group="239.1.1.1"))
    settles(roomy, wanted(roomy, device="eth1", group="239.1.1.1"))
    assert "239.1.1.1" in roomy.ip("maddress show dev eth1")
    assert "239.1.1.1" not in roomy.ip("maddress show dev eth0")


def test_a_remote_that_was_flooded_to_becomes_the_remote_and_back(host: Host) -> None:
    host.run_module("vxlan", wanted(host, flood=["192.0.2.98", "192.0.2.99"]))
    settles(host, wanted(host, remote="192.0.2.99", flood=["192.0.2.98", "192.0.2.99"]))
    assert host.bridge("fdb show dev vx0").count("192.0.2.99") == 1
    settles(host, wanted(host, flood=["192.0.2.98", "192.0.2.99"]))
    assert host.bridge("fdb show dev vx0").count("192.0.2.99") == 1


def test_devices_are_removed_and_a_second_run_finds_none(host: Host) -> None:
    host.run_module("vxlan", wanted(host, addresses=["10.1.1.0"]))
    settles(host, {"state": "absent", "devices": [{"name": "vx0"}, {"name": "vx1"}]})
    assert host.json("ip link show type vxlan") == []


def test_what_is_no_vxlan_device_is_not_removed(host: Host) -> None:
    refusal = host.run_module("vxlan", {"state": "absent", "devices": [{"name": "eth0"}]}, failing=True)["msg"]
    assert refusal == "devices[0].name: eth0 is there but no VXLAN device (veth)"
    assert "eth0" in host.ip("link show")


@pytest.mark.parametrize("version", ["iproute2-ss190107", "iproute2-4.20.0"])
def test_an_old_iproute2_is_named(network: Underlay, version: str) -> None:
    # A stand-in for `ip`: a release this old cannot be had here.
    host = network.add(1)[0]
    old = host.scratch / "ip"
    old.write_text(f"#!/bin/sh\necho 'ip utility, {version}'\n")
    old.chmod(0o755)
    refusal = host.run_module("vxlan", wanted(host), failing=True, path=str(host.scratch))["msg"]
    assert refusal == f"iproute2 5.0 or newer is needed: this is ip utility, {version}"
