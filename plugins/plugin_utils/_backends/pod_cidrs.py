# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Which part of the pod network each node has, where nobody hands out leases.

What a node has it keeps, also one that is not in this run but known to another that is. A new node
takes the lowest part that is free. So neither the order of the inventory nor a node that joins or
leaves moves another. The IPv6 network of a node has the number among the parts of its own network that the IPv4 one
has among those of its, so there is nothing more to be handed out.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

IPv4 = ipaddress.IPv4Network
IPv6 = ipaddress.IPv6Network
# Prefix length of a node's IPv6 network: what hosts' addresses are made for (RFC 4291).
LENGTH_V6 = 64
NOT_KNOWN = "not in this run, and no node of it knows its pod CIDR; run once for all nodes"
DOUBLED = "is had by each of them; on a copy of another machine remove /etc/binary_cluster first"


class PodCidrError(Exception):
    """A node cannot be given a pod CIDR; the message says why."""


def held(names: Sequence[str], facts: Mapping[str, Mapping[str, Any]], network: IPv4, length: int) -> dict[str, IPv4]:
    """What nodes have already, by their own word first, and else by that of others.

    ``facts`` are those of module host_facts. What is no such part of the network does not count.
    """
    found: dict[str, IPv4] = {}
    for name in names:
        own = _part(facts.get(name, {}).get("pod_cidr"), network, length)
        if own:
            found[name] = own
    for name in names:
        for other in facts.values():
            told = _part(other.get("pod_cidrs", {}).get(name), network, length)
            # One that was out of the run for long may have heard of what is another's by now.
            if told and name not in found and told not in found.values():
                found[name] = told
    return found


def unknown(names: Sequence[str], facts: Mapping[str, Mapping[str, Any]], network: IPv4, length: int) -> list[str]:
    """Nodes that are not in the run, and of which no node that is knows the pod CIDR."""
    known = held(names, facts, network, length)
    return [name for name in names if not facts.get(name) and name not in known]


def doubled(found: Mapping[str, IPv4]) -> dict[str, list[str]]:
    """Pod CIDRs that more than one node has, with these nodes."""
    holders: dict[str, list[str]] = {}
    for name, part in found.items():
        holders.setdefault(str(part), []).append(name)
    return {part: names for part, names in holders.items() if len(names) > 1}


def pod_cidrs(
    names: Sequence[str], facts: Mapping[str, Mapping[str, Any]], network: IPv4, length: int
) -> dict[str, str]:
    """Pod CIDR of every node, by name. Raises PodCidrError."""
    missing = unknown(names, facts, network, length)
    if missing:
        raise PodCidrError(f"{', '.join(missing)}: {NOT_KNOWN}")
    found = held(names, facts, network, length)
    for part, holders in doubled(found).items():
        raise PodCidrError(f"{', '.join(holders)}: {part} {DOUBLED}")
    taken = set(found.values())
    free = (part for part in network.subnets(new_prefix=length) if part not in taken)
    new = [name for name in names if name not in found]
    found.update(zip(new, itertools.islice(free, len(new))))
    if len(found) < len(names):
        raise PodCidrError(
            f"{', '.join(name for name in names if name not in found)}: no /{length} of {network} is free"
        )
    return {name: str(found[name]) for name in names}


def room_v6(network: IPv6) -> int:
    """How many nodes there can be an IPv6 network for."""
    return int(2 ** (LENGTH_V6 - network.prefixlen)) if network.prefixlen <= LENGTH_V6 else 0


def derived_v6(part: str, network: IPv4, network_v6: IPv6) -> str:
    """The IPv6 network of a node, from its pod CIDR. Raises PodCidrError."""
    own = IPv4(part)
    number = (int(own.network_address) - int(network.network_address)) >> (32 - own.prefixlen)
    if number >= room_v6(network_v6):
        raise PodCidrError(f"{network_v6} has no /{LENGTH_V6} for {part}, which is part {number} of {network}")
    return str(IPv6((int(network_v6.network_address) + (number << (128 - LENGTH_V6)), LENGTH_V6)))


def _part(text: str | None, network: IPv4, length: int) -> IPv4 | None:
    part = IPv4(text) if text else None
    return part if part and part.prefixlen == length and part.subnet_of(network) else None
