# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Tunnels between nodes that are down, or whose entries lead to another place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import HEADERS
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import (
    Cause,
    End,
    rebuild_command,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.path import holds, near


def tunnel_down(end: End) -> Cause | None:
    """A tunnel's device that is down: the kernel drops the routes through it."""
    for name, link in end.evidence.get("links", {}).items():
        if link["kind"] in HEADERS and not link["up"]:
            return Cause("tunnel-down", end.node, f"{name} is down", f"ip link set {name} up && {rebuild_command(end)}")
    return None


def entry_fault(end: End, other: End, ends: Sequence[End]) -> Cause | None:
    """The first entry of a node that does not lead to the other one's pods."""
    route = end.evidence.get("route_to", {}).get(other.pod_address, {})
    kind = route.get("type", "unicast")
    if "error" in route or kind != "unicast" or route.get("dst") == "default":
        told = route.get("error") or ("only the default route" if kind == "unicast" else f"{kind} {route['dst']}")
        text = f"{end.node} has no route to {other.subnet}, the pods of {other.node}: {told}"
        return Cause("route-missing", end.node, text, rebuild_command(end))
    device, gateway = route.get("dev", ""), route.get("gateway", "")
    link = end.evidence.get("links", {}).get(device, {})
    if link.get("kind") == "vxlan":
        return _tunnel_fault(end, other, device, gateway or other.pod_address, ends)
    # BIRD takes the way to the node that the underlay has, which may lead through a router.
    by_router = route.get("protocol") == "bird" or (gateway in end.evidence.get("routers", ()) and not near(end, other))
    foreign = gateway != other.address and not holds(other, gateway) and not by_router
    if gateway and foreign:
        text = f"{end.node} sends packets for {other.subnet} to {gateway}, which is not {other.node} ({other.address})"
        return Cause(
            "route-wrong", end.node, text, f"ip route del {route.get('dst')} via {gateway} && {rebuild_command(end)}"
        )
    return None


def _tunnel_fault(end: End, other: End, device: str, hop: str, ends: Sequence[End]) -> Cause | None:
    """What is wrong with a VXLAN device's own tables, compared with the device at the other end."""
    here = end.evidence["links"][device]
    there = _tunnel_at(other, hop, device)
    mac = end.evidence["neighbours"].get(device, {}).get(hop, "")
    if not mac:
        fix = (
            f"ip neigh replace {hop} lladdr {there[1]['mac']} dev {device} nud permanent"
            if there
            else rebuild_command(end)
        )
        return Cause(
            "neighbour-missing", end.node, f"{device} does not know the MAC of {hop}, the VTEP of {other.node}", fix
        )
    if there is None:
        return Cause(
            "tunnel-missing",
            other.node,
            f"{other.node} has no VXLAN device with the address {hop}",
            rebuild_command(other),
        )
    name, peer = there
    for key, what in (("vni", "VNI"), ("port", "UDP port")):
        if here[key] != peer[key]:
            usual = Counter(link[key] for one in ends if (link := one.evidence.get("links", {}).get(device)))
            odd, odd_device, value = (other, name, peer) if usual[here[key]] > usual[peer[key]] else (end, device, here)
            meant = here if value is peer else peer
            return Cause(
                f"{key}-mismatch",
                odd.node,
                f"{odd_device} of {odd.node} has {what} {value[key]}, and on the other nodes it has {meant[key]}",
                f"ip link delete {odd_device} && {rebuild_command(odd)}",
            )
    if mac != peer["mac"]:
        return Cause(
            "vtep-mac-mismatch",
            end.node,
            f"{device} takes {mac} for the VTEP of {other.node}, and that has {peer['mac']}",
            f"ip neigh replace {hop} lladdr {peer['mac']} dev {device} nud permanent",
        )
    place = end.evidence["fdb"].get(device, {}).get(mac, "")
    fix = f"bridge fdb replace {mac} dev {device} dst {other.address} self permanent"
    if not place:
        return Cause("fdb-missing", end.node, f"{device} does not know where {mac}, the VTEP of {other.node}, is", fix)
    if place != other.address and not holds(other, place):
        return Cause(
            "fdb-wrong", end.node, f"{device} sends packets for {other.node} to {place}, not {other.address}", fix
        )
    return None


def _tunnel_at(end: End, hop: str, name: str) -> tuple[str, Mapping[str, Any]] | None:
    """The VXLAN device at the far end: that with the address, or else of the same name."""
    links = end.evidence.get("links", {})
    for device, link in links.items():
        if link["kind"] == "vxlan" and any(held.partition("/")[0] == hop for held in link["addresses"]):
            return device, link
    link = links.get(name)
    return (name, link) if link and link["kind"] == "vxlan" else None
