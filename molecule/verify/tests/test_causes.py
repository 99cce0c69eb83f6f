"""Each fault is made by hand in the lab, and verify names exactly that fault, on that node, with its cure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import pytest

from testing import lab
from testing.breakage import Breakage, Facts, broken, checksums_written, expect, known, when_it_listens, whole

NODES = ("cp-1", "worker-2.lab.example", "worker-3.lab.example")
REPAIR = "systemctl restart flanneld"


def tunnel_of_node2(vni: int, port: int) -> str:
    """Commands that replace flannel's tunnel by another, with entries for cp-1, while flanneld is frozen."""
    return (
        "systemctl kill --signal=STOP flanneld; ip link del flannel.1;"
        f" ip link add flannel.1 address {{mac2}} mtu 1450 type vxlan id {vni} dev eth0"
        f" local {{address2}} dstport {port} nolearning;"
        " ip addr add {vtep2}/32 dev flannel.1; ip link set flannel.1 up;"
        " for n in '{vtep1} {mac1} {address1} {subnet1}' '{vtep3} {mac3} {address3} {subnet3}'; do set -- $n;"
        " ip neigh add $1 lladdr $2 dev flannel.1 nud permanent;"
        " bridge fdb append $2 dev flannel.1 dst $3 self permanent;"
        " ip route add $4 via $1 dev flannel.1 onlink; done"
    )


