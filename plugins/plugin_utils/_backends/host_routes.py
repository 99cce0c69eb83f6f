# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Network backend host_routes: what it declares, and what can be wrong with it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import static_network
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import (
    Backend,
    Firewall,
    Value,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import Fault, Inventory, IPv4
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.networks import link_of

CHECKS = static_network.checks("host_routes", 0)


@CHECKS
def routes_lead_everywhere(inventory: Inventory) -> Iterator[Fault]:
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


def firewall(value: Value) -> Firewall:
    """Nothing but the pods' bridge: their packets travel as they are."""
    return Firewall([value("cluster_pod_cidr", "")], interfaces=[value("host_routes_bridge", "cni0")])


BACKEND = Backend(
    name="host_routes",
    binaries=("cni-plugins",),
    firewall=firewall,
    reads=("cluster_pod_cidr",),
    checks=tuple(CHECKS),
    cluster_wide=("host_routes_subnet_length",),
    subnet_length="host_routes_subnet_length",
)
