# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What the hosts' install records say against the inventory: a switch of the pod network, and hosts that are gone."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import declared
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import Check, Fault, Inventory
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.batches import batch_size

SWITCH = "cluster_network_switch"
# Components of the install record that know their peers, and the groups of those.
GROUPS = {
    "etcd": "etcd",
    "flanneld": "nodes",
    "calico-felix": "nodes",
    "coredns": "coredns",
    "api-load-balancer-keepalived": "api_load_balancer",
}


def switch_is_wanted(inventory: Inventory) -> Iterator[Fault]:
    """Another backend, or another network of the pods, detaches every pod: nobody should do that by a typing error."""
    wanted = inventory.value("cluster_network")
    told = inventory.value(SWITCH, False)
    try:
        allowed = boolean(told)
    except TypeError:
        yield Fault(SWITCH, told, "give true or false")
        return
    if allowed or wanted not in inventory.networks:
        return
    for host in inventory.members("nodes"):
        owners = host.facts.get("owners", ())
        for backend in inventory.networks:
            if backend != wanted and any(owner.startswith(backend) for owner in owners):
                remedy = (
                    f"{backend} is installed on these hosts, and their pods lose their network when it is removed. "
                    f"Set cluster_network: {backend} to keep it, or {SWITCH}: true to switch"
                )
                yield Fault("cluster_network", wanted, remedy, (host.name,))
        if any(owner.startswith(str(wanted)) for owner in owners):
            yield from _moved(inventory, host.name, str(wanted))


def _moved(inventory: Inventory, name: str, backend: str) -> Iterator[Fault]:
    """A node whose pods' bridge is in a network that the variables do not allow any more."""
    host = inventory.hosts[name]
    length = declared()[backend].subnet_length
    if not length:
        return
    own = declared()[backend].pod_network
    variable = own if host.variables.get(own) else "cluster_pod_cidr"
    bridge = host.facts.get("interfaces", {}).get(str(host.variables.get(f"{backend}_bridge", "cni0")))
    try:
        pods = ipaddress.IPv4Network(str(host.variables.get(variable)))
        wanted = int(host.variables.get(length, 24))
        held = [ipaddress.ip_interface(address) for address in (bridge or {}).get("addresses", ())]
    except ValueError:
        return  # judged elsewhere
    consent = f"which would be detached. Set {SWITCH}: true to go on"
    for network in [one.network for one in held if isinstance(one, ipaddress.IPv4Interface)]:
        if not network.subnet_of(pods):
            yield Fault(variable, pods, f"the pods of these hosts have addresses outside of it, {consent}", (name,))
        elif network.prefixlen != wanted and pods.prefixlen <= wanted <= 30:  # others are judged elsewhere
            yield Fault(length, wanted, f"the pods of these hosts are in a /{network.prefixlen}, {consent}", (name,))


def hosts_are_not_forgotten(inventory: Inventory) -> Iterator[Fault]:
    """A host that was taken out of the inventory keeps running, with certificates that are valid."""
    for group, known in _known(inventory).items():
        present = set(inventory.groups.get(group, ()))
        addresses = {host.address for host in inventory.members(group)}
        for name, address in sorted(known.items()):
            # Under another name, or at another address, it is still there.
            if name in present or (address and address in addresses):
                continue
            remedy = (
                "was in this group at the last run and is no longer. If it still runs, put it back, "
                f"run teardown --limit {name}, and take it out again"
            )
            yield Fault(f"groups.{group}", f"{name} ({address})" if address else name, remedy, warning=True)


def _known(inventory: Inventory) -> dict[str, dict[str, str]]:
    """Addresses of all hosts that the records of the others know, by group and name."""
    found: dict[str, dict[str, str]] = {}
    for host in inventory.hosts.values():
        for component, members in host.facts.get("members", {}).items():
            if component in GROUPS:
                found.setdefault(GROUPS[component], {}).update(members)
        for name in host.facts.get("pod_cidrs", {}):
            found.setdefault("nodes", {}).setdefault(name, "")
    # What a host without a daemon is told of has names only.
    return found


def batches_have_a_size(inventory: Inventory) -> Iterator[Fault]:
    size: Any = inventory.value("cluster_max_unavailable")
    if size is None:
        return
    try:
        batch_size(size, 1)
    except ValueError as error:
        yield Fault("cluster_max_unavailable", size, str(error).partition(": ")[2])


def kubeconfigs_have_a_server(inventory: Inventory) -> Iterator[Fault]:
    for host in inventory.hosts.values():
        variables = host.variables
        if variables.get("kubeconfig_files") and not (
            variables.get("kubeconfig_server") or variables.get("cluster_api_vip")
        ):
            remedy = (
                "kubeconfig_files need a server: set cluster_api_vip, or this to a URL such as https://192.0.2.100:6443"
            )
            yield Fault("kubeconfig_server", None, remedy, (host.name,))


CHECKS: tuple[Check, ...] = (
    switch_is_wanted,
    hosts_are_not_forgotten,
    batches_have_a_size,
    kubeconfigs_have_a_server,
)
