# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Ports that daemons listen on: each is one, free, and taken once."""

from __future__ import annotations

from collections.abc import Iterator

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import Port, declared
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    NO_PORT,
    Fault,
    Host,
    Inventory,
    integer,
    legal,
)


def ports_are_free(inventory: Inventory) -> Iterator[Fault]:
    holders: dict[tuple[str, str, int], str] = {}
    for group, one in ports():
        variable, protocol = one.variable, one.protocol
        if not any(variable.startswith(f"{role}_") for role in inventory.specs):
            continue
        for host in inventory.members(group):
            shared = SHARED_PORTS.get(variable, variable)
            port = integer(host.variables.get(variable, host.variables.get(shared, one.default)))
            if not legal(port) and variable not in host.variables and shared != variable:
                continue  # reported for the shared variable
            if not legal(port):
                yield Fault(variable, host.variables.get(variable), NO_PORT)
                continue
            if not one.used(inventory):
                continue
            if variable in OPTIONAL_PORTS and not boolean(host.variables.get(OPTIONAL_PORTS[variable], False), False):
                continue
            other = holders.setdefault((host.name, protocol, port), variable)
            if other != variable:
                yield Fault(variable, port, f"{other} is the same; each needs its own", (host.name,))
            yield from takers(host, variable, port, protocol, one.process)


def takers(host: Host, variable: str, port: int, protocol: str, process: str) -> Iterator[Fault]:
    """The processes that keep one of ours from listening on a port."""
    for listener in host.facts.get("listeners", ()):
        if (
            (listener["protocol"], listener["port"]) == (protocol, port)
            # A socket of the kernel, such as that of a VXLAN device, has no process.
            and listener["process"] not in ("", process)
        ):
            remedy = f"taken by {listener['process']}; stop that, or choose another port"
            yield Fault(variable, f"{protocol}/{port}", remedy, (host.name,))


def ports() -> Iterator[tuple[str, Port]]:
    """All ports that are listened on, each with the group of the hosts that do."""
    yield from PORTS
    for backend in declared().values():
        yield from (("nodes", port) for port in backend.ports)


PORTS: tuple[tuple[str, Port], ...] = (
    ("etcd", Port("etcd_client_port", 2379, "tcp", "etcd")),
    ("etcd", Port("etcd_peer_port", 2380, "tcp", "etcd")),
    ("etcd", Port("etcd_metrics_port", 2381, "tcp", "etcd")),
    ("coredns", Port("coredns_health_port", 8180, "tcp", "coredns")),
    ("coredns", Port("coredns_ready_port", 8181, "tcp", "coredns")),
    ("coredns", Port("coredns_metrics_port", 9153, "tcp", "coredns")),
    ("nodes", Port("verify_performance_port", 15201, "tcp", "iperf3")),
    # In the pods' own namespaces, where nobody else is.
    ("nodes", Port("verify_port", 18080, "pod")),
)

# What a port follows where it is not set itself.
SHARED_PORTS = {"etcd_client_port": "cluster_etcd_client_port"}
# Opened on request only.
OPTIONAL_PORTS = {"verify_performance_port": "verify_performance"}