# Faults of one node: its ways to both others are broken.
WIDE = (
    Breakage(
        "a lease is gone from etcd",
        "worker-2.lab.example",
        # flanneld of worker-2.lab.example is frozen, so that it does not take its lease anew.
        "systemctl kill --signal=STOP flanneld; set -a; . /etc/etcd/etcdctl.env;"
        " etcdctl del /coreos.com/network/subnets/{key2}; sleep 1",
        "systemctl kill --signal=CONT flanneld; systemctl restart flanneld; sleep 1",
        "lease-missing",
    ),
    Breakage(
        "the tunnel has another VNI",
        "worker-2.lab.example",
        tunnel_of_node2(vni=7, port=8472),
        f"systemctl kill --signal=CONT flanneld; ip link del flannel.1; {REPAIR}",
        "vni-mismatch",
    ),
    Breakage(
        "the tunnel has another port",
        "worker-2.lab.example",
        tunnel_of_node2(vni=1, port=4789),
        f"systemctl kill --signal=CONT flanneld; ip link del flannel.1; {REPAIR}",
        "port-mismatch",
    ),
    Breakage(
        "the tunnel is down",
        "worker-2.lab.example",
        "ip link set flannel.1 down",
        f"ip link set flannel.1 up; {REPAIR}",
        "tunnel-down",
    ),
    Breakage(
        "a daemon died with its tunnel",
        "worker-2.lab.example",
        "systemctl stop flanneld; ip link del flannel.1",
        "systemctl start flanneld",
        "daemon-down",
        text=("flanneld does not run", "its last words"),
    ),
    Breakage(
        "forwarding is off",
        "worker-2.lab.example",
        "sysctl -qw net.ipv4.ip_forward=0",
        "sysctl -qw net.ipv4.ip_forward=1",
        "forwarding-off",
    ),
    Breakage(
        "a file of somebody else resets forwarding",
        "worker-2.lab.example",
        "echo net.ipv4.ip_forward=0 > /etc/sysctl.d/99-hardening.conf; sysctl -qp /etc/sysctl.d/99-hardening.conf",
        "rm /etc/sysctl.d/99-hardening.conf; sysctl -qw net.ipv4.ip_forward=1",
        "forwarding-reset",
        text=("/etc/sysctl.d/99-hardening.conf",),
    ),
    Breakage(
        "the policy of FORWARD drops",
        "worker-2.lab.example",
        "nft add table ip breakage;"
        " nft 'add chain ip breakage FORWARD { type filter hook forward priority 5; policy drop; }'",
        "nft delete table ip breakage",
        "firewall",
        text=("the policy of chain FORWARD of table ip breakage",),
    ),
    Breakage(
        "the tunnel carries less than the pods send",
        "worker-2.lab.example",
        "ip link set flannel.1 mtu 1300",
        "ip link set flannel.1 mtu 1450",
        "mtu",
        text=("flannel.1 of worker-2.lab.example carries 1300 bytes", "1450"),
    ),
    Breakage(
        "the underlay carries less than the tunnel needs",
        "worker-2.lab.example",
        "ip link set eth0 mtu 1400",
        "ip link set eth0 mtu 1500",
        "mtu",
        text=("eth0 of worker-2.lab.example carries 1400 bytes",),
    ),
    Breakage(
        "the CNI configuration is gone",
        "worker-2.lab.example",
        "mv /etc/cni/net.d/10-flannel.conflist /root/",
        "mv /root/10-flannel.conflist /etc/cni/net.d/",
        "pod-missing",
        text=("/etc/cni/net.d: there is no network configuration",),
    ),
    Breakage(
        "the CNI configuration is shadowed by another file",
        "worker-2.lab.example",
        """printf '{"cniVersion": "1.0.0", "name": "other", "plugins": [{"type": "bridge", "bridge": "other0", """
        """"isGateway": true, "isDefaultGateway": true, "ipam": {"type": "host-local", "subnet": "10.99.0.0/24"}}]}' """
        "> /etc/cni/net.d/00-other.conflist",
        "rm /etc/cni/net.d/00-other.conflist; ip link del other0; rm -r /var/lib/cni/networks/other",
        "cni-shadowed",
        text=("/etc/cni/net.d/00-other.conflist", "the others' flannel"),
    ),
    Breakage(
        "a pod loses its interface",
        "worker-2.lab.example",
        when_it_listens("probe-worker-2.lab.example", "ip -n probe-worker-2.lab.example link del eth0"),
        "true",
        "pod-missing",
        text=("lost eth0",),
    ),
    Breakage(
        "the other end of a pod's interface is down",
        "worker-2.lab.example",
        when_it_listens(
            "probe-worker-2.lab.example", "ip link set $(ip -br link show master cni0 | grep -o ^veth[0-9a-f]*) down"
        ),
        "true",
        "pod-link-down",
        text=("the other end of the interface of probe-worker-2.lab.example, is down",),
    ),
    Breakage(
        "the bridge of a node's pods is gone",
        "worker-2.lab.example",
        when_it_listens("probe-worker-2.lab.example", "ip link del cni0"),
        "true",
        "pod-detached",
        text=("the bridge of its pods is gone",),
    ),
    Breakage(
        "a pod has no default route",
        "worker-2.lab.example",
        when_it_listens("probe-worker-2.lab.example", "ip -n probe-worker-2.lab.example route del default"),
        "true",
        "pod-route-missing",
        text=("probe-worker-2.lab.example has no default route",),
    ),
    Breakage(
        "the tunnel is gone, and the daemon does not see it",
        "worker-2.lab.example",
        "systemctl kill --signal=STOP flanneld; ip link del flannel.1",
        f"systemctl kill --signal=CONT flanneld; {REPAIR}",
        "tunnel-missing",
        text=("worker-2.lab.example has no VXLAN device with the address {vtep2}",),
    ),
    Breakage(
        "a route leads a node's own pods elsewhere",
        "worker-2.lab.example",
        "ip route add {vtep2}/25 dev eth0",
        "ip route del {vtep2}/25 dev eth0",
        "source-not-own",
        text=("the firewall of worker-2.lab.example drops packets of pods", "leads through eth0"),
    ),
    Breakage(
        "two nodes have the same pod network",
        "worker-2.lab.example",
        "sed -i 's#^FLANNEL_SUBNET=.*#FLANNEL_SUBNET={gateway1}#' /run/flannel/subnet.env; ip link del cni0",
        f"ip link del cni0; rm -rf /var/lib/cni/networks/flannel; {REPAIR}",
        "duplicate-subnet",
        text=("{subnet1} is on cp-1 and worker-2.lab.example",),
    ),
)

