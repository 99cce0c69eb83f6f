# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What can be wrong with the network backends that have no daemon, and no leases."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import pod_cidrs
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    Checks,
    Fault,
    Inventory,
    integer,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.networks import (
    SMALLEST_MTU,
    link_of,
    network_of,
)


def pod_cidrs_suffice(backend: str, inventory: Inventory) -> Iterator[Fault]:
    pods = network_of(inventory, "cluster_pod_cidr")
    if pods is None:
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


def mtu_fits(backend: str, overhead: int, inventory: Inventory) -> Iterator[Fault]:
    variable = f"{backend}_mtu"
    for host in inventory.members("nodes"):
        mtu, link = integer(host.variables.get(variable, 0)), link_of(host, host.address)
        if not mtu:
            continue
        if mtu < SMALLEST_MTU:
            yield Fault(variable, mtu, f"take {SMALLEST_MTU} or more, or 0 to derive it from the underlay's")
        elif link and mtu + overhead > link[1]["mtu"]:
            header = f"with {overhead} bytes of header it" if overhead else "it"
            most = link[1]["mtu"] - overhead
            remedy = f"{header} exceeds the {link[1]['mtu']} of {link[0]}; take {most} or less, or 0"
            yield Fault(variable, mtu, remedy, (host.name,))


def masquerade_works(backend: str, inventory: Inventory) -> Iterator[Fault]:
    for host in inventory.members("nodes"):
        variable = f"{backend}_masquerade"
        if host.facts and not host.facts["nft"] and str(host.variables.get(variable, True)).lower() == "true":
            yield Fault(variable, "true", "nftables is missing here; install it, or set false", (host.name,))


def checks(backend: str, overhead: int) -> Checks:
    """Checks of a backend whose encapsulation adds this many bytes to a packet."""
    made = Checks(backend)
    for check in (partial(pod_cidrs_suffice, backend), partial(mtu_fits, backend, overhead)):
        made(check)
    made(partial(masquerade_works, backend))
    return made
