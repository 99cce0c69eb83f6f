# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Ports that daemons listen on: each is one, free, and taken once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import Port, declared
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components import declarations
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
            shared = _shared(variable)
            port = integer(host.variables.get(variable, host.variables.get(shared, one.default)))
            if not legal(port) and variable not in host.variables and shared != variable:
                continue  # reported for the shared variable
            if not legal(port):
                yield Fault(variable, host.variables.get(variable), NO_PORT)
                continue
            if not one.used(inventory) or not _is_open(variable, host):
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
    """All ports that are listened on, each with the group of the hosts that do; those of nodes yield to the others."""
    for component in sorted(declarations.declared().values(), key=lambda one: one.group == "nodes"):
        for one in component.ports:
            yield component.group, Port(one.variable, component.port_default(one), one.protocol, one.process)
    for backend in declared().values():
        yield from (("nodes", port) for port in backend.ports)


@cache
def _declared_ports() -> dict[str, tuple[declarations.Component, declarations.Port]]:
    """Ports that components declare, by their variables."""
    return {port.variable: (one, port) for one in declarations.declared().values() for port in one.ports}


def _shared(variable: str) -> str:
    """The variable of the cluster that a port follows where it is not set itself."""
    _component, port = _declared_ports().get(variable, (None, None))
    return port.follows if port and port.follows else variable


def _is_open(variable: str, host: Host) -> bool:
    """Whether the variables of a host have its component listen there."""
    component, port = _declared_ports().get(variable, (None, None))
    return not component or not port or component.holds(port.where, host.variables)
