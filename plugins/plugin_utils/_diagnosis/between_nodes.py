# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Packets that leave a node and do not arrive at the other, or are not taken out of the tunnel there."""

from __future__ import annotations

import dataclasses
import ipaddress

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import underlay as diagnosis_underlay
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import Cause, rebuild_command
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.filters import firewall_drops
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.packets import checksum
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.path import (
    PROTOCOLS,
    Path,
    has_address,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.pods import pod_is_gone
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.routes import dead_daemon


def underlay_is_broken(path: Path) -> Cause | None:
    # What pods get answered went over it.
    if pods_pass(path) or not diagnosis_underlay.silent(path.source, path.target):
        return None
    return diagnosis_underlay.unreachable(path.source, path.target)


def pods_pass(path: Path) -> bool:
    """Whether something between the two pods was answered."""
    return not set(PROTOCOLS).isdisjoint(path.passed)


def filtered_echo(path: Path) -> tuple[Cause, frozenset[str]] | None:
    """ICMP that is filtered between two nodes, and those of the failed probes that fail for it.

    They are the ones that go as ICMP from node to node, without a tunnel. None where there are none, or where a
    rule of the nodes themselves explains them.
    """
    bare = {"icmp", "mtu", "host"} if _is_lost(dataclasses.replace(path, failed=("icmp",))) else set()
    explained = frozenset(path.failed) & {"node", *bare}
    cause = diagnosis_underlay.icmp_filtered(path.source, path.target, pods_pass(path)) if explained else None
    if not cause:
        return None
    nearer = pod_is_gone(path) or firewall_drops(dataclasses.replace(path, failed=tuple(explained)))
    return (cause, explained) if not nearer or nearer.code == "tunnel-blocked" else None


def _is_lost(path: Path) -> bool:
    """Whether pods' packets leave one node on its own interface, without a tunnel, and never come to the other."""
    for end, other in path.both():
        left, links = path.seen(end, "out", end), end.evidence.get("links", {})
        at_node = any(has_address(links.get(one["interface"], {}), end.address) for one in left)
        if at_node and not any(one["wrapping"] for one in left) and not path.seen(other, "in", end):
            return ipaddress.ip_address(end.address).version == path.family
    return False


def lost_on_the_way(path: Path) -> Cause | None:
    """Wrapped packets that left one node and never came to the other; any, where the nodes answer nothing but ARP."""
    nothing_passes = not pods_pass(path) and diagnosis_underlay.only_mac(path.source, path.target)
    if nothing_passes and _is_lost(path):
        return diagnosis_underlay.unreachable(path.source, path.target)
    for end, other in path.both():
        left = [one for one in path.seen(end, "out", end) if one["wrapping"]]
        came = [one for one in path.seen(other, "in", end) if one["wrapping"]]
        if left and not came:
            if nothing_passes:
                return diagnosis_underlay.unreachable(end, other)
            one = left[0]
            name = {"vxlan": f"UDP {one['port']}", "udp": f"UDP {one['port']}", "ipip": "IPIP (IP protocol 4)"}.get(
                one["wrapping"], one["wrapping"].upper()
            )
            return Cause(
                "tunnel-lost",
                end.node,
                f"{name} leaves {end.node} and does not arrive at {other.node}, "
                f"{diagnosis_underlay.though(end, other)}: something between them blocks it",
                f"allow {name} from {end.address} to {other.address} in the firewalls between them",
            )
    return None


def not_taken_out(path: Path) -> Cause | None:
    """Wrapped packets that arrive and are not unwrapped."""
    for end, other in path.both():
        came = [one for one in path.seen(other, "in", end) if one["wrapping"]]
        inner = [one for one in path.seen(other, "in", end) if not one["wrapping"]]
        foreign = [one for one in path.seen(other, "other", end) if not one["wrapping"]]
        if not came or inner:
            continue
        if foreign:
            return Cause(
                "vtep-mac-mismatch",
                end.node,
                f"packets reach {foreign[0]['interface']} of {other.node} under a MAC that is not its own",
                rebuild_command(end),
            )
        if other.evidence.get("checksum_errors", {}).get("host"):
            return checksum(other, "the tunnel's")
        dead = dead_daemon(other)
        if dead:
            return dead
        if came[0]["wrapping"] == "vxlan" and not any(
            (link["vni"], link["port"]) == (came[0]["vni"], came[0]["port"])
            for link in other.evidence.get("links", {}).values()
        ):
            return Cause(
                "tunnel-missing",
                other.node,
                f"{other.node} has no VXLAN device with VNI {came[0]['vni']} on UDP port {came[0]['port']}",
                rebuild_command(other),
            )
        return Cause(
            "tunnel-blocked",
            other.node,
            f"{came[0]['wrapping']} packets arrive at {came[0]['interface']} of {other.node} and are not taken out: a "
            "firewall that cannot be traced drops them",
            "iptables-legacy-save | grep DROP",
        )
    return None