# Faults between two nodes, cp-1 and worker-2.lab.example.
LOCAL = (
    Breakage(
        "a firewall on the node drops the tunnel",
        "worker-2.lab.example",
        "nft add table inet breakage; nft 'add chain inet breakage in { type filter hook input priority 0; }';"
        " nft add rule inet breakage in ip saddr {address1} udp dport 8472 drop",
        "nft delete table inet breakage",
        "tunnel-blocked",
        text=("udp dport 8472 drop", "table inet breakage"),
    ),
    Breakage(
        "something between the nodes drops the tunnel",
        "cp-1",
        # The tunnel's packets leave for a machine that is not there, as if a switch had swallowed them.
        "ip neigh replace {subnet}.99 lladdr 02:00:5e:00:53:63 dev eth0 nud permanent;"
        " ip route add {address2}/32 via {subnet}.99 dev eth0 onlink table 100;"
        " ip rule add to {address2} ipproto udp dport 8472 lookup 100",
        "ip rule del to {address2} ipproto udp dport 8472 lookup 100; ip route flush table 100;"
        " ip neigh del {subnet}.99 dev eth0",
        "tunnel-lost",
        text=("UDP 8472 leaves cp-1 and does not arrive at worker-2.lab.example",),
    ),
    Breakage("a route is missing", "cp-1", "ip route del {subnet2}", REPAIR, "route-missing", text=("{subnet2}",)),
    Breakage(
        "a route leads to the wrong node",
        "cp-1",
        # Another node would only forward it.
        "ip route replace {subnet2} via {subnet}.1 dev eth0",
        f"ip route del {{subnet2}}; {REPAIR}",
        "route-wrong",
        text=("{subnet}.1", "not worker-2.lab.example"),
    ),
    Breakage(
        "a route is a stale blackhole",
        "cp-1",
        "ip route del {subnet2}; ip route add blackhole {subnet2}",
        f"ip route del blackhole {{subnet2}}; {REPAIR}",
        "route-missing",
    ),
    Breakage(
        "an FDB entry is missing",
        "cp-1",
        "bridge fdb del {mac2} dev flannel.1 dst {address2}",
        REPAIR,
        "fdb-missing",
        text=("{mac2}",),
    ),
    Breakage(
        "an FDB entry is stale",
        "cp-1",
        "bridge fdb replace {mac2} dev flannel.1 dst {address3} self permanent",
        f"bridge fdb del {{mac2}} dev flannel.1; {REPAIR}",
        "fdb-wrong",
        text=("{address3}, not {address2}",),
    ),
    Breakage("a neighbour is missing", "cp-1", "ip neigh del {vtep2} dev flannel.1", REPAIR, "neighbour-missing"),
    Breakage(
        "a neighbour has the MAC of a VTEP that is no more",
        "cp-1",
        "ip neigh replace {vtep2} lladdr 02:00:5e:00:53:99 dev flannel.1 nud permanent",
        REPAIR,
        "vtep-mac-mismatch",
        text=("02:00:5e:00:53:99", "{mac2}"),
    ),
    Breakage(
        "a rule of iptables drops",
        "worker-2.lab.example",
        "iptables -I FORWARD -d {subnet2} -j DROP",
        "iptables -D FORWARD -d {subnet2} -j DROP; nft delete chain ip filter FORWARD",
        "firewall",
        text=("ip daddr {subnet2}", "drop"),
    ),
    Breakage(
        "reverse path filtering is strict where the ways differ",
        "worker-2.lab.example",
        # The way back to the pods of cp-1 is direct, the way there through the tunnel.
        "sysctl -qw net.ipv4.conf.all.rp_filter=1; ip route replace {subnet1} via {address1} dev eth0",
        f"sysctl -qw net.ipv4.conf.all.rp_filter=2; ip route del {{subnet1}}; {REPAIR}",
        "rp-filter",
    ),
    Breakage(
        "somebody masquerades what stays in the cluster",
        "cp-1",
        "nft add table ip breakage; nft 'add chain ip breakage out { type nat hook postrouting priority 90; }';"
        " nft add rule ip breakage out ip saddr {subnet1} ip daddr {subnet2} masquerade",
        "nft delete table ip breakage",
        "source-rewritten",
        text=("cp-1's pods arrive at worker-2.lab.example as if from {vtep1}",),
    ),
    Breakage(
        "one protocol alone is dropped",
        "worker-2.lab.example",
        "nft add table ip breakage; nft 'add chain ip breakage passing { type filter hook forward priority 5; }';"
        " nft add rule ip breakage passing ip saddr {subnet1} udp dport 18080 drop",
        "nft delete table ip breakage",
        "firewall",
        text=("udp dport 18080 drop",),
    ),
    Breakage(
        "a firewall on the node drops what its own pods send to it",
        "worker-2.lab.example",
        "nft add table ip breakage; nft 'add chain ip breakage in { type filter hook input priority 0; }';"
        " nft add rule ip breakage in ip saddr {subnet2} icmp type echo-request drop",
        "nft delete table ip breakage",
        "firewall",
        text=("ip saddr {subnet2} icmp type echo-request drop", "drops packets between pods and nodes"),
    ),
    Breakage(
        "a firewall drops what pods send to other nodes",
        "cp-1",
        "nft add table ip breakage; nft 'add chain ip breakage passing { type filter hook forward priority 5; }';"
        " nft add rule ip breakage passing ip saddr {subnet1} ip daddr {address2} drop",
        "nft delete table ip breakage",
        "firewall",
        text=("ip daddr {address2} drop", "drops packets between pods and nodes"),
    ),
    Breakage(
        "a firewall drops what other nodes send to pods",
        "worker-2.lab.example",
        "nft add table ip breakage; nft 'add chain ip breakage passing { type filter hook forward priority 5; }';"
        " nft add rule ip breakage passing ip saddr {vtep1} ip daddr {subnet2} drop",
        "nft delete table ip breakage",
        "firewall",
        text=("ip saddr {vtep1} ip daddr {subnet2} drop", "drops packets between pods and nodes"),
    ),
    Breakage(
        "the tunnel's checksums are wrong",
        "worker-2.lab.example",
        "nft add table netdev breakage;"
        " nft 'add chain netdev breakage in { type filter hook ingress device eth0 priority 0; }';"
        " nft add rule netdev breakage in ip saddr {address1} udp dport 8472 udp checksum set 0xdead",
        "nft delete table netdev breakage",
        "checksum",
        text=("the tunnel's packets arrive at worker-2.lab.example with wrong checksums",),
    ),
    Breakage(
        "the firewall of a node has a member missing",
        "worker-2.lab.example",
        "nft delete element inet binary_cluster members4 { {address1} }",
        "systemctl restart binary-cluster-firewall",
        "not-a-member",
        text=("does not know cp-1 ({address1}) as a member", "--limit worker-2.lab.example"),
    ),
    Breakage(
        "the underlay to one node is cut",
        "cp-1",
        "ip route add prohibit {address2}/32",
        "ip route del prohibit {address2}/32",
        "underlay-unreachable",
        text=("cp-1 and worker-2.lab.example", "do not reach each other"),
    ),
    Breakage(
        "something between the nodes carries less",
        "cp-1",
        # No trace tells of the older iptables, so it stands for what drops packets between the nodes.
        "iptables-legacy -t mangle -A POSTROUTING -d {address2} -p udp --dport 8472 -m length --length 1401: -j DROP",
        "iptables-legacy -t mangle -F POSTROUTING",
        "mtu",
        text=("carries pods' packets of 1350 bytes at most",),
    ),
    Breakage(
        "a firewall drops what is large",
        "cp-1",
        "nft add table netdev breakage;"
        " nft 'add chain netdev breakage out { type filter hook egress device eth0 priority 0; }';"
        " nft add rule netdev breakage out ip daddr {address2} meta length gt 1414 drop",
        "nft delete table netdev breakage",
        "tunnel-blocked",
        text=("meta length > 1414 drop",),
    ),
)

