# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What can be wrong with the IPv6 network of the pods."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends.static_network import DEVICE
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import pod_cidrs
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    Checks,
    Fault,
    Inventory,
    IPv6,
    integer,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.networks import (
    _network_hint,
    _overlaps,
)

VARIABLE = "cluster_pod_cidr_v6"
BACKEND = "vxlan_mesh"
EXAMPLE = "fd00:10:244::/48"
# What every host must take (RFC 8200, section 5).
SMALLEST_MTU = 1280
CHECKS = Checks("node")


def network(inventory: Inventory) -> IPv6 | None:
    """The IPv6 network of the pods; None where there is none, or none that is well-formed."""
    try:
        return IPv6(str(inventory.value(VARIABLE) or ""))
    except ValueError:
        return None


@CHECKS
def network_is_well_formed(inventory: Inventory) -> Iterator[Fault]:
    value = inventory.value(VARIABLE)
    if not value:
        return
    try:
        found = ipaddress.ip_network(str(value))
    except ValueError as error:
        yield Fault(VARIABLE, value, _network_hint(str(value), error, EXAMPLE))
        return
    if found.version == 4:
        yield Fault(VARIABLE, value, f"an IPv4 network; that is cluster_pod_cidr. Give an IPv6 one, such as {EXAMPLE}")
    elif found.is_link_local or found.is_multicast or found.is_loopback or found.is_unspecified:
        yield Fault(
            VARIABLE, value, f"not a network that hosts route; take one of unique local ones, such as {EXAMPLE}"
        )


@CHECKS
def backend_carries_it(inventory: Inventory) -> Iterator[Fault]:
    backend = inventory.value("cluster_network")
    if inventory.value(VARIABLE) and backend in inventory.networks and backend != BACKEND:
        remedy = f"{backend} gives pods no IPv6 addresses here; take cluster_network: {BACKEND}, or leave it out"
        yield Fault(VARIABLE, inventory.value(VARIABLE), remedy)


@CHECKS
def every_node_has_a_part(inventory: Inventory) -> Iterator[Fault]:
    found, whole = network(inventory), inventory.value("cluster_pod_cidr")
    length = integer(inventory.value("vxlan_mesh_subnet_length", 24))
    if found is None or length is None:
        return
    try:
        parts = 2 ** (length - ipaddress.IPv4Network(str(whole)).prefixlen)
    except ValueError:
        return
    room = pod_cidrs.room_v6(found)
    if room < parts:
        longest = pod_cidrs.LENGTH_V6 - max(0, int(parts - 1).bit_length())
        remedy = (
            f"has room for {room} networks of /{pod_cidrs.LENGTH_V6}, and cluster_pod_cidr has {parts} parts of "
            f"/{length}, each with an IPv6 network of its own; take a /{longest} or larger"
        )
        yield Fault(VARIABLE, found, remedy)


@CHECKS
def network_is_free(inventory: Inventory) -> Iterator[Fault]:
    found = network(inventory)
    if found:
        yield from _overlaps(inventory, VARIABLE, found)


@CHECKS
def kernel_has_ipv6(inventory: Inventory) -> Iterator[Fault]:
    """An interface that is made anew takes what is set for ``default``."""
    bridge = str(inventory.value(f"{BACKEND}_bridge", "cni0"))
    for host in inventory.members("nodes") if network(inventory) else ():
        off = host.facts.get("ipv6_off", ())
        for name in ("all", "default", DEVICE, bridge):
            if name not in off:
                continue
            remedy = (
                f"IPv6 is switched off on the host: sysctl -w net.ipv6.conf.{name}.disable_ipv6=0, and look in "
                "/etc/sysctl.d and the kernel's command line (ipv6.disable) for what switches it off"
            )
            yield Fault(VARIABLE, network(inventory), remedy, (host.name,))
            break


@CHECKS
def mtu_is_large_enough(inventory: Inventory) -> Iterator[Fault]:
    for host in inventory.members("nodes") if network(inventory) else ():
        mtu = integer(host.variables.get(f"{BACKEND}_mtu", 0))
        if mtu and mtu < SMALLEST_MTU:
            remedy = f"IPv6 needs {SMALLEST_MTU} at least, or 0 to derive it from the underlay's"
            yield Fault(f"{BACKEND}_mtu", mtu, remedy, (host.name,))
