"""Faults that no rule knows, each explained by what the kernel was seen to drop, on the node that dropped it.

What is asserted is the reason and the node, and no time: nodes watch again until they have seen enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import Cause
from ansible_collections.binary_cluster.networking.tests.kernel.pods import Node, Pairs, cause, pairs

TRIES = 4
SMALL = ("tcp", "udp", "icmp")
# Kernels before 6.13 give no reason of its own for what no route leads on.
NO_ROUTE = ("NOT_SPECIFIED", "IP_INNOROUTES", "IP_OUTNOROUTES")


@dataclass(frozen=True)
class Fault:
    """A fault on a node of a pair, or in its pod: ``here`` sends, ``there`` is sent to.

    ``{here}`` and ``{there}`` are the numbers of both nodes, and ``{in}`` is the interface that packets come in on.
    """

    name: str
    on: str
    make: str
    mend: str
    reasons: tuple[str, ...]
    # Where it is dropped, if that is not where the fault is.
    dropped: str = ""
    failed: tuple[str, ...] = SMALL
    passed: tuple[str, ...] = ()
    # Other causes are right too, and have what was measured beside them.
    code: str = "dropped"


def nft(family: str, hook: str, rule: str, name: str = "f") -> tuple[str, str]:
    """Commands that make a table with a rule at a hook, and remove it."""
    chain = f"nft 'add table {family} {name}; add chain {family} {name} c {{ type filter hook {hook} priority 0; }}; "
    return f"{chain}add rule {family} {name} c {rule}'", f"nft delete table {family} {name}"


HERE, THERE = "10.244.{here}.2", "10.244.{there}.2"
ROUTED = (
    Fault(
        "a policy of IPsec blocks what is forwarded",
        "there",
        f"ip xfrm policy add src {HERE} dst {THERE} dir fwd action block",
        "ip xfrm policy flush",
        ("XFRM_POLICY",),
    ),
    Fault(
        "the older iptables drops",
        "there",
        f"iptables-legacy -t mangle -A FORWARD -s {HERE} -j DROP",
        f"iptables-legacy -t mangle -D FORWARD -s {HERE} -j DROP",
        ("NETFILTER_DROP",),
    ),
    Fault("a pod's own firewall drops", "there pod", *nft("ip", "input", f"ip saddr {HERE} drop"), ("NETFILTER_DROP",)),
    Fault(
        "a rule of routing is a blackhole",
        "here",
        f"ip rule add from {HERE} to {THERE} blackhole",
        f"ip rule del from {HERE} to {THERE} blackhole",
        NO_ROUTE,
    ),
    Fault(
        "a route carries less",
        "there",
        f"ip route add {THERE}/32 dev cni0 mtu lock 1300",
        f"ip route del {THERE}/32 dev cni0",
        ("PKT_TOO_BIG", "NOT_SPECIFIED"),
        failed=("mtu", "bulk"),
        passed=("icmp", "tcp", "udp"),
    ),
    Fault(
        "a queue takes nothing",
        "there",
        "tc qdisc add dev cni0 root pfifo limit 0",
        "tc qdisc del dev cni0 root",
        ("QDISC_DROP",),
    ),
    Fault(
        "a bridge drops",
        "here",
        *nft("bridge", "input", f"ip daddr {THERE} drop"),
        ("NETFILTER_DROP",),
        code="firewall",
    ),
    Fault(
        "a pod has a blackhole",
        "here pod",
        "ip route add blackhole 10.244.{there}.0/24",
        "ip route del blackhole 10.244.{there}.0/24",
        ("EINVAL",),
    ),
    Fault(
        "a pod filters by strict reverse paths",
        "there pod",
        # What it sends goes another way than its routes say to the filter.
        "sysctl -qw net.ipv4.conf.eth0.rp_filter=1; ip link add other up type veth;"
        " ip link set veth0 up; ip route add 10.244.{here}.0/24 dev other; ip rule add fwmark 7 lookup 100;"
        " ip route add default via 10.244.{there}.1 table 100; nft 'add table ip f;"
        " add chain ip f c { type route hook output priority 0; }; add rule ip f c meta mark set 7'",
        "sysctl -qw net.ipv4.conf.eth0.rp_filter=0; ip link del other; ip rule del fwmark 7 lookup 100;"
        " ip route flush table 100; nft delete table ip f",
        ("IP_RPFILTER",),
    ),
    Fault(
        "a pod's gateway has another MAC for the pod",
        "here pod",
        "ip neigh replace 10.244.{here}.1 lladdr 02:00:00:00:99:99 dev eth0 nud permanent",
        "ip neigh del 10.244.{here}.1 dev eth0",
        ("NO_TX_TARGET", "NOT_SPECIFIED"),
        dropped="here",
    ),
    Fault(
        "a node has the address of another one's pod",
        "there",
        f"ip address add {HERE}/32 dev lo",
        f"ip address del {HERE}/32 dev lo",
        ("IP_LOCAL_SOURCE", "NOT_SPECIFIED"),
        code="route-missing",
    ),
)
TUNNELLED = (
    Fault(
        "a policy of IPsec blocks what leaves",
        "here",
        f"ip xfrm policy add src {HERE} dst {THERE} dir out action block",
        "ip xfrm policy flush",
        ("XFRM_POLICY",),
    ),
    Fault(
        "a hook of the tunnel's device drops",
        "there",
        *nft("netdev", "ingress device flannel.1", f"ip daddr {THERE} drop"),
        ("NETFILTER_DROP",),
    ),
    Fault(
        "a pod's own firewall drops what it sends",
        "here pod",
        *nft("ip", "output", f"ip daddr {THERE} drop"),
        ("NETFILTER_DROP",),
    ),
    Fault(
        "a rule of routing prohibits",
        "there",
        f"ip rule add iif flannel.1 to {THERE} prohibit",
        f"ip rule del iif flannel.1 to {THERE} prohibit",
        NO_ROUTE,
    ),
    Fault(
        "the time to live is over",
        "here",
        *nft("ip", "prerouting", f"ip daddr {THERE} ip ttl set 1"),
        ("IP_INHDR", "NOT_SPECIFIED"),
    ),
    Fault(
        "a route to the pod is a blackhole",
        "there",
        f"ip route add blackhole {THERE}/32",
        f"ip route del blackhole {THERE}/32",
        NO_ROUTE,
    ),
    Fault(
        "a pod's own route prohibits",
        "here pod",
        "ip route add prohibit 10.244.{there}.0/24",
        "ip route del prohibit 10.244.{there}.0/24",
        ("EACCES",),
    ),
    Fault(
        "a node has another MAC for its pod",
        "there",
        f"ip neigh replace {THERE} lladdr 02:00:00:00:99:99 dev cni0 nud permanent",
        f"ip neigh del {THERE} dev cni0",
        ("OTHERHOST",),
        dropped="there pod",
    ),
    Fault(
        "a pod's veth is in another bridge",
        "there",
        "ip link add br9 up type bridge; ip link set veth{there} master br9; ip neigh flush dev cni0",
        "ip link set veth{there} master cni0; ip link del br9; ip neigh flush dev cni0",
        ("NEIGH_FAILED", "NO_TX_TARGET"),
    ),
    Fault(
        "a node has its pod's address itself",
        "there",
        f"ip address add {THERE}/32 dev lo",
        f"ip address del {THERE}/32 dev lo",
        # On the way there, and on the way back.
        ("NO_SOCKET", "IP_LOCAL_SOURCE"),
        failed=("tcp", "udp"),
        passed=("icmp",),
    ),
    Fault(
        "the older iptables drops the tunnel",
        "there",
        "iptables-legacy -A INPUT -p udp --dport 8472 -j DROP",
        "iptables-legacy -D INPUT -p udp --dport 8472 -j DROP",
        ("NETFILTER_DROP",),
        code="tunnel-blocked",
    ),
)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pairs]:
    """All faults are made in one network, one after the other."""
    with pairs(tmp_path_factory.mktemp("pods")) as made:
        yield made


def carry_out(pair: tuple[Node, Node], place: str, command: str) -> None:
    """Run a command on a node, or in its pod."""
    node = pair[place.startswith("there")]
    numbered = command.replace("{here}", str(pair[0].number)).replace("{there}", str(pair[1].number))
    (node.pod if place.endswith("pod") else node.host).exec("sh", "-ec", numbered)


def explained(network: Pairs, faults: tuple[Fault, ...]) -> list[Cause | None]:
    """The cause of each fault, the first in the first pair, and so on; looked for until all have theirs."""
    found: list[Cause | None] = []
    for _try in range(TRIES):
        ends = network.ends()
        found = [
            cause(ends[here], ends[there], fault.failed, fault.passed)
            for (here, there), fault in zip(network.pairs, faults)
        ]
        # On a busy machine a node may begin late, and have seen less than the other one; and where it did not see a
        # packet begin, it may take one of the other pair for its own, since all nodes here have one kernel.
        if all(one and one.code == fault.code and measured(one) in fault.reasons for one, fault in zip(found, faults)):
            break
    return found


def measured(told: Cause) -> str:
    """The kernel's reason in a cause; empty where it has none."""
    reason = re.search(r"measured: (\w+)", told.full_text)
    return reason[1] if reason else ""


