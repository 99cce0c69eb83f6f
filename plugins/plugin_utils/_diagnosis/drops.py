# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Which of the drops that the kernel of two nodes was seen to make explain what fails between their pods.

Rules tell a cause from what nodes look like, and keep their rank. A measured drop is the cause where they know none,
and stands beside theirs otherwise: it proves them, or it contradicts them, and then a person sees both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import Cause, End
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.drop_causes import (
    NEIGHBOUR,
    NEIGHBOUR_OF_NO_NAME,
    meaning,
)

# As what the packets of a probe go. A drop without a kind is of all.
KINDS = {
    "icmp": ("icmp", ""),
    "udp": ("udp", ""),
    "tcp": ("tcp", ""),
    "http": ("tcp", ""),
    "bulk": ("tcp", "large", ""),
    "mtu": ("icmp", "large", ""),
}
ALL = "pods' packets"
NAMES = {
    "icmp": "pods' ICMP packets",
    "udp": "pods' UDP packets",
    "tcp": "pods' TCP packets",
    "large": "pods' large packets",
}
ROUTES = frozenset(
    {"IP_INNOROUTES", "IP_OUTNOROUTES", "IP_INADDRERRORS", "NOT_SPECIFIED", "EINVAL", "EACCES", "ENETUNREACH"}
)
FIREWALLS = frozenset({"NETFILTER_DROP"})
# Reasons that prove a rule's cause, by its code.
PROOF = {
    **dict.fromkeys(
        ("firewall", "tunnel-blocked", "policy-denies", "not-a-member", "source-not-own", "endpoint-unknown"), FIREWALLS
    ),
    "rp-filter": frozenset({"IP_RPFILTER"}),
    "checksum": frozenset({"IP_CSUM", "UDP_CSUM", "TCP_CSUM", "SKB_CSUM"}),
    "mtu": frozenset({"PKT_TOO_BIG", "NOT_SPECIFIED", "EMSGSIZE"}),
    **dict.fromkeys(("route-missing", "forwarding-off", "forwarding-reset", "daemon-down", "lease-missing"), ROUTES),
    "pod-route-missing": ROUTES,
    "vni-mismatch": frozenset({"VXLAN_VNI_NOT_FOUND"}),
    **dict.fromkeys(("port-mismatch", "tunnel-missing"), frozenset({"NO_SOCKET", "VXLAN_VNI_NOT_FOUND"})),
    "vtep-mac-mismatch": frozenset({"OTHERHOST"}),
    "fdb-missing": frozenset({"NO_TX_TARGET", "VXLAN_NO_REMOTE"}),
    **dict.fromkeys(("pod-detached", "neighbour-missing"), frozenset({"NEIGH_FAILED", "NO_TX_TARGET"})),
}

Drop = Mapping[str, Any]


def of_pair(source: End, target: End, failed: Iterable[str]) -> Iterator[tuple[End, Drop, frozenset[str]]]:
    """What either node dropped of what goes between two pods, with the failed probes that it explains.

    What is lost on the way there comes before what is lost on the way back.
    """
    for begin, finish in ((source, target), (target, source)):
        for end in (begin, finish):
            for drop in end.evidence.get("drops", {}).get("found", ()):
                if begin.pod_address not in drop["sources"] or drop["target"] != finish.pod_address:
                    continue
                explained = frozenset(probe for probe in failed if drop["kind"] in KINDS.get(probe, ()))
                if explained:
                    yield end, drop, explained


def measured(source: End, target: End, failed: Iterable[str]) -> tuple[Cause, frozenset[str], str] | None:
    """The drop that explains the most of what fails: a cause, the probes that it explains, and the kernel's reason."""
    found = list(of_pair(source, target, tuple(failed)))
    grouped: dict[tuple[Any, ...], list[tuple[End, Drop, frozenset[str]]]] = {}
    for one in found:
        end, drop, _probes = one
        key = (end.node, drop["reason"], drop["function"], drop["interface"], drop["way"], drop["in_pod"])
        grouped.setdefault(key, []).append(one)
    # Of equals the first: the way there.
    best = max(grouped.values(), key=lambda group: len(_explained(group)), default=None)
    if not best:
        return None
    end, drop, _probes = best[0]
    return cause(end, drop, frozenset(one["kind"] for _end, one, _probes in best)), _explained(best), drop["reason"]


def _explained(group: Iterable[tuple[End, Drop, frozenset[str]]]) -> frozenset[str]:
    return frozenset().union(*(explained for _end, _drop, explained in group))


def cause(end: End, drop: Drop, kinds: frozenset[str]) -> Cause:
    """A drop in words. It is the same for all pairs that it is about."""
    means = meaning(drop["reason"], drop["function"])
    if means is NEIGHBOUR and not drop["neighbour"]:
        means = NEIGHBOUR_OF_NO_NAME
    newer = ":" in drop["target"]
    words = {
        "interface": drop["interface"] or "eth0",
        "neighbour": drop["neighbour"],
        "ip": "ip -6" if newer else "ip",
        "iptables": "ip6tables" if newer else "iptables",
    }
    fix = means.fix.format(**words)
    if drop["in_pod"]:
        # The pod that was probed is gone when this is read, and all pods of the node are made alike.
        fix = f"Advice: in a pod of {end.node}, {fix.removeprefix('Advice: ')}"
    who = f"{end.pod} of {end.node}" if drop["in_pod"] else end.node
    what = NAMES.get(next(iter(kinds)), ALL) if len(kinds) == 1 else ALL
    if drop["way"]:
        what += f" that {'come in' if drop['way'] == 'in' else 'go out'} on {drop['interface']}"
    elif drop["in_pod"]:
        what += " that it is about to send"
    by = f" in {drop['function']}" if drop["function"] else ""
    text = f"{who} drops {what}: {means.text.format(**words)} (measured: {drop['reason']}{by})"
    return Cause("dropped", end.node, text, fix)


def beside(rule: Cause, kernel: Cause, reason: str) -> Cause:
    """A rule's cause, with what the kernel was seen to do beside it."""
    proves = rule.node == kernel.node and reason in PROOF.get(rule.code, ())
    return dataclasses.replace(rule, measured=f"measured: {reason}" if proves else f"besides: {kernel.text}")


def unknown(*ends: End) -> str:
    """Why it is not known what the kernel dropped, for a cause that nothing explains; empty where it is."""
    told = {end.node: end.evidence.get("drops", {}).get("unavailable", "") for end in ends}
    return "; ".join(f"what {node} drops is not known: {why}" for node, why in told.items() if why)
