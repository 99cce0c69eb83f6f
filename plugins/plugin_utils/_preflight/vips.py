# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What can be wrong with the virtual addresses of the API."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    Fault,
    Host,
    Inventory,
    integer,
)

ROLE = "api_load_balancer"
FIRST_ROUTER = 51
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Vip:
    """A virtual address as wanted, and the variable that says so."""

    address: str
    interface: str
    router: Any
    variable: str

    @property
    def parsed(self) -> Address | None:
        """The address; None where it is not one."""
        return address_of(self.address)


def address_of(text: Any) -> Address | None:
    """An address; None for what is none, and for one with a scope, which means something on one host only."""
    try:
        return None if "%" in str(text) else ipaddress.ip_address(str(text))
    except ValueError:
        return None


def wanted_vips(inventory: Inventory) -> list[Vip]:
    wanted = inventory.value("api_load_balancer_vips")
    if wanted is None:
        only = inventory.value("cluster_api_vip")
        return [Vip(str(only), "", FIRST_ROUTER, "cluster_api_vip")] if only else []
    if not isinstance(wanted, list):
        return []  # the argument_specs have told so
    found: list[Vip] = []
    for vip in (vip for vip in wanted if isinstance(vip, Mapping)):
        address = str(vip.get("address", ""))
        # IPv6 addresses are no virtual routers of their own.
        position = sum(":" not in earlier.address for earlier in found)
        router = vip.get("virtual_router_id", FIRST_ROUTER + position)
        found.append(Vip(address, str(vip.get("interface", "")), router, "api_load_balancer_vips"))
    return found


def balancer_hosts(inventory: Inventory) -> list[Host]:
    return inventory.members(ROLE) if ROLE in inventory.specs else []


def vips_are_wanted(inventory: Inventory) -> Iterator[Fault]:
    if balancer_hosts(inventory) and not wanted_vips(inventory):
        yield Fault("cluster_api_vip", None, "set it to the address that the balancers are to hold")


def vips_are_addresses(inventory: Inventory) -> Iterator[Fault]:
    if not balancer_hosts(inventory):
        return
    seen: dict[Address, Vip] = {}
    for vip in wanted_vips(inventory):
        if vip.parsed is None:
            yield Fault(vip.variable, vip.address, "not an address such as 192.0.2.100, without a prefix length")
        elif vip.parsed in seen:
            yield Fault(vip.variable, vip.address, "is there twice")
        else:
            seen[vip.parsed] = vip


def vips_are_in_their_subnets(inventory: Inventory) -> Iterator[Fault]:
    for host in balancer_hosts(inventory):
        if not host.facts:
            continue
        for vip in wanted_vips(inventory):
            link = vip.interface or _link_of(host)
            if vip.interface and vip.interface not in host.facts["interfaces"]:
                there = ", ".join(sorted(host.facts["interfaces"]))
                yield Fault(vip.variable, vip.interface, f"no such interface; there are {there}", (host.name,))
                continue
            if vip.parsed is None or not link:
                continue
            networks = [
                interface.network
                for interface in map(ipaddress.ip_interface, host.facts["interfaces"][link]["addresses"])
                if interface.version == vip.parsed.version
                and interface.network.prefixlen < interface.network.max_prefixlen
                and not interface.is_link_local
            ]
            if not any(vip.parsed in network for network in networks):
                has = ", ".join(map(str, networks)) or f"no IPv{vip.parsed.version} network"
                remedy = f"outside of the networks of {link} ({has}); neighbours would not look for it there"
                yield Fault(vip.variable, vip.address, remedy, (host.name,))
            for network in networks:
                if network.version == 4 and vip.parsed in (network.network_address, network.broadcast_address):
                    yield Fault(vip.variable, vip.address, f"not an address of a machine in {network}", (host.name,))


def _link_of(host: Host) -> str:
    """Interface that has a host's own address."""
    for link, details in host.facts["interfaces"].items():
        if host.address in {held.partition("/")[0] for held in details["addresses"]}:
            return str(link)
    return ""


def ipv6_vips_have_company(inventory: Inventory) -> Iterator[Fault]:
    for host in balancer_hosts(inventory):
        if not host.facts:
            continue
        links = {vip.interface or _link_of(host) for vip in wanted_vips(inventory) if ":" not in vip.address}
        for vip in wanted_vips(inventory):
            if ":" in vip.address and (vip.interface or _link_of(host)) not in links:
                remedy = "needs an IPv4 address on the same interface to go with: the balancers talk IPv4 to each other"
                yield Fault(vip.variable, vip.address, remedy, (host.name,))


def vips_belong_to_nobody(inventory: Inventory) -> Iterator[Fault]:
    balancers = balancer_hosts(inventory)
    own = {details["mac"] for host in balancers for details in host.facts.get("interfaces", {}).values()}
    for vip in wanted_vips(inventory) if balancers else ():
        if vip.parsed is None:
            continue
        for host in inventory.hosts.values():
            # On a balancer the address may be its own virtual one, which keepalived puts there alone.
            has = {address_of(host.address)} | {
                interface.ip
                for details in host.facts.get("interfaces", {}).values()
                for interface in map(ipaddress.ip_interface, details["addresses"])
                if host not in balancers or interface.network.prefixlen < interface.network.max_prefixlen
            }
            if vip.parsed in has:
                yield Fault(vip.variable, vip.address, f"the address of {host.name}; take one that no machine has")
        for host in balancers:
            for mac in host.facts.get("answered", {}).get(vip.address, ()):
                if mac not in own:
                    remedy = f"a machine with the MAC {mac}, none of the balancers, answers for it; take a free address"
                    yield Fault(vip.variable, vip.address, remedy)


def virtual_routers_are_distinct(inventory: Inventory) -> Iterator[Fault]:
    users: dict[tuple[int, str], list[str]] = {}
    for vip in wanted_vips(inventory) if balancer_hosts(inventory) else ():
        if ":" in vip.address:
            continue
        number = integer(vip.router)
        if number is None or not 1 <= number <= 255:
            remedy = "virtual_router_id is a number from 1 to 255"
            yield Fault("api_load_balancer_vips", vip.router, remedy)
            continue
        users.setdefault((number, vip.interface), []).append(vip.address)
    for (number, interface), addresses in users.items():
        # An interface that is not named is one of those that are.
        also = [address for (other, link), held in users.items() if other == number and link != interface
                and "" in (link, interface) for address in held]  # fmt: skip
        if len(addresses) > 1 or also:
            who = ", ".join(sorted({*addresses, *also}))
            remedy = f"virtual_router_id of {who}; each needs its own on a link"
            yield Fault("api_load_balancer_vips", number, remedy)