# Where ICMP is filtered between two nodes, it does not hide what else is wrong there.
FILTERED = (
    Breakage(
        "ICMP is filtered between two nodes",
        "cp-1",
        # No trace tells of the older iptables, so it stands for a filter between the nodes.
        "iptables-legacy -t mangle -A PREROUTING -s {address2} -p icmp -j DROP",
        "iptables-legacy -t mangle -F PREROUTING",
        "icmp-filtered",
        text=("answers no ICMP echo request from", "answers at tcp/22", "Advice: allow ICMP between the nodes"),
    ),
    Breakage(
        "a route is missing beside it", "cp-1", "ip route del {subnet2}", REPAIR, "route-missing", text=("{subnet2}",)
    ),
    Breakage(
        "large ICMP is filtered between two others",
        "worker-3.lab.example",
        "iptables-legacy -t mangle -A PREROUTING -s {subnet2} -p icmp -m length --length 1001: -j DROP",
        "iptables-legacy -t mangle -F PREROUTING",
        "icmp-filtered",
        blamed="worker-2.lab.example",
        text=("ICMP packets of pods over 1000 bytes get lost", "TCP packets of 1450 bytes arrive"),
    ),
)


def moved(breakage: Breakage, by: int) -> Breakage:
    """The same fault between other nodes: by one between the second and third, by two between third and first."""

    def turned(found: re.Match[str]) -> str:
        if found[0] in NODES:
            return NODES[(NODES.index(found[0]) + by) % 3]
        return str((int(found[0]) - 1 + by) % 3 + 1)

    def renumber(text: str) -> str:
        return re.sub("|".join([*map(re.escape, NODES), r"(?<=[a-z])[123](?=})"]), turned, text)

    return dataclasses.replace(
        breakage,
        on=renumber(breakage.on),
        make=renumber(breakage.make),
        mend=renumber(breakage.mend),
        text=tuple(renumber(part) for part in breakage.text),
    )


