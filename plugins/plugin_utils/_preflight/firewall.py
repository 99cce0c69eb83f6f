# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What can be wrong with the firewall of the ports between nodes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    Checks,
    Fault,
    Host,
    Inventory,
    legal,
)

ENABLED, ALLOWED = "cluster_firewall_enabled", "cluster_firewall_allowed"
CHECKS = Checks("cluster_firewall")


def guarded(inventory: Inventory) -> list[Host]:
    """Hosts that get the firewall."""
    every = {host.name: host for group in ("nodes", "etcd") for host in inventory.members(group)}
    return [host for host in every.values() if str(host.variables.get(ENABLED, True)).lower() in ("true", "yes", "1")]


@CHECKS
def hosts_have_nftables(inventory: Inventory) -> Iterator[Fault]:
    for host in guarded(inventory):
        if host.facts and not host.facts["nft"]:
            remedy = "nftables is missing here; install the package nftables, or set false"
            yield Fault(ENABLED, "true", remedy, (host.name,))


@CHECKS
def allowed_sources_are_well_formed(inventory: Inventory) -> Iterator[Fault]:
    for host in guarded(inventory):
        entries = host.variables.get(ALLOWED) or ()
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, Mapping):
                for why in _faults(entry):
                    yield Fault(f"{ALLOWED}[{number}]", dict(entry), why, (host.name,))


def _faults(entry: Mapping[str, Any]) -> Iterator[str]:
    source, protocol, ports = entry.get("source"), str(entry.get("protocol")), entry.get("ports") or []
    try:
        ipaddress.ip_network(str(source), strict=False)
    except ValueError:
        yield f"source {source} is no address and no network, such as 192.0.2.50 or 192.0.2.0/24"
    if protocol in ("tcp", "udp"):
        if not ports:
            yield f"no port is named; give the {protocol} ports that {source} may use"
        elif not all(str(port).isdecimal() and legal(int(port)) for port in ports):
            yield f"ports {ports}: each is a number of 1 to 65535"
    elif not protocol.isdecimal() or not 0 < int(protocol) < 256:
        yield f"protocol {protocol} is none; take tcp, udp, or the number of an IP protocol, such as 4 for IP-in-IP"
    elif ports:
        yield f"IP protocol {protocol} has no ports; leave them out"
