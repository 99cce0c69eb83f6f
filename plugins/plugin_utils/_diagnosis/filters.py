# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What the kernel refuses to forward: forwarding that is off, firewalls, strict reverse path filtering."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._firewall.closed_ports import (
    FAMILY,
    MEMBERS_ALONE,
    OWN_SOURCES,
    TABLE,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import calico as diagnosis_calico
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import (
    Cause,
    End,
    rebuild_command,
    site_command,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.path import Path, holds

# By IP version, what switches forwarding: where the evidence has it, and the files that set it; its sysctl, and what
# tells a line of such a file.
FORWARDING = {
    4: ("ip_forward", "forwarding_files", "net.ipv4.ip_forward", "ip_forward"),
    6: ("ipv6_forward", "ipv6_forwarding_files", "net.ipv6.conf.all.forwarding", "ipv6.*forwarding"),
}
WRAPPED = "the tunnel's packets"


def forwarding_is_off(path: Path) -> Cause | None:
    name, files_of, sysctl, word = FORWARDING[path.family]
    for end, _other in path.both():
        if end.evidence.get(name) == "0":
            files = end.evidence.get(files_of, ())
            text, fix = f"IPv{path.family} forwarding is off on {end.node}", f"sysctl -w {sysctl}=1"
            if files:
                text += f", and {files[0]} switches it off at every boot"
                return Cause("forwarding-reset", end.node, text, f"sed -i '/{word}/d' {files[0]} && {fix}")
            return Cause("forwarding-off", end.node, text, fix)
        off = [
            name for name, value in end.evidence.get("forwarding", {}).items() if value == "0" and _carries(end, name)
        ]
        # That of an interface counts for IPv4 alone (ip-sysctl.rst of the kernel).
        if off and path.family == 4:
            return Cause(
                "forwarding-off",
                end.node,
                f"IPv4 forwarding is off on {off[0]} of {end.node}",
                # Names of interfaces may have a dot.
                f"sysctl -w net/ipv4/conf/{off[0]}/forwarding=1",
            )
    return None


def _carries(end: End, name: str) -> bool:
    """Whether an interface is on the way of pods' packets."""
    ways = {route.get("dev") for route in end.evidence.get("route_to", {}).values()}
    return name in ways or any(one["interface"] == name for one in end.evidence.get("sightings", ()))


def _kind_of_packet(path: Path, ends: set[str]) -> str:
    """What packets with these two addresses are called; empty for those that are not the path's."""
    if ends == {path.source.pod_address, path.target.pod_address}:
        return "pods' packets"
    if ends == {path.source.address, path.target.address}:
        return WRAPPED
    to_node = {"node", "own"} & set(path.failed) and ends == {path.source.pod_address, path.target.address}
    # A node sends from whichever address it has on the way there.
    sender = ends - {path.target.pod_address}
    from_node = "host" in path.failed and len(sender) == 1 < len(ends) and holds(path.source, *sender)
    return "packets between pods and nodes" if to_node or from_node else ""


def firewall_drops(path: Path) -> Cause | None:
    """A rule or a policy that the kernel's trace caught dropping these packets, wrapped or not."""
    seen = [(end, one) for end, _other in path.both() for one in end.evidence.get("dropped", ())]
    # What is dropped on the way there explains the pair better than what is on the way back.
    begin = (path.source.pod_address, path.source.address)
    for end, one in sorted(seen, key=lambda pair: pair[1]["source"] not in begin):
        what = _kind_of_packet(path, {one["source"], one["target"]})
        if not what:
            continue
        told = diagnosis_calico.dropped(end, one["chain"]) or _cluster_firewall(path, end, one)
        if told:
            return told
        where = f"chain {one['chain']} of table {one['family']} {one['table']}"
        chain = f"{one['family']} {one['table']} {one['chain']}"
        code = "tunnel-blocked" if what == WRAPPED else "firewall"
        if one["handle"]:
            text = f"the rule '{one['rule']}' in {where} drops {what}"
            return Cause(code, end.node, text, f"nft delete rule {chain} handle {one['handle']}")
        text = f"the policy of {where} drops {what}"
        return Cause(code, end.node, text, f"nft 'add chain {chain} {{ policy accept; }}'")
    return None


def _cluster_firewall(path: Path, end: End, drop: Mapping[str, Any]) -> Cause | None:
    """A packet that the cluster's own firewall drops; None where another one does.

    It is right unless it is out of date, so it is brought up to date and not opened.
    """
    if (drop["family"], drop["table"]) != (FAMILY, TABLE):
        return None
    source = drop["source"]
    if drop["chain"] == MEMBERS_ALONE:
        sender = next((one.node for one in (path.source, path.target) if one.address == source), "")
        who = f"{sender} ({source})" if sender else source
        text = f"the firewall of {end.node} does not know {who} as a member of the cluster, and drops its packets"
        return Cause("not-a-member", end.node, text, site_command(end.node))
    if drop["chain"] == OWN_SOURCES:
        route = end.evidence.get("route_to", {}).get(source, {})
        back = f"leads through {route['dev']}" if route.get("dev") else "is missing"
        text = (
            f"the firewall of {end.node} drops packets of pods under {source}: the route of {end.node} back to that "
            f"address {back}, and not to the interface that they come in on"
        )
        return Cause("source-not-own", end.node, text, f"ip route get {source}; {rebuild_command(end)}")
    return None


def path_filter_drops(path: Path) -> Cause | None:
    """Strict reverse path filtering, where the way back leads elsewhere. The kernel has it for IPv4 alone."""
    if path.family == 6:
        return None
    for end, other in path.both():
        came = path.seen(end, "in", other if other is path.source else path.target)
        left = path.seen(end, "out", other if other is path.source else path.target)
        inner = {one["interface"] for one in came if not one["wrapping"]}
        if left or not inner:
            continue
        back = end.evidence.get("route_to", {}).get(other.pod_address, {}).get("dev")
        for name in inner:
            if end.evidence.get("rp_filter", {}).get(name) == 1 and back != name:
                return Cause(
                    "rp-filter",
                    end.node,
                    f"packets of {other.node}'s pods come in on {name} of {end.node}, the way back is {back}, and "
                    "strict reverse path filtering drops them",
                    f"sysctl -w net/ipv4/conf/all/rp_filter=2 net/ipv4/conf/{name}/rp_filter=2",
                )
    return None
