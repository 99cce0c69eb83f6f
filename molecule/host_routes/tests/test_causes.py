"""Faults of plain routes, each between two other nodes, so that one run of verify tells the cause of all."""

from __future__ import annotations

from testing.breakage import Breakage, broken, checksums_written, expect, known, whole

BREAKAGES = (
    Breakage(
        "a route leads to a machine that is none of the nodes",
        "cp-1",
        "ip route show {subnet2} > /run/breakage; ip route replace {subnet2} via {subnet}.1 dev eth0",
        "ip route del {subnet2}; ip route add $(cat /run/breakage); rm /run/breakage",
        "route-wrong",
        text=("{subnet}.1, which is not worker-2.lab.example ({address2})",),
    ),
    Breakage(
        "a firewall drops what is forwarded",
        "worker-3.lab.example",
        "nft add table ip breakage; nft 'add chain ip breakage passing { type filter hook forward priority 5; }';"
        " nft add rule ip breakage passing ip saddr {subnet2} ip daddr {subnet3} drop",
        "nft delete table ip breakage",
        "firewall",
        text=("ip saddr {subnet2} ip daddr {subnet3} drop", "chain passing"),
    ),
    Breakage(
        "the underlay between two nodes is cut",
        "worker-3.lab.example",
        # A route would not do: pods' packets have cp-1 for their next hop already.
        "ip neigh replace {address1} lladdr 02:00:5e:00:53:63 dev eth0 nud permanent",
        "ip neigh del {address1} dev eth0",
        "underlay-unreachable",
        blamed="cp-1",
        text=("cp-1 and worker-3.lab.example", "do not reach each other"),
    ),
)

FILTERED = (
    Breakage(
        "ICMP is filtered between two nodes, that of pods too",
        "cp-1",
        # It leaves for a machine that is not there, as if a switch had swallowed it.
        "ip neigh replace {subnet}.99 lladdr 02:00:5e:00:53:63 dev eth0 nud permanent;"
        " for to in {address2} {subnet2}; do ip route add $to via {subnet}.99 dev eth0 onlink table 100;"
        " ip rule add to $to ipproto icmp lookup 100; done",
        "for to in {address2} {subnet2}; do ip rule del to $to ipproto icmp lookup 100; done; ip route flush table 100;"
        " ip neigh del {subnet}.99 dev eth0",
        "icmp-filtered",
        text=("worker-2.lab.example answers at tcp/22: ICMP is filtered between them",),
    ),
)

CHECKSUMS = (
    Breakage(
        "the pods' checksums are wrong",
        "worker-2.lab.example",
        "nft add table netdev breakage;"
        " nft 'add chain netdev breakage in { type filter hook ingress device eth0 priority 0; }';"
        " nft add rule netdev breakage in ip saddr {subnet1} tcp checksum set 0xdead;"
        " nft add rule netdev breakage in ip saddr {subnet1} udp checksum set 0xdead",
        "nft delete table netdev breakage",
        "checksum",
        text=("the pods' packets arrive at worker-2.lab.example with wrong checksums", "ethtool -K eth0"),
    ),
)


def test_the_causes_are_told() -> None:
    facts = known()
    with broken(BREAKAGES, facts):
        expect(BREAKAGES, facts)


def test_what_fails_where_icmp_is_filtered_is_told_as_that() -> None:
    facts = known()
    with broken(FILTERED, facts):
        report = expect(FILTERED, facts)
    assert {pair["protocol"] for pair in report["pairs"] if not pair["ok"]} == {"icmp", "mtu", "node", "host"}


def test_wrong_checksums_are_told_where_echoes_are_answered() -> None:
    facts = known()
    with checksums_written(["cp-1"]), broken(CHECKSUMS, facts):
        report = expect(CHECKSUMS, facts)
    assert {pair["protocol"] for pair in report["pairs"] if not pair["ok"]} == {"tcp", "udp", "http", "bulk"}
    whole()
