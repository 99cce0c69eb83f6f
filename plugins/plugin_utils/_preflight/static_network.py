# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What can be wrong with a pod network without a daemon."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import pod_cidrs
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.inventory import (
    Fault,
    Inventory,
    IPv4,
    integer,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.networks import (
    SMALLEST_MTU,
    link_of,
    network_of,
)

# Network backends without a daemon, with what they add to a packet.
ROUTED = {"vxlan_mesh": 50, "host_routes": 0}


def _routed(inventory: Inventory) -> str:
    """The backend without a daemon that will run; empty where another will."""
    return next((backend for backend in ROUTED if backend in inventory.specs), "")


def pod_cidrs_suffice(inventory: Inventory) -> Iterator[Fault]:
    backend, pods = _routed(inventory), network_of(inventory, "cluster_pod_cidr")
    if not backend or pods is None:
        return
    variable, names = f"{backend}_subnet_length", list(inventory.groups.get("nodes", ()))
    told = inventory.value(variable, 24)
    length = integer(told)
    if length is None or not pods.prefixlen <= length <= 30:
        remedy = (
            f"must be from {pods.prefixlen} to 30 in {pods}"
            if pods.prefixlen <= 30
            else f"no length fits {pods}; the pods' network must be a /30 or larger"
        )
        yield Fault(variable, told, remedy)
        return
    if 2 ** (length - pods.prefixlen) < len(names):
        remedy = (
            f"room for {2 ** (length - pods.prefixlen)} subnets of /{length}, and there are {len(names)} nodes; "
            f"take a larger network or a longer {variable}"
        )
        yield Fault("cluster_pod_cidr", pods, remedy)
    facts = {name: inventory.hosts[name].facts for name in names if name in inventory.hosts}
    for part, holders in pod_cidrs.doubled(pod_cidrs.held(names, facts, pods, length)).items():
        yield Fault("pod CIDR", part, pod_cidrs.DOUBLED, tuple(holders))
    missing = pod_cidrs.unknown(names, facts, pods, length)
    if missing and len(missing) < len(names):
        yield Fault("groups.nodes", ", ".join(missing), pod_cidrs.NOT_KNOWN)


def vxlan_mesh_vni_is_legal(inventory: Inventory) -> Iterator[Fault]:
    value = inventory.value("vxlan_mesh_vni")
    number = integer(value)
    if "vxlan_mesh" in inventory.specs and value is not None and (number is None or not 1 <= number <= 16777215):
        yield Fault("vxlan_mesh_vni", value, "a VNI is a number from 1 to 16777215")


def routed_mtu_fits(inventory: Inventory) -> Iterator[Fault]:
    backend = _routed(inventory)
    if not backend:
        return
    variable = f"{backend}_mtu"
    for host in inventory.members("nodes"):
        mtu, link = integer(host.variables.get(variable, 0)), link_of(host, host.address)
        if not mtu:
            continue
        if mtu < SMALLEST_MTU:
            yield Fault(variable, mtu, f"take {SMALLEST_MTU} or more, or 0 to derive it from the underlay's")
        elif link and mtu + ROUTED[backend] > link[1]["mtu"]:
            header = f"with {ROUTED[backend]} bytes of VXLAN header it" if ROUTED[backend] else "it"
            most = link[1]["mtu"] - ROUTED[backend]
            remedy = f"{header} exceeds the {link[1]['mtu']} of {link[0]}; take {most} or less, or 0"
            yield Fault(variable, mtu, remedy, (host.name,))


def routed_masquerade_works(inventory: Inventory) -> Iterator[Fault]:
    backend = _routed(inventory)
    for host in inventory.members("nodes") if backend else ():
        variable = f"{backend}_masquerade"
        if host.facts and not host.facts["nft"] and str(host.variables.get(variable, True)).lower() == "true":
            yield Fault(variable, "true", "nftables is missing here; install it, or set false", (host.name,))


def host_routes_lead_everywhere(inventory: Inventory) -> Iterator[Fault]:
    if "host_routes" not in inventory.specs:
        return
    nodes = inventory.members("nodes")
    for host in nodes:
        link = link_of(host, host.address)
        if not link:
            continue
        gateway = host.variables.get("host_routes_gateway") or ""
        far = [
            f"{other.name} ({other.address})"
            for other in nodes
            if other.address and ipaddress.ip_address(other.address) not in link[2]
        ]
        if not gateway and far:
            remedy = (
                f"{', '.join(far)}: outside of {link[2]}; set it to the router there that leads to their pods, "
                "or take vxlan_mesh"
            )
            yield Fault("host_routes_gateway", None, remedy, (host.name,))
        if gateway and not _is_in(gateway, link[2]):
            yield Fault(
                "host_routes_gateway", gateway, f"not an address in {link[2]}, the network of {link[0]}", (host.name,)
            )


def _is_in(text: Any, network: IPv4) -> bool:
    try:
        return ipaddress.IPv4Address(str(text)) in network
    except ValueError:
        return False
