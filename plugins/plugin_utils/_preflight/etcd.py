# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Members of etcd, its settings, and where its clients reach it."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import declared
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    NO_PORT,
    Fault,
    Inventory,
    integer,
    legal,
)


def etcd_has_a_quorum(inventory: Inventory) -> Iterator[Fault]:
    if "etcd" not in inventory.specs:
        return
    count = len(inventory.groups.get("etcd", ()))
    if count == 0:
        yield from _someone_runs_etcd(inventory)
    elif count % 2 == 0:
        remedy = f"an even number survives no more failures than {count - 1}; take {count - 1} or {count + 1}"
        yield Fault("groups.etcd", f"{count} members", remedy)
    elif count > 7:
        yield Fault("groups.etcd", f"{count} members", "every write waits for more than half of them; take 3 or 5")


def _someone_runs_etcd(inventory: Inventory) -> Iterator[Fault]:
    """Without members of its own a cluster may use another etcd; CoreDNS asks none unless it is given one."""
    backend = declared().get(str(inventory.value("cluster_network")))
    variable = backend.etcd_endpoints if backend else ""
    lacking = [
        host.name
        for host in inventory.members("nodes")
        if variable and not host.variables.get(variable) and not host.variables.get("cluster_etcd_endpoints")
    ]
    if lacking:
        remedy = "put 1, 3 or 5 hosts into it, or set cluster_etcd_endpoints to the URLs of an etcd that others run"
        without = () if len(lacking) == len(inventory.members("nodes")) else tuple(lacking)
        yield Fault("groups.etcd", "empty", remedy, without)


def etcd_settings_fit(inventory: Inventory) -> Iterator[Fault]:
    if "etcd" not in inventory.specs:
        return
    heartbeat = integer(inventory.value("etcd_heartbeat_interval", 100))
    election = integer(inventory.value("etcd_election_timeout", 1000))
    if heartbeat and election and election < 5 * heartbeat:
        remedy = f"must be at least five times etcd_heartbeat_interval, so {5 * heartbeat} or more"
        yield Fault("etcd_election_timeout", election, remedy)


def etcd_port_is_one(inventory: Inventory) -> Iterator[Fault]:
    """etcd's clients follow the variable of the cluster, so etcd must not have another one."""
    if "etcd" not in inventory.specs:
        return
    holders: dict[str, list[str]] = {}
    declared = inventory.declared("cluster_etcd_client_port")
    for host in inventory.hosts.values():
        holders.setdefault(str(host.variables.get("cluster_etcd_client_port", declared)), []).append(host.name)
    if len(holders) > 1:
        told = "; ".join(f"{value} ({', '.join(hosts)})" for value, hosts in holders.items())
        yield Fault("cluster_etcd_client_port", told, "must be the same on all hosts, since etcd's clients follow it")
        return
    (wanted,) = holders or [str(declared)]
    if not legal(integer(wanted)):
        yield Fault("cluster_etcd_client_port", wanted, NO_PORT)
        return
    for host in inventory.members("etcd"):
        own = host.variables.get("etcd_client_port", wanted)
        if legal(integer(own)) and integer(own) != integer(wanted):
            remedy = f"cluster_etcd_client_port is {wanted}, where etcd's clients look for it; set that one alone"
            yield Fault("etcd_client_port", own, remedy, (host.name,))
