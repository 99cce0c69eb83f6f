# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Links of the hosts that a network backend would take, and whose they are."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import flannel, static_network
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import links
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    Check,
    Fault,
    Host,
    Inventory,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.networks import pod_network

BRIDGE = "cni0"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,14}")


def bridge_is_ours(inventory: Inventory) -> Iterator[Fault]:
    """The pods' bridge has a legal name, and what is there under it is ours, or has no address yet."""
    backend = str(inventory.value("cluster_network"))
    variable = f"{backend}_bridge"
    if variable not in inventory.specs.get(backend, {}):
        return
    for host in inventory.members("nodes"):
        name = str(host.variables.get(variable, BRIDGE))
        if not NAME.fullmatch(name) or name in ("all", "default"):
            remedy = "not the name of a link: take up to 15 letters, digits and ._-, and none of .- first"
            yield Fault(variable, repr(name), remedy)
            continue
        link = host.facts.get("interfaces", {}).get(name, {})
        if "kind" not in link:
            continue
        foreign = [address for address in link["addresses"] if ":" not in address and address not in _gateway(host)]
        if link["owner"]:
            yield from _second_addresses(inventory, host, variable, name)
        elif link["kind"] != "bridge":
            yield Fault(variable, name, links.OTHER_KIND, (host.name,))
        elif foreign:
            yield Fault(variable, name, links.foreign_bridge(name, foreign), (host.name,))


def _gateway(host: Host) -> list[str]:
    """Address of the pods' bridge, where a backend without a daemon was applied."""
    pod_cidr = host.facts.get("pod_cidr")
    return [static_network.gateway_of(pod_cidr)] if pod_cidr else []


def _second_addresses(inventory: Inventory, host: Host, variable: str, name: str) -> Iterator[Fault]:
    """Addresses of a bridge of ours that lead into the pods' network, and that we did not give it."""
    _variable, pods = pod_network(inventory)
    link = host.facts["interfaces"][name]
    own = link["own_addresses"]
    networks = [ipaddress.ip_interface(address).network for address in own]
    for address in link["addresses"]:
        network = ipaddress.ip_interface(address).network
        near = pods is not None and network.version == 4 and network.overlaps(pods)
        if own and address not in own and network not in networks and near:
            yield Fault(variable, name, links.second_address(name, address, own[0]), (host.name,))


def tunnel_is_ours(inventory: Inventory) -> Iterator[Fault]:
    """The tunnel that a backend makes is not there as somebody else's."""
    if "vxlan_mesh" in inventory.specs:
        variable, name = "cluster_network", static_network.DEVICE
    elif "flannel" in inventory.specs:
        backend = str(inventory.value("flannel_backend", "vxlan"))
        vni = inventory.value("flannel_vxlan_vni", 1)
        variable = "flannel_vxlan_vni" if backend == "vxlan" else "flannel_backend"
        name = flannel.device({"Backend": {"Type": backend, "VNI": vni}})
    else:
        return
    for host in inventory.members("nodes"):
        link = host.facts.get("interfaces", {}).get(name, {})
        if "kind" in link and not link["owner"]:
            shown = inventory.value(variable, vni if variable == "flannel_vxlan_vni" else "vxlan")
            yield Fault(variable, shown, links.foreign_link(name), (host.name,))


CHECKS: tuple[Check, ...] = (bridge_is_ours, tunnel_is_ours)