# What does not meet is broken and told together: a fault of the second node and one between the other two, or one
# between each two nodes. A run of verify is what takes the time.
*PARTNERS, CUT, NARROW, LARGE = LOCAL
*ACCOMPANIED, ALONE = WIDE
GROUPS = [
    *((wide, moved(local, by=2)) for wide, local in zip(ACCOMPANIED, PARTNERS, strict=True)),
    (CUT, moved(NARROW, by=1), moved(LARGE, by=2)),
    (ALONE,),
    FILTERED,
]


@pytest.fixture(scope="module")
def addresses() -> Facts:
    """Addresses and subnets of the three nodes."""
    return known()


@pytest.fixture
def facts(addresses: Facts) -> Facts:
    """The same with the MACs of the tunnels, which are new when flanneld has made them anew."""
    address = "cat /sys/class/net/flannel.1/address"
    macs = {f"mac{number}": lab.inside(node, address).strip() for number, node in enumerate(NODES, start=1)}
    return Facts({**addresses.values, **macs})


@pytest.fixture(scope="module", autouse=True)
def checksums() -> Iterator[None]:
    """Wrong checksums are seen only where there are any."""
    with checksums_written(NODES):
        yield


@pytest.fixture(autouse=True)
def settled(facts: Facts) -> None:
    """Wait until flanneld has made all entries anew after the fault before."""
    for number, node in enumerate(NODES, start=1):
        others = {1, 2, 3} - {number}
        entries = [
            f"ip -4 neigh show dev flannel.1 | grep -q {{mac{n}}} && ip route show {{subnet{n}}} | grep -q flannel.1 &&"
            f" bridge fdb show dev flannel.1 | grep -q '{{mac{n}}} dst {{address{n}}}'"
            for n in others
        ]
        made = facts.fill(" && ".join(entries))
        lab.inside(node, f"for try in $(seq 100); do {made} && exit; sleep 0.1; done; exit 1")


@pytest.mark.parametrize("group", GROUPS, ids=[" and ".join(one.name for one in group) for group in GROUPS])
def test_the_cause_is_told(group: tuple[Breakage, ...], facts: Facts) -> None:
    with broken(group, facts):
        expect(group, facts)


def test_the_network_is_whole_again() -> None:
    whole()
