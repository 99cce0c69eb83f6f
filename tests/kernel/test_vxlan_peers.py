"""Peers of VXLAN devices: traffic, what belongs to whom, edits by hand, and faults in a list."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import Host, batch
from ansible_collections.binary_cluster.networking.tests.kernel.vxlan_cases import (
    configuration,
    many_peers,
    member,
    mesh,
    peer,
    settles,
    vtep_mac,
)

Hosts = Callable[[int], list[Host]]


def one(host: Host, **options: Any) -> dict[str, Any]:
    """Arguments for a device with two peers that are not there."""
    peers = [peer(number, f"192.0.2.{number}") for number in (102, 103)]
    return {"devices": [{"name": "vx0", "vni": 7, "local": host.address, "peers": peers, **options}]}


@pytest.mark.parametrize("overlay_version", [4, 6])
@pytest.mark.parametrize("version", [4, 6])
def test_three_hosts_reach_each_others_pods(hosts: Hosts, version: int, overlay_version: int) -> None:
    members = hosts(3)
    for host in members:
        settles(host, member(host, members, version=version, overlay_version=overlay_version))
    for host in members:
        for other in members:
            address = f"10.244.{other.number}.0" if overlay_version == 4 else f"fd00:244:{other.number}::"
            assert host.pings(address), f"{host.number} -> {other.number}"


def test_both_ip_versions_of_pods_go_through_one_peer(hosts: Hosts) -> None:
    first, second = hosts(2)
    for host, other in ((first, second), (second, first)):
        both = [peer(other.number, other.address, version) for version in (4, 6)]
        overlay, subnets = ([entry for part in both for entry in part[key]] for key in ("overlay", "subnets"))
        params = member(host, [host, other])
        params["devices"][0]["addresses"] += [f"fd00:244:{host.number}::"]
        params["devices"][0]["peers"][0].update(overlay=overlay, subnets=subnets)
        settles(host, params)
    assert first.pings("10.244.2.0")
    assert first.pings("fd00:244:2::")


def test_the_derived_mtu_is_exactly_what_passes_unfragmented(hosts: Hosts) -> None:
    first, second = hosts(2)
    mesh([first, second])
    assert first.pings("10.244.2.0", "-M", "do", "-s", str(1450 - 28))
    assert not first.pings("10.244.2.0", "-M", "do", "-s", str(1450 - 27))


def test_hosts_behind_bridges_form_one_segment_by_flooding_and_learning(hosts: Hosts) -> None:
    members = hosts(3)
    for host in members:
        host.ip("link add br0 up type bridge")
        host.ip(f"address add 10.5.0.{host.number}/24 dev br0")
        flood = [other.address for other in members if other is not host]
        device = {"name": "vx0", "vni": 8, "local": host.address, "bridge": "br0", "flood": flood}
        settles(host, {"devices": [device]})
    for host in members:
        assert all(host.pings(f"10.5.0.{other.number}") for other in members)
    # What was learned meanwhile is no difference.
    assert members[0].run_module("vxlan", {"devices": [device | {"local": members[0].address, "flood": [
        other.address for other in members[1:]
    ]}]})["changed"] is False  # fmt: skip


def test_a_peer_that_left_goes_with_all_that_it_had(host: Host) -> None:
    host.run_module("vxlan", one(host))
    settles(host, one(host, peers=[peer(103, "192.0.2.103")]))
    assert not [line for line in configuration(host) if "102" in line]
    assert len([line for line in configuration(host) if "10.244.103.0" in line]) == 2


def test_a_peer_that_moved_is_followed_in_place(host: Host) -> None:
    host.run_module("vxlan", one(host))
    moved = {**peer(102, "192.0.2.55"), "overlay": ["10.244.102.1"]}
    result = settles(host, one(host, peers=[moved, peer(103, "192.0.2.103")]))
    assert result["actions"] == [
        f"change fdb {vtep_mac(102)} dev vx0 dst 192.0.2.55",
        f"add neighbour 10.244.102.1 lladdr {vtep_mac(102)} dev vx0 protocol 140",
        "change route 10.244.102.0/24 via 10.244.102.1 dev vx0 onlink protocol 140",
        f"remove neighbour 10.244.102.0 lladdr {vtep_mac(102)} dev vx0 protocol 140",
    ]


def test_lists_that_are_not_given_are_left_alone_and_empty_ones_are_emptied(host: Host) -> None:
    host.run_module("vxlan", one(host, flood=["192.0.2.104"], addresses=["10.244.1.0"]))
    before = configuration(host)
    bare = {"name": "vx0", "vni": 7, "local": host.address}
    assert host.run_module("vxlan", {"devices": [bare]})["changed"] is False
    assert configuration(host) == before
    settles(host, {"devices": [{**bare, "peers": [], "flood": [], "addresses": []}]})
    assert not [line for line in configuration(host) if "10.244." in line or " dst " in line]


def test_without_purge_nothing_that_is_stale_is_removed(host: Host) -> None:
    host.run_module("vxlan", one(host, flood=["192.0.2.104"]))
    before = configuration(host)
    params = {**one(host, peers=[], flood=[]), "purge": False}
    assert host.run_module("vxlan", params)["changed"] is False
    assert configuration(host) == before


FOREIGN = [
    "bridge fdb add 02:00:00:00:99:01 dev vx0 dst 192.0.2.99 self static",
    "bridge fdb add 02:00:00:00:99:02 dev vx0 dst 192.0.2.99 self permanent port 9999",
    "bridge fdb add 02:00:00:00:99:03 dev vx0 dst 192.0.2.99 self permanent vni 77",
    "bridge fdb add 02:00:00:00:99:04 dev vx0 dst 192.0.2.99 self permanent via eth0",
    "bridge fdb add 02:00:00:00:99:05 dev vx0 dst 192.0.2.99 self permanent extern_learn",
    "bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.99 self permanent port 9999",
    "bridge fdb add 02:00:00:00:99:06 dev vx0 dst 192.0.2.99 self dynamic",
    "ip neighbour add 10.99.0.1 lladdr 02:00:00:00:99:01 dev vx0 nud permanent",
    "ip neighbour add 10.99.0.2 lladdr 02:00:00:00:99:01 dev vx0 nud permanent protocol 80",
    "ip neighbour add fd00:99::1 lladdr 02:00:00:00:99:01 dev vx0 nud permanent",
    "ip neighbour add 10.99.0.3 lladdr 02:00:00:00:99:01 dev vx0 nud noarp",
    "ip route add 10.99.0.0/24 via 10.99.0.1 dev vx0 onlink",
    "ip route add 10.99.1.0/24 via 10.99.0.1 dev vx0 onlink protocol 80",
    "ip route add 10.99.2.0/24 via 10.99.0.1 dev vx0 onlink protocol 140 table 99",
    "ip route add 10.99.3.0/24 via 192.0.2.1 dev eth0 onlink protocol 140",
    "ip route add 10.244.102.0/24 via 10.99.0.1 dev vx0 onlink metric 50",
    "ip -6 route add fd00:99::/64 via fd00:99::1 dev vx0 onlink",
    "ip route add 10.99.4.0/24 protocol 140 nexthop via 10.99.0.1 dev vx0 onlink nexthop via 192.0.2.1 dev eth0",
]


def test_entries_of_others_are_left_alone(host: Host) -> None:
    params = one(host, flood=["192.0.2.104"])
    host.run_module("vxlan", params)
    for line in FOREIGN:
        host.exec(*line.split())
    with_foreign = configuration(host)
    assert host.run_module("vxlan", params)["changed"] is False
    settles(host, one(host, peers=[], flood=[]))
    left = configuration(host)
    assert [line for line in with_foreign if "99" in line] == [line for line in left if "99" in line]
    assert not [line for line in left if "proto 140" in line and "99" not in line]


EDITS = [
    "ip link set vx0 down",
    "ip link set vx0 mtu 1300",
    "ip link set vx0 address 02:00:00:00:00:66",
    "ip link set vx0 type vxlan ttl 3",
    "ip link set vx0 type vxlan learning",
    "ip link set vx0 type vxlan remote 192.0.2.66",
    "ip link set vx0 nomaster",
    "ip address flush dev vx0",
    "ip address add 10.66.0.1/24 dev vx0",
    "bridge fdb delete 02:00:00:00:00:66 dev vx0 dst 192.0.2.102 self",
    "bridge fdb replace 02:00:00:00:00:66 dev vx0 dst 192.0.2.66 self permanent",
    "bridge fdb replace 02:00:00:00:00:66 dev vx0 dst 192.0.2.102 self static",
    "bridge fdb add 02:00:00:00:66:66 dev vx0 dst 192.0.2.66 self permanent",
    "bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.66 self permanent",
    "bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.66 self static",
    "bridge fdb delete 00:00:00:00:00:00 dev vx0 dst 192.0.2.104 self",
    "ip neighbour delete 10.244.102.0 dev vx0",
    "ip neighbour replace 10.244.102.0 lladdr 02:00:00:00:66:66 dev vx0 nud permanent",
    "ip neighbour replace 10.244.102.0 lladdr 02:00:00:00:00:66 dev vx0 nud stale",
    "ip neighbour replace 10.66.0.1 lladdr 02:00:00:00:66:66 dev vx0 nud permanent protocol 140",
    "ip route delete 10.244.102.0/24",
    "ip route replace 10.244.102.0/24 via 192.0.2.1 dev eth0",
    "ip route replace blackhole 10.244.102.0/24",
    "ip route prepend 10.244.102.0/24 via 10.66.0.1 dev vx0 onlink",
    "ip route add 10.66.0.0/24 via 10.66.0.1 dev vx0 onlink protocol 140",
    "ip route append 10.244.102.0/24 via 10.66.0.1 dev vx0 onlink protocol 140",
    "ip link delete vx0",
]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_by_hand_is_repaired(host: Host, edit: str) -> None:
    host.ip("link add br0 type bridge")
    changed = {**peer(102, "192.0.2.102"), "mac": "02:00:00:00:00:66"}
    # A MAC that is given, as the one of a device that was deleted is gone with it.
    options = {"flood": ["192.0.2.104"], "addresses": ["10.244.1.0"], "bridge": "br0", "mac": vtep_mac(1)}
    params = one(host, peers=[changed, peer(103, "192.0.2.103")], learning=False, ttl="64", **options)
    host.run_module("vxlan", params)
    before = configuration(host)
    host.exec(*edit.split())
    assert configuration(host) != before
    settles(host, params)
    if "prepend" not in edit:  # here the route of somebody else stays, behind ours
        assert configuration(host) == before
    assert "via 10.244.102.0 dev vx0" in host.ip("route get 10.244.102.9")


def test_what_is_written_in_other_ways_is_the_same(host: Host) -> None:
    host.run_module("vxlan", one(host, flood=["192.0.2.104"], addresses=["10.244.1.0/32"], mac=vtep_mac(1)))
    peers = [
        {
            "underlay": "::ffff:192.0.2.102",
            "mac": vtep_mac(102).upper().replace(":", "-"),
            "overlay": ["::ffff:10.244.102.0", "10.244.102.0"],
            "subnets": ["10.244.102.77/24", "::ffff:10.244.102.0/120"],
        },
        peer(103, "192.0.2.103"),
        peer(102, "192.0.2.102"),
    ]
    params = one(
        host,
        peers=peers,
        local=f"::ffff:{host.address}",
        flood=["192.0.2.104", "::ffff:192.0.2.104", "192.0.2.104"],
        addresses=["10.244.1.0", "::ffff:10.244.1.0/128"],
        mac=vtep_mac(1).upper(),
        ttl="0",
        tos="0x0",
    )
    assert host.run_module("vxlan", params)["changed"] is False


def test_ipv6_is_compared_in_the_kernels_form(host: Host) -> None:
    peers = [
        {
            "underlay": "2001:DB8:0:0::0099",
            "mac": vtep_mac(9),
            "overlay": ["FD00:0:0:9:0:0:0:0"],
            "subnets": ["fd00:0:0:9::1/64", "::1.2.3.4/128", "64:ff9b::1.2.3.4/128", "2001:db8:0:1:1:1:1:1"],
        }
    ]
    settles(host, one(host, local="2001:DB8::0011", peers=peers, addresses=["fd00:0:0:1::0/128"]))


def test_all_faults_of_a_list_are_told_with_their_places(host: Host) -> None:
    peers: list[dict[str, Any]] = [
        peer(102, "192.0.2.102"),
        {"underlay": "192.0.2.300", "mac": vtep_mac(3)},
        {"underlay": "192.0.2.103", "mac": "02:00:00:00:00"},
        {"underlay": "192.0.2.103", "mac": "01:00:5e:00:00:01"},
        {"underlay": "192.0.2.103", "mac": "00:00:00:00:00:00"},
        {"underlay": "2001:db8::9", "mac": vtep_mac(9)},
        {"underlay": host.address, "mac": vtep_mac(9)},
        {"underlay": "192.0.2.55", "mac": vtep_mac(102)},
        {"underlay": "192.0.2.104", "mac": vtep_mac(104), "overlay": ["10.244.102.0"]},
        {"underlay": "192.0.2.105", "mac": vtep_mac(105), "subnets": ["10.244.105.0/24"]},
        {"underlay": "192.0.2.106", "mac": vtep_mac(106), "overlay": ["10.244.106.0"], "subnets": ["10.244.102.9/24"]},
        {"underlay": "192.0.2.107", "mac": vtep_mac(107), "overlay": ["10.244.107.0"], "subnets": ["10.244.107.0/40"]},
        {"underlay": "239.1.1.1", "mac": vtep_mac(108)},
    ]
    bad = {"name": "vx/0", "vni": 1, "local": host.address}
    params = one(host, peers=peers, port=0, ttl="300", port_range=[9, 8], flood=["x"], addresses=["10.0.0.1/33"])
    params["devices"] += [bad, {**bad, "name": "vx0", "vni": 0}, {**bad, "name": "vx2", "remote": "2001:db8::1"}]
    faults = host.run_module("vxlan", params, failing=True)["msg"].splitlines()
    assert faults == [
        "devices[0].port: 0 is not a number of 1 to 65535",
        "devices[0].ttl: '300' is not a number of 0 to 255",
        "devices[0].port_range: [9, 8] is not a lowest and a highest port",
        "devices[0].addresses[0]: '10.0.0.1/33' has no prefix length of 0 to 32",
        "devices[0].flood[0]: 'x' is no IP address",
        "devices[0].peers[1].underlay: '192.0.2.300' is no IP address",
        "devices[0].peers[2].mac: '02:00:00:00:00' is no MAC such as 02:00:0a:f4:01:00",
        "devices[0].peers[3].mac: 01:00:5e:00:00:01 is a multicast MAC, which no station has",
        "devices[0].peers[4].mac: the zero MAC belongs to no station; flooded packets go to those in `flood`",
        f"devices[0].peers[5].underlay: 2001:db8::9 is not of the device's IP version: "
        f"`local` or `remote` is {host.address}",
        f"devices[0].peers[6].underlay: {host.address} is this device's own `local`",
        f"devices[0].peers[7].mac: {vtep_mac(102)} leads to another underlay address in devices[0].peers[0].mac",
        "devices[0].peers[8].overlay[0]: 10.244.102.0 has another MAC in devices[0].peers[0].overlay[0]",
        "devices[0].peers[9].subnets[0]: 10.244.105.0/24 needs an `overlay` address of IPv4 to be routed through",
        "devices[0].peers[10].subnets[0]: 10.244.102.0/24 is routed to another peer in devices[0].peers[0].subnets[0]",
        "devices[0].peers[11].subnets[0]: '10.244.107.0/40' has no prefix length of 0 to 32",
        "devices[0].peers[12].underlay: 239.1.1.1 is not the address of one machine",
        "devices[1].name: 'vx/0' is no name of an interface: at most 15 letters, digits and ._+-",
        "devices[2].vni: 0 is not a number of 1 to 16777215",
        "devices[3].remote: 2001:db8::1 is not of the IP version of `local`, 192.0.2.11",
        "devices[2].name: vx0 is devices[0] too",
    ]
    assert host.json("ip link show type vxlan") == []


def test_changes_in_place_lose_no_packet(hosts: Hosts) -> None:
    first, second = hosts(2)
    mesh([first, second])
    assert first.pings("10.244.2.0")
    first.ip("address add 192.0.2.51/24 dev eth0")
    ping = first.background("ping", "-i", "0.005", "-w", "5", "-q", "10.244.2.0")
    try:
        changes: list[dict[str, Any]] = [
            {"ttl": "64", "tos": "0x10", "df": "set", "ageing": 30},
            {"learning": True, "mtu": 1400},
            {"device": "eth0"},
            {"local": "192.0.2.51"},
            {"flood": ["192.0.2.12", "192.0.2.99"]},
            {"addresses": ["10.244.1.0", "10.244.1.1"]},
        ]
        options: dict[str, Any] = {}
        for change in changes:
            options |= change
            params = member(first, [first, second], **options)
            # Peers come and go meanwhile.
            params["devices"][0]["peers"] += [peer(number, f"192.0.2.{number}") for number in range(100, 150)]
            assert first.run_module("vxlan", params)["changed"] is True
            assert first.run_module("vxlan", member(first, [first, second], **options))["changed"] is True
        told, _nothing = ping.communicate(timeout=20)
    finally:
        ping.kill()
    assert " 0% packet loss" in told, told
    assert int(told.split(" packets transmitted")[0].split()[-1]) > 500


def test_a_thousand_peers_are_reconciled_in_one_call(host: Host) -> None:
    took = {}
    for what, underlay, changed in (("full", 18, True), ("same", 18, False), ("moved", 19, True)):
        began = time.monotonic()
        result = host.run_module("vxlan", one(host, peers=many_peers(underlay, 1000), learning=False))
        took[what] = time.monotonic() - began
        assert result["changed"] is changed
        assert len(result["actions"]) == {"full": 3001, "same": 0, "moved": 1000}[what]
    assert host.bridge("fdb show dev vx0").count("dst 198.19.") == 1000
    assert host.ip("neighbour show dev vx0").count("PERMANENT") == 1000
    assert host.ip("route show dev vx0").count(" proto 140 ") == 1000
    # Of one process each, on a machine that does other things too; bench/peers.py has the figures.
    assert took["full"] < 5
    assert took["same"] < 3


def test_a_host_with_thousands_of_routes_of_others_keeps_them(host: Host) -> None:
    host.run_module("vxlan", one(host))
    batch(host, "ip", [f"route add 172.{16 + n // 256}.{n % 256}.0/24 dev eth0 protocol 80" for n in range(2000)])
    assert host.run_module("vxlan", one(host))["changed"] is False
    settles(host, one(host, peers=[]))
    assert host.ip("route show").count("proto 80") == 2000