@pytest.mark.parametrize("faults", list(zip(ROUTED, TUNNELLED, strict=True)), ids=lambda faults: faults[0].name)
def test_what_the_kernel_drops_explains_a_fault(faults: tuple[Fault, ...], network: Pairs) -> None:
    try:
        for pair, fault in zip(network.pairs, faults):
            carry_out(pair, fault.on, fault.make)
        for pair, fault, told in zip(network.pairs, faults, explained(network, faults)):
            node = pair[(fault.dropped or fault.on).startswith("there")]
            assert told, fault.name
            assert (told.code, told.node) == (fault.code, node.name), f"{fault.name}: {told}"
            assert measured(told) in fault.reasons, f"{fault.name}: {told}"
            in_pod = told.code == "dropped" and told.text.startswith(f"{node.pod.name} of {node.name} drops ")
            assert in_pod is (fault.dropped or fault.on).endswith("pod"), f"{fault.name}: {told}"
            if told.code == "dropped":
                assert told.fix.startswith("Advice: ")
    finally:
        for pair, fault in zip(network.pairs, faults):
            carry_out(pair, fault.on, fault.mend)


def test_nothing_is_dropped_between_pods_that_reach_each_other(network: Pairs) -> None:
    for end in network.ends().values():
        assert end.evidence["drops"] == {"unavailable": "", "found": []}
