# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What a network backend declares to the controller. A file of this folder that has BACKEND is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import link as vxlan_link
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import Check, Inventory

# What an encapsulation adds to a packet, in bytes, over IPv4.
HEADERS = {"vxlan": vxlan_link.OVERHEAD[4], "ipip": 20, "udp": 28}


# Gives the value of a variable on a node, or a default.
Value = Callable[[str, Any], Any]


@dataclass(frozen=True)
class Firewall:
    """What role cluster_firewall needs to know of a backend on a node.

    ``closed`` are protocols with their ports that members alone may use, ``allowed`` who else takes part in them.
    ``interfaces`` are those that packets of pods come in by; none where the backend checks the sources of these itself.
    ``networks`` are those of the pods.
    """

    networks: Sequence[str]
    closed: Sequence[Mapping[str, Any]] = ()
    interfaces: Sequence[str] = ()
    allowed: Sequence[Mapping[str, Any]] = ()


def udp(port: Any) -> dict[str, Any]:
    """A UDP port that members alone may use."""
    return {"protocol": "udp", "ports": [int(port)]}


@dataclass(frozen=True)
class Where:
    """A condition: a variable of the role, or its default, has one of these values."""

    variable: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Package:
    """A set of distribution packages, by its name in role binaries, and where it is needed. None is everywhere."""

    name: str
    where: Where | None = None


@dataclass(frozen=True)
class Port:
    """A port that a backend's processes listen on, on every node.

    ``process`` is empty where the kernel listens. ``used`` says whether the variables have the backend listen there.
    """

    variable: str
    default: int
    protocol: str
    process: str = ""
    used: Callable[[Inventory], bool] = lambda _inventory: True


@dataclass(frozen=True)
class Backend:
    """The controller's half of a network backend.

    ``binaries`` are artifacts of role binaries that every node needs, ``packages`` sets of distribution packages.
    ``links`` is a regular expression of the names of all links that it makes. ``cluster_wide`` are variables that have
    one value on all nodes; ``reads`` are the variables of the cluster that its role reads. ``subnet_length`` is the
    variable with the length of a node's subnet, where the pods of a node are in one; ``pod_network`` that with a
    network of the pods other than the cluster's; ``etcd_endpoints`` that with the URLs of an etcd that others run.
    Each is empty where there is none.
    """

    name: str
    checks: tuple[Check, ...]
    cluster_wide: tuple[str, ...]
    binaries: tuple[str, ...]
    firewall: Callable[[Value], Firewall]
    reads: tuple[str, ...]
    packages: tuple[Package, ...] = ()
    links: str = ""
    ports: tuple[Port, ...] = ()
    subnet_length: str = ""
    pod_network: str = ""
    etcd_endpoints: str = ""


@cache
def declared() -> Mapping[str, Backend]:
    """All network backends by their names, which are those of their roles."""
    package = __name__.rpartition(".")[0]
    modules = [import_module(f"{package}.{path.stem}") for path in sorted(Path(__file__).parent.glob("[!_]*.py"))]
    backends = [module.BACKEND for module in modules if hasattr(module, "BACKEND")]
    return {backend.name: backend for backend in backends}
