# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Addresses of hosts, and networks of pods and services."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.links import addresses_of, is_own
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    LABEL,
    Fault,
    Host,
    Inventory,
    IPv4,
    IPv6,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.networks import (
    link_of,
    network_of,
    pod_network,
)

# Addresses that no pod or service can have (RFC 6890, RFC 1112).
NOT_FOR_PODS = {
    "this host's": IPv4("0.0.0.0/8"),
    "loopback": IPv4("127.0.0.0/8"),
    "link-local": IPv4("169.254.0.0/16"),
    "multicast": IPv4("224.0.0.0/4"),
    "reserved": IPv4("240.0.0.0/4"),
}


def dns_domain_is_legal(inventory: Inventory) -> Iterator[Fault]:
    domain = inventory.value("cluster_dns_domain")
    if domain is None:
        return
    bad = [label for label in str(domain).split(".") if not LABEL.fullmatch(label)]
    if bad or len(str(domain)) > 253:
        yield Fault(
            "cluster_dns_domain",
            domain,
            f"label {bad[0]!r} is not legal: lower-case letters, digits and hyphens, 63 at most"
            if bad
            else "a name has 253 characters at most",
        )


def networks_are_well_formed(inventory: Inventory) -> Iterator[Fault]:
    for name in ("cluster_pod_cidr", "cluster_service_cidr", "flannel_network"):
        value = inventory.value(name)
        if value in (None, ""):
            continue
        try:
            network = ipaddress.ip_network(str(value))
        except ValueError as error:
            yield Fault(name, value, _network_hint(str(value), error))
            continue
        if network.version == 6:
            yield Fault(name, value, "IPv6 networks are not supported; give an IPv4 network")
        elif network.num_addresses == 1:
            meant = network.supernet(new_prefix=16)
            yield Fault(name, value, f"a single address; say how long the network's prefix is, such as {meant}")
        elif str(value) != str(network):
            yield Fault(name, value, f"write it as {network}, which every daemon reads")
        else:
            for kind, reserved in NOT_FOR_PODS.items():
                if network.overlaps(reserved):
                    yield Fault(name, value, f"holds {kind} addresses ({reserved}); take one such as 10.244.0.0/16")


def _network_hint(value: str, error: ValueError, example: str = "10.244.0.0/16") -> str:
    """What would be right in place of a text that is no network."""
    try:
        return f"host bits are set; did you mean {ipaddress.ip_network(value, strict=False)}?"
    except ValueError:
        return f"not a network such as {example} ({error})"


def networks_do_not_overlap(inventory: Inventory) -> Iterator[Fault]:
    (variable, pods), services = pod_network(inventory), network_of(inventory, "cluster_service_cidr")
    if pods and services and pods.overlaps(services):
        yield Fault("cluster_service_cidr", services, f"overlaps the pods' network {pods}; the two must be disjoint")
    for name, network in ((variable, pods), ("cluster_service_cidr", services)):
        if network:
            yield from _overlaps(inventory, name, network)


def _overlaps(inventory: Inventory, name: str, network: IPv4 | IPv6) -> Iterator[Fault]:
    """Hosts that are in a network already which is to be the pods' or the services'."""
    for host in inventory.hosts.values():
        for link, found in _foreign_networks(host, _bridges(inventory), network.version):
            if found.overlaps(network):
                remedy = f"overlaps {found}, the network of {link}; packets for it would not leave the pods' network"
                yield Fault(name, network, remedy, (host.name,))


def _bridges(inventory: Inventory) -> set[str]:
    """Bridges of the pods, of all backends: there may be a switch from one to another."""
    return {str(inventory.value(f"{backend}_bridge")) for backend in inventory.networks}


def _foreign_networks(host: Host, bridges: set[str], version: int = 4) -> Iterator[tuple[str, Any]]:
    """Networks of an IP version of the interfaces that are not the pod network's own."""
    for link, details in host.facts.get("interfaces", {}).items():
        if is_own(link) or link in bridges:
            continue
        for address in details["addresses"]:
            network = ipaddress.ip_interface(address).network
            # Every interface has its own link-local network of IPv6, in which nothing is routed.
            if network.version == version and not (version == 6 and network.is_link_local):
                yield link, network


def addresses_are_usable(inventory: Inventory) -> Iterator[Fault]:
    holders: dict[str, list[str]] = {}
    for host in inventory.hosts.values():
        if not host.address:
            told = host.variables.get("cluster_node_address") or None
            remedy = (
                "not an address such as 192.0.2.11"
                if told
                else "neither ansible_host nor the host's name is an address: set the one the other hosts reach it at"
            )
            yield Fault("cluster_node_address", told, remedy, (host.name,))
            continue
        holders.setdefault(host.address, []).append(host.name)
        address = ipaddress.ip_address(host.address)
        if address.version == 6:
            yield Fault(
                "cluster_node_address", address, "IPv6 underlays are not supported; give an IPv4 address", (host.name,)
            )
        elif address.is_loopback or address.is_multicast or address.is_unspecified:
            yield Fault("cluster_node_address", address, "not an address other hosts can reach", (host.name,))
        elif host.facts and not link_of(host, host.address):
            remedy = "on none of the host's interfaces; set it to one of " + ", ".join(sorted(addresses_of(host)))
            yield Fault("cluster_node_address", address, remedy, (host.name,))
    for held, names in holders.items():
        if len(names) > 1:
            yield Fault("cluster_node_address", held, "more than one host has it; each needs its own", tuple(names))


def addresses_answer(inventory: Inventory) -> Iterator[Fault]:
    names = {host.address: host.name for host in inventory.hosts.values()}
    for host in inventory.hosts.values():
        for address in host.facts.get("unreachable", ()):
            who = names.get(address, "it")
            remedy = f"{who} answers neither ICMP echo nor TCP from {host.name}; check cables, routes, firewalls"
            yield Fault("cluster_node_address", address, remedy)
        # Networks filter ICMP, and the cluster does not need it.
        for address, how in host.facts.get("without_echo", {}).items():
            remedy = f"{names.get(address, 'it')} {how}, but answers no ICMP echo from these hosts: is it filtered?"
            yield Fault("cluster_node_address", address, remedy, (host.name,), warning=True)
