# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Networks that variables say, and addresses that hosts have."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    Fault,
    Host,
    Inventory,
    IPv4,
    integer,
)

# What every host must take (RFC 791).
SMALLEST_MTU = 576


def network_of(inventory: Inventory, name: str) -> IPv4 | None:
    """A network that a variable says; None where it says none."""
    try:
        network = ipaddress.IPv4Network(str(inventory.value(name)))
    except ValueError:
        return None
    return network if network.num_addresses > 1 else None


def pod_network(inventory: Inventory) -> tuple[str, IPv4 | None]:
    """Network of the pods, and the variable that says it."""
    own = inventory.value("cluster_network") == "flannel" and inventory.value("flannel_network")
    name = "flannel_network" if own else "cluster_pod_cidr"
    return name, network_of(inventory, name)


def link_of(host: Host, address: str) -> tuple[str, Mapping[str, Any], IPv4] | None:
    """Interface that has an address: its name, its facts and its network."""
    for link, details in host.facts.get("interfaces", {}).items():
        for held in details["addresses"]:
            interface = ipaddress.ip_interface(held)
            if str(interface.ip) == address and isinstance(interface.network, IPv4):
                return link, details, interface.network
    return None


def illegal_vni(inventory: Inventory, variable: str) -> Iterator[Fault]:
    """What is wrong with a VXLAN network identifier, where the variable is set (RFC 7348: 24 bits)."""
    value = inventory.value(variable)
    number = integer(value)
    if value is not None and (number is None or not 1 <= number <= 16777215):
        yield Fault(variable, value, "a VNI is a number from 1 to 16777215")
