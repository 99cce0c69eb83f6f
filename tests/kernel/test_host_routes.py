"""Routes of one owner, and masquerading, on the real kernel."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import PYTHON, Host, Namespace
from ansible_collections.binary_cluster.networking.tests.kernel.vxlan_cases import settles

Hosts = Callable[[int], list[Host]]
MODULE = "host_routes"
TABLE = "binary-cluster-masquerade"


def to(number: int, gateway: str = "", **more: Any) -> dict[str, Any]:
    """A route to the pods of a host."""
    return {"destination": f"10.244.{number}.0/24", "gateway": gateway or f"192.0.2.{10 + number}", **more}


def shown(host: Host, protocol: int = 141) -> list[str]:
    """Routes of an owner."""
    lines = "".join(host.ip(f"-{family} route show table all proto {protocol}") for family in (4, 6))
    return sorted(line.strip() for line in lines.splitlines())


def ruleset(host: Host) -> str:
    return host.exec("nft", "--stateless", "list", "ruleset")


def test_routes_are_added_changed_and_removed(host: Host) -> None:
    settles(host, {"routes": [to(2), to(3), {"destination": "fd00:244:2::/64", "gateway": "2001:db8::12"}]}, MODULE)
    assert shown(host) == [
        "10.244.2.0/24 via 192.0.2.12 dev eth0",
        "10.244.3.0/24 via 192.0.2.13 dev eth0",
        "fd00:244:2::/64 via 2001:db8::12 dev eth0 metric 1024 pref medium",
    ]
    settles(host, {"routes": [to(2, "192.0.2.99"), to(4)]}, MODULE)
    assert shown(host) == ["10.244.2.0/24 via 192.0.2.99 dev eth0", "10.244.4.0/24 via 192.0.2.14 dev eth0"]
    settles(host, {"routes": []}, MODULE)
    assert shown(host) == []


def test_all_that_a_route_can_have_is_set_and_compared(host: Host) -> None:
    routes = [
        to(2, "198.51.100.1", device="eth0", onlink=True, metric=50, mtu=1400),
        to(3, table="77"),
        {"destination": "192.0.2.200/32", "device": "eth0"},
        {"destination": "10.244.4.0/24", "gateway": "192.0.2.14", "table": "default"},
        {"destination": "0.0.0.0/0", "gateway": "192.0.2.1", "table": "77"},
        {"destination": "fd00:244:3::/64", "gateway": "2001:db8:9::1", "device": "eth0", "onlink": True, "metric": 7},
        {"destination": "fd00:244:4::/64", "gateway": "fe80::1", "device": "eth0", "mtu": 1300},
    ]
    settles(host, {"routes": routes}, MODULE)
    assert shown(host) == [
        "10.244.2.0/24 via 198.51.100.1 dev eth0 metric 50 onlink mtu 1400",
        "10.244.3.0/24 via 192.0.2.13 dev eth0 table 77",
        "10.244.4.0/24 via 192.0.2.14 dev eth0 table default",
        "192.0.2.200 dev eth0 scope link",
        "default via 192.0.2.1 dev eth0 table 77",
        "fd00:244:3::/64 via 2001:db8:9::1 dev eth0 metric 7 onlink pref medium",
        "fd00:244:4::/64 via fe80::1 dev eth0 metric 1024 mtu 1300 pref medium",
    ]
    routes[0]["mtu"] = None
    settles(host, {"routes": routes}, MODULE)
    assert "mtu 1400" not in "".join(shown(host))


def test_a_gateway_may_be_on_a_network_that_another_route_leads_to(host: Host) -> None:
    routes = [to(2, "198.51.100.7"), {"destination": "198.51.100.0/24", "device": "eth0"}]
    settles(host, {"routes": routes}, MODULE)
    assert "10.244.2.0/24 via 198.51.100.7 dev eth0" in shown(host)


def test_hosts_reach_the_pods_behind_each_other(hosts: Hosts) -> None:
    members = hosts(2)
    for host, other in zip(members, reversed(members)):
        host.ip(f"address add 10.244.{host.number}.1/24 dev lo")
        settles(host, {"routes": [to(other.number, other.address)]}, MODULE)
    assert members[0].pings("10.244.2.1", "-I", "10.244.1.1")


def test_what_is_written_in_other_ways_is_the_same(host: Host) -> None:
    host.run_module(MODULE, {"routes": [to(2)]})
    same = [
        {"destination": "10.244.2.99/24", "gateway": "::ffff:192.0.2.12"},
        {"destination": "::ffff:10.244.2.0/120", "gateway": "192.0.2.12", "device": "eth0", "metric": 0},
        {"destination": "10.244.2.0/24", "gateway": "192.0.2.12", "table": "254"},
    ]
    assert host.run_module(MODULE, {"routes": same})["changed"] is False


def test_routes_of_others_are_left_alone(host: Host) -> None:
    for line in (
        "route add 10.99.0.0/24 via 192.0.2.1",
        "route add 10.99.1.0/24 via 192.0.2.1 protocol 140",
        "route add 10.244.2.0/24 via 192.0.2.1 metric 99",
        "route add 10.244.2.0/24 via 192.0.2.1 table 99",
    ):
        host.ip(line)
    others = [line for line in host.ip("route show table all").splitlines() if "192.0.2.1 " in line]
    host.run_module(MODULE, {"routes": [to(2), to(3)]})
    settles(host, {"routes": []}, MODULE)
    assert [line for line in host.ip("route show table all").splitlines() if "192.0.2.1 " in line] == others


def test_two_owners_keep_out_of_each_others_way(host: Host) -> None:
    settles(host, {"routes": [to(2)]}, MODULE)
    settles(host, {"routes": [to(3)], "protocol": 142}, MODULE)
    settles(host, {"state": "absent"}, MODULE)
    assert shown(host) == []
    assert shown(host, 142) == ["10.244.3.0/24 via 192.0.2.13 dev eth0"]


def test_without_purge_stale_routes_stay_and_unset_routes_are_left(host: Host) -> None:
    host.run_module(MODULE, {"routes": [to(2)]})
    settles(host, {"routes": [to(3)], "purge": False}, MODULE)
    assert len(shown(host)) == 2
    assert host.run_module(MODULE, {})["changed"] is False
    assert len(shown(host)) == 2


@pytest.mark.parametrize(
    "edit",
    [
        "route delete 10.244.2.0/24",
        "route replace 10.244.2.0/24 via 192.0.2.66",
        "route replace unreachable 10.244.2.0/24",
        "route prepend 10.244.2.0/24 via 192.0.2.66",
        "route append 10.244.2.0/24 via 192.0.2.66 protocol 141",
        "route add 10.66.0.0/24 via 192.0.2.66 protocol 141",
        "route replace 10.244.2.0/24 nexthop via 192.0.2.66 nexthop via 192.0.2.67",
        "route add 10.66.0.0/24 protocol 141 nexthop via 192.0.2.66 nexthop via 192.0.2.67",
        "-6 route append fd00:244:2::/64 via 2001:db8::66",
        "-6 route replace fd00:244:2::/64 via 2001:db8::66",
    ],
)
def test_an_edit_by_hand_is_repaired(host: Host, edit: str) -> None:
    params = {"routes": [to(2), {"destination": "fd00:244:2::/64", "gateway": "2001:db8::12"}]}
    host.run_module(MODULE, params)
    before = shown(host)
    host.ip(edit)
    settles(host, params, MODULE)
    assert shown(host) == before


def test_a_table_is_taken_by_its_name(host: Host) -> None:
    faults = host.run_module(MODULE, {"routes": [to(2, table="nobody")]}, failing=True)["msg"]
    assert faults == "routes[0].table: 'nobody' is neither a number nor a name in rt_tables"


def test_all_faults_are_told_with_their_places_and_nothing_is_touched(host: Host) -> None:
    routes = [
        to(2),
        {"destination": "10.244.3.0/33", "gateway": "192.0.2.13"},
        {"destination": "10.244.3.0/24"},
        {"destination": "10.244.3.0/24", "gateway": "2001:db8::1"},
        {"destination": "10.244.3.0/24", "gateway": "192.0.2.13", "onlink": True},
        {"destination": "fd00:1::/64", "gateway": "fe80::1"},
        {"destination": "10.244.5.0/24", "gateway": "192.0.2.15", "mtu": 9},
        {"destination": "10.244.6.0/24", "gateway": "192.0.2.16", "metric": -1},
        {"destination": "0.0.0.0/0", "gateway": "192.0.2.17"},
        {"destination": "127.0.0.0/8", "gateway": "192.0.2.17"},
    ]
    params = {"routes": routes, "protocol": 4, "masquerade": {"pods": ["10.244.0.0/99"]}, "masquerade_table": "a b"}
    assert host.run_module(MODULE, params, failing=True)["msg"].splitlines() == [
        "protocol: 4 is not a number of 5 to 255",
        "masquerade_table: 'a b' is no name of a table",
        "routes[1].destination: '10.244.3.0/33' has no prefix length of 0 to 32",
        "routes[2]: 10.244.3.0/24 needs a `gateway`, a `device` or both",
        "routes[3].gateway: 2001:db8::1 is not of the IP version of 10.244.3.0/24",
        "routes[4].onlink: needs `gateway` and `device`",
        "routes[5].device: needed, as fe80::1 is link-local",
        "routes[6].mtu: 9 is not a number of 68 to 65535",
        "routes[7].metric: -1 is not a number of 0 to 4294967295",
        "routes[8].destination: 0.0.0.0/0 is everything: this host's own way out would be gone",
        "routes[9].destination: 127.0.0.0/8 has addresses that are on no other host: loopback, multicast, or reserved",
        "masquerade.pods[0]: '10.244.0.0/99' has no prefix length of 0 to 32",
    ]
    assert shown(host) == []


def test_what_the_host_does_not_allow_is_refused_before_anything_is_touched(host: Host) -> None:
    host.ip("link add cni0 up type bridge")
    host.ip("address add 10.244.1.1/24 dev cni0")
    routes = [
        to(2),
        to(3, "198.51.100.1"),
        to(4, device="cni0"),
        to(5, device="eth9"),
        to(6, host.address),
        to(1, "192.0.2.99"),
        {"destination": "10.244.2.7/24", "gateway": "192.0.2.99"},
        {"destination": "192.0.2.0/24", "gateway": "192.0.2.12"},
    ]
    assert host.run_module(MODULE, {"routes": routes}, failing=True)["msg"].splitlines() == [
        "routes[1].gateway: 198.51.100.1 is on no network of this host; with `device` and `onlink` it need not be",
        "routes[2].gateway: 192.0.2.14 is on no network of cni0; with `device` and `onlink` it need not be",
        "routes[3].device: there is no interface eth9",
        "routes[4].gateway: 192.0.2.11 is an address of this host itself",
        "routes[6].destination: 10.244.2.0/24 is routed in another way in routes[0]",
        "routes[5].destination: 10.244.1.0/24 is a network of this host, on cni0",
        "routes[7].destination: 192.0.2.0/24 is a network of this host, on eth0",
    ]
    assert shown(host) == []


def test_a_refused_route_undoes_all_before_it(host: Host) -> None:
    host.run_module(MODULE, {"routes": [to(2), to(9)]})
    host.ip("route add 10.244.3.0/24 via 192.0.2.66")
    host.ip("link add down0 type veth peer name down1")
    before = host.ip("route show")
    masquerade = {"pods": ["10.244.0.0/16"]}
    bad = to(7, "203.0.113.1", device="down0", onlink=True)
    params = {"routes": [to(2, "192.0.2.99"), to(3), to(4), bad, to(5)], "masquerade": masquerade}
    result = host.run_module(MODULE, params, failing=True)
    assert result["msg"].startswith(
        "routes[3]: add route 10.244.7.0/24 via 203.0.113.1 dev down0 onlink protocol 141: "
    )
    assert "is not up" in result["msg"] or "Network is down" in result["msg"]
    assert result["msg"].endswith("What was begun is undone.")
    assert result["left"] == []
    assert host.ip("route show") == before
    assert ruleset(host) == ""


def test_routes_are_undone_where_nftables_refuses_the_table(host: Host) -> None:
    # A stand-in that garbles the script, as nothing makes a real nft refuse a right one.
    stand_in = host.scratch / "nft"
    stand_in.write_text(
        '#!/bin/sh\n[ "$1" = --file ] && cat >/dev/null && exec /usr/sbin/nft "list nonsense"\n'
        'exec /usr/sbin/nft "$@"\n'
    )
    stand_in.chmod(0o755)
    params = {"routes": [to(2)], "masquerade": {"pods": ["10.244.0.0/16"]}}
    result = host.run_module(MODULE, params, failing=True, path=str(host.scratch))
    assert "syntax error" in result["msg"]
    assert result["left"] == []
    assert shown(host) == []


def test_the_table_is_made_changed_and_removed_and_others_stay(host: Host) -> None:
    host.exec("nft", "add table inet theirs { chain c { type filter hook input priority 0; policy accept; } ; }")
    host.exec("nft", "add table ip nat { chain POSTROUTING { type nat hook postrouting priority 100; } ; }")
    theirs = ruleset(host)
    settles(host, {"masquerade": {"pods": ["10.244.0.0/16"], "networks": ["10.96.0.0/12", "192.0.2.9"]}}, MODULE)
    assert "elements = { 10.96.0.0/12, 10.244.0.0/16" in ruleset(host)
    settles(host, {"masquerade": {"pods": ["10.244.0.0/16", "fd00:244::/48"]}}, MODULE)
    assert "ip6 saddr @pods6 masquerade fully-random" in ruleset(host)
    assert host.run_module(MODULE, {"routes": []})["changed"] is False
    settles(host, {"masquerade": {"pods": []}}, MODULE)
    assert ruleset(host) == theirs
    host.run_module(MODULE, {"masquerade": {"pods": ["10.244.0.0/16"]}})
    settles(host, {"state": "absent"}, MODULE)
    assert ruleset(host) == theirs


def test_networks_that_overlap_or_adjoin_are_one(host: Host) -> None:
    wide = ["10.244.0.0/24", "10.244.1.0/24", "10.244.0.0/25", "10.244.1.7"]
    settles(host, {"masquerade": {"pods": wide, "networks": ["10.244.1.9/24", "::ffff:10.244.0.0/120"]}}, MODULE)
    assert ruleset(host).count("10.244.0.0/23") == 2
    assert host.run_module(MODULE, {"masquerade": {"pods": ["10.244.0.0/23"]}})["changed"] is False


@pytest.mark.parametrize(
    "edit",
    [
        f"flush table inet {TABLE}",
        f"delete table inet {TABLE}",
        f"add element inet {TABLE} networks4 {{ 203.0.113.0/24 }}",
        f"delete element inet {TABLE} pods4 {{ 10.244.0.0/16 }}",
        f"add rule inet {TABLE} postrouting counter",
        f"insert rule inet {TABLE} postrouting accept",
        f"add chain inet {TABLE} more",
        f"add set inet {TABLE} more {{ type ipv4_addr; }}",
        f"add chain inet {TABLE} postrouting {{ policy drop; }}",
        f"add table inet {TABLE} {{ flags dormant; }}",
    ],
)
def test_a_table_changed_by_hand_is_written_anew(host: Host, edit: str) -> None:
    params = {"masquerade": {"pods": ["10.244.0.0/16"], "networks": ["10.96.0.0/12"]}}
    host.run_module(MODULE, params)
    before = ruleset(host)
    host.exec("nft", edit)
    edited = ruleset(host)
    assert edited != before
    # What was changed by hand comes back with all else, should something be refused.
    host.ip("link add down0 type veth peer name down1")
    bad = to(7, "203.0.113.1", device="down0", onlink=True)
    host.run_module(MODULE, {**params, "routes": [bad]}, failing=True)
    assert ruleset(host) == edited
    settles(host, params, MODULE)
    assert ruleset(host) == before


@pytest.fixture
def world(hosts: Hosts) -> Iterator[tuple[Host, Namespace, Host]]:
    """A node that forwards, a pod of it, and a host outside that knows no pods."""
    node, outside = hosts(2)
    pod = Namespace("pod")
    try:
        node.ip(f"link add pod0 type veth peer name eth0 netns {pod.name}")
        node.ip("address add 10.244.1.1/24 dev pod0")
        node.ip("link set pod0 up")
        pod.ip("address add 10.244.1.7/24 dev eth0")
        pod.ip("link set eth0 up")
        pod.ip("route add default via 10.244.1.1")
        node.exec("sysctl", "-qw", "net.ipv4.ip_forward=1")
        yield node, pod, outside
    finally:
        pod.remove()


@contextlib.contextmanager
def sources(host: Host) -> Iterator[Callable[[], str]]:
    """Tells from which address the next UDP packet to port 9999 came."""
    listen = (
        "import socket; s = socket.socket(2, 2); s.bind(('', 9999)); s.settimeout(5); print('on', flush=True); "
        "print(s.recvfrom(9)[1][0], flush=True)"
    )
    listener = host.background(PYTHON, "-c", listen)
    try:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "on\n"
        yield listener.stdout.readline
    finally:
        listener.kill()
        listener.wait()


def source_seen(pod: Namespace, outside: Host, address: str) -> str:
    """The source that a host outside sees of a packet from the pod."""
    with sources(outside) as told:
        send = f"import socket; socket.socket(2,2).sendto(b'x',('{address}',9999))"
        pod.exec(PYTHON, "-c", send)
        return told().strip()


def test_pods_leave_the_cluster_with_the_address_of_their_node_and_keep_theirs_inside(
    world: tuple[Host, Namespace, Host],
) -> None:
    node, pod, outside = world
    outside.ip("address add 10.96.0.1/32 dev eth0")
    inside = {"destination": "10.96.0.0/12", "gateway": outside.address}
    node.run_module(MODULE, {"routes": [inside]})
    assert source_seen(pod, outside, outside.address) == "10.244.1.7"
    node.run_module(MODULE, {"masquerade": {"pods": ["10.244.0.0/16"], "networks": ["10.96.0.0/12"]}})
    assert source_seen(pod, outside, outside.address) == node.address
    assert source_seen(pod, outside, "10.96.0.1") == "10.244.1.7"


def test_a_thousand_routes_are_reconciled_in_one_call(host: Host) -> None:
    routes = [
        {"destination": f"10.{n >> 8}.{n & 255}.0/24", "gateway": f"192.0.2.{100 + n % 100}"} for n in range(1000)
    ]
    took = {}
    for what, changed in (("full", True), ("same", False)):
        began = time.monotonic()
        assert host.run_module(MODULE, {"routes": routes})["changed"] is changed
        took[what] = time.monotonic() - began
    assert len(shown(host)) == 1000
    assert took["full"] < 5
    assert took["same"] < 3
