"""Faults of the mesh, each between two other nodes, so that one run of verify tells the cause of all."""

from __future__ import annotations

from testing import lab
from testing.breakage import Breakage, Facts, broken, expect, known, whole

BREAKAGES = (
    Breakage(
        "an FDB entry is stale",
        "cp-1",
        "bridge fdb replace {mac2} dev vxlan-mesh dst {address3} self permanent",
        "bridge fdb replace {mac2} dev vxlan-mesh dst {address2} self permanent",
        "fdb-wrong",
        text=("vxlan-mesh sends packets for worker-2.lab.example to {address3}, not {address2}",),
    ),
    Breakage(
        "a firewall on the node drops the tunnel",
        "worker-3.lab.example",
        "nft add table inet breakage; nft 'add chain inet breakage in { type filter hook input priority 0; }';"
        " nft add rule inet breakage in ip saddr {address2} udp dport 4789 drop",
        "nft delete table inet breakage",
        "tunnel-blocked",
        text=("udp dport 4789 drop", "table inet breakage"),
    ),
    Breakage(
        "something between the nodes drops the tunnel",
        "worker-3.lab.example",
        # The tunnel's packets leave for a machine that is not there, as if a switch had swallowed them.
        "ip neigh replace {subnet}.99 lladdr 02:00:5e:00:53:63 dev eth0 nud permanent;"
        " ip route add {address1}/32 via {subnet}.99 dev eth0 onlink table 100;"
        " ip rule add to {address1} ipproto udp dport 4789 lookup 100",
        "ip rule del to {address1} ipproto udp dport 4789 lookup 100; ip route flush table 100;"
        " ip neigh del {subnet}.99 dev eth0",
        "tunnel-lost",
        text=("UDP 4789 leaves worker-3.lab.example and does not arrive at cp-1",),
    ),
)


# What fails of IPv6 alone.
OF_IPV6 = (
    Breakage(
        "IPv6 forwarding is off",
        "worker-3.lab.example",
        "sysctl -w net.ipv6.conf.all.forwarding=0",
        "sysctl -w net.ipv6.conf.all.forwarding=1",
        "forwarding-off",
        text=("IPv6 forwarding is off on worker-3.lab.example", "net.ipv6.conf.all.forwarding=1"),
    ),
    Breakage(
        "a rule drops IPv6 between pods of two nodes",
        "cp-1",
        "nft add table ip6 breakage; nft 'add chain ip6 breakage through { type filter hook forward priority 0; }';"
        " nft add rule ip6 breakage through ip6 saddr {subnet_v6_2} meta l4proto tcp drop",
        "nft delete table ip6 breakage",
        "firewall",
        text=("the rule 'ip6 saddr {subnet_v6_2} meta l4proto", "table ip6 breakage"),
    ),
)


def test_the_causes_are_told() -> None:
    mac = lab.inside("worker-2.lab.example", "cat /sys/class/net/vxlan-mesh/address").strip()
    facts = Facts({**known().values, "mac2": mac})
    with broken(BREAKAGES, facts):
        expect(BREAKAGES, facts)


def test_what_fails_of_ipv6_alone_leaves_ipv4_whole_and_has_its_cause() -> None:
    facts = known()
    with broken(OF_IPV6, facts):
        report = expect(OF_IPV6, facts)
    assert {pair["family"] for pair in report["pairs"] if not pair["ok"]} == {6}
    whole()
