# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What the kernel's reasons to drop a packet mean, and what a person checks (net/dropreason-core.h of the kernel)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """What a reason says, and what helps.

    ``{interface}`` is the one the packet passed last, and ``{neighbour}`` the one that does not answer. ``{ip}`` and
    ``{iptables}`` are the commands for its IP version.
    """

    text: str
    fix: str


def _advice(text: str, fix: str) -> Meaning:
    return Meaning(text, f"Advice: {fix}")


FIREWALL = _advice(
    "a firewall drops them",
    "find the rule in nft list ruleset (netdev and bridge tables too) and {iptables}-legacy-save",
)
NO_ROUTE = _advice(
    "no route leads on, or a blackhole, unreachable or prohibit route or rule refuses them",
    "find it in {ip} rule show and {ip} route show table all",
)
TOO_BIG = _advice(
    "they are larger than the next link carries",
    "compare the MTU of all links on the way, both ends of each veth: ip link show",
)
CHECKSUM = _advice(
    "their checksum is wrong",
    "switch checksum offload off on the links that the sender's packets leave through, with ethtool -K and tx off",
)
NEIGHBOUR = _advice(
    "the neighbour {neighbour} does not answer, so its MAC is not known",
    "check that {neighbour} is there and behind {interface}, in the same bridge or segment: "
    "{ip} neighbour show dev {interface}; bridge link show",
)
NEIGHBOUR_OF_NO_NAME = _advice(
    "a neighbour that they are sent to next does not answer, so its MAC is not known",
    "see which one, and whether it is there: {ip} neighbour show; bridge link show",
)
FULL = _advice(
    "the queue of {interface} is full or takes nothing",
    "look at its queueing discipline and length: tc -s qdisc show dev {interface}",
)
TRAFFIC_CONTROL = _advice(
    "a filter of traffic control or a BPF program drops them",
    "find it in tc filter show dev {interface} ingress (and egress), and bpftool net show",
)
OVERLOAD = _advice(
    "the node has no memory or time for them", "look at its load and memory: softnet_stat in /proc/net, free"
)
SOCKET = _advice(
    "nothing listens there, or the address is another machine's",
    "check that it is the pod's alone, and that its process listens: ss -lntu; ip address show",
)
HEADER = _advice(
    "their IP header is wrong, or their time to live is over",
    "look for a loop of routes, and for rules that change the TTL: {ip} route show table all; nft list ruleset",
)
VXLAN = _advice(
    "the VXLAN device does not take them: VNI or header are not its own",
    "compare VNI and flags of the tunnels of both nodes: ip -d link show type vxlan",
)
NO_REMOTE = _advice(
    "the tunnel has no entry for the node that they go to",
    "compare the forwarding database and the neighbours of the tunnel with the other nodes: "
    "bridge fdb show; {ip} neighbour show",
)
OWN_SOURCE = _advice(
    "their source is an address of its own, so the address is in use twice",
    "find the address that is not the pod's: ip address show",
)
INVALID = _advice(
    "their addresses are none that may be sent from or to there",
    "look for addresses in use twice, and for what rewrites addresses: ip address show; nft list ruleset",
)
NO_PORT = _advice(
    "no port of the bridge leads to their MAC",
    "compare the MAC of the gateway in the pod with that of the bridge, and see which bridge {interface} is in: "
    "{ip} neighbour show; bridge link show; bridge fdb show",
)
DOWN = _advice("{interface} is not up or not ready", "ip link show {interface}")

REASONS: dict[str, Meaning] = {
    "NETFILTER_DROP": FIREWALL,
    "IP_RPFILTER": Meaning(
        "the way back to their source does not lead there, and strict reverse path filtering drops them",
        "sysctl -w net/ipv4/conf/{interface}/rp_filter=2",
    ),
    "XFRM_POLICY": _advice(
        "a policy of IPsec blocks them, or wants them encrypted", "find the policy in ip xfrm policy"
    ),
    **dict.fromkeys(("NEIGH_FAILED", "NEIGH_CREATEFAIL", "NEIGH_DEAD", "NEIGH_QUEUEFULL"), NEIGHBOUR),
    **dict.fromkeys(("IP_OUTNOROUTES", "IP_INNOROUTES", "EINVAL", "EACCES", "ENETUNREACH", "EHOSTUNREACH"), NO_ROUTE),
    **dict.fromkeys(("PKT_TOO_BIG", "EMSGSIZE", "SKB_GSO_SEG"), TOO_BIG),
    **dict.fromkeys(("IP_CSUM", "UDP_CSUM", "TCP_CSUM", "ICMP_CSUM", "SKB_CSUM"), CHECKSUM),
    **dict.fromkeys(("QDISC_DROP", "QDISC_OVERLIMIT", "QDISC_CONGESTED", "FULL_RING", "ENOBUFS"), FULL),
    **dict.fromkeys(("TC_INGRESS", "TC_EGRESS", "XDP", "BPF_CGROUP_EGRESS", "TC_CHAIN_NOTFOUND"), TRAFFIC_CONTROL),
    **dict.fromkeys(("CPU_BACKLOG", "NOMEM", "PROTO_MEM", "SOCKET_BACKLOG", "PFMEMALLOC"), OVERLOAD),
    **dict.fromkeys(("NO_SOCKET", "IP_NOPROTO", "UNHANDLED_PROTO"), SOCKET),
    **dict.fromkeys(("IP_INHDR", "HDR_TRUNC", "PKT_TOO_SMALL"), HEADER),
    **dict.fromkeys(("VXLAN_VNI_NOT_FOUND", "VXLAN_INVALID_HDR"), VXLAN),
    "VXLAN_NO_REMOTE": NO_REMOTE,
    "IP_LOCAL_SOURCE": OWN_SOURCE,
    **dict.fromkeys(("IP_INVALID_SOURCE", "IP_INVALID_DEST", "IP_INADDRERRORS", "IP_LOCALNET"), INVALID),
    **dict.fromkeys(("NO_TX_TARGET", "MAC_INVALID_SOURCE", "LOCAL_MAC"), NO_PORT),
    **dict.fromkeys(("DEV_READY", "DEV_HDR"), DOWN),
    "OTHERHOST": _advice(
        "they are sent to a MAC that is not its own",
        "find the neighbour entry with a wrong MAC at the sender: {ip} neighbour show; ip link show {interface}",
    ),
    "SOCKET_RCVBUFF": _advice(
        "the process that they are for does not read them fast enough", "look at its queue: ss -lntum"
    ),
    "TCP_LISTEN_OVERFLOW": _advice("the process does not accept connections", "look at its queue: ss -lnt"),
    "BRIDGE_INGRESS_STP_STATE": _advice(
        "the port of the bridge does not forward", "see the state of {interface}: bridge -d link show dev {interface}"
    ),
    "MAC_IEEE_MAC_CONTROL": _advice(
        "they are sent to a MAC that bridges keep to themselves",
        "find the neighbour entry with a wrong MAC at the sender: {ip} neighbour show",
    ),
    "SECURITY_HOOK": _advice("a security module drops them", "read its log: ausearch -m avc, journalctl -k"),
    "IPV6DISABLED": Meaning("IPv6 is off on {interface}", "sysctl -w net/ipv6/conf/{interface}/disable_ipv6=0"),
    "EPERM": _advice(
        "a firewall or a policy of IPsec forbids it",
        "find it in nft list ruleset, {iptables}-legacy-save and ip xfrm policy",
    ),
}
# Older kernels, and some functions, give no reason of their own.
FUNCTIONS: dict[str, Meaning] = {
    "ip_error": NO_ROUTE,
    "ip6_pkt_drop": NO_ROUTE,
    "__dev_forward_skb2": TOO_BIG,
    "__dev_forward_skb": TOO_BIG,
    "br_dev_queue_push_xmit": TOO_BIG,
    "nf_hook_slow": FIREWALL,
    "nft_do_chain": FIREWALL,
    "br_handle_frame_finish": NO_PORT,
    "ip_forward": HEADER,
}
# What a reason stands for in one function alone.
BOTH: dict[tuple[str, str], Meaning] = {
    # A route that refuses, or forwarding that is off.
    ("IP_INADDRERRORS", "ip_error"): NO_ROUTE,
    ("IP_INADDRERRORS", "ip6_pkt_drop"): NO_ROUTE,
    ("NO_TX_TARGET", "vxlan_xmit"): NO_REMOTE,
    ("NO_TX_TARGET", "vxlan_xmit_one"): NO_REMOTE,
}
UNKNOWN = _advice(
    "the kernel drops them for a reason of its own",
    "search for reason and function in the kernel's sources, include/net/dropreason-core.h",
)


def meaning(reason: str, function: str) -> Meaning:
    """What a reason stands for; of one that is not known, the name and the function have to do."""
    known = BOTH.get((reason, function)) or REASONS.get(reason)
    return known or (FUNCTIONS.get(function, UNKNOWN) if reason == "NOT_SPECIFIED" else UNKNOWN)
