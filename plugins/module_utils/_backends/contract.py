# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What a network backend says on a node: how packets for the pods of another node leave it.

Settling, drift and diagnosis compare the kernel with this one answer. A file of this folder that has HOST_BACKEND is
the host's half of the backend of its name.
"""

from __future__ import annotations

import ipaddress
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

# Whether the address of a node can be reached without a router.
Near = Callable[[str], bool]
# Where the JSON of `ip` has the next hop of a route, or several.
HOPS = {"gateway", "via", "nexthops"}


@dataclass(frozen=True)
class Node:
    """A node with its address on the underlay and the network of its pods, such as 10.244.1.0/24."""

    name: str
    address: str
    pod_cidr: str


@dataclass(frozen=True)
class Path:
    """How packets for the pods of a peer leave a node.

    Without a device they leave through that of the underlay. Without a next hop the backend's daemon chooses it.
    ``encapsulation`` is the kind of the tunnel, as `ip link` names it, and ``remote`` the address that the outer packet
    is sent to; both are empty for a plain route.
    """

    device: str = ""
    next_hop: str = ""
    encapsulation: str = ""
    remote: str = ""

    def has(self, route: Mapping[str, Any]) -> bool:
        """Whether a route in the JSON of `ip` leads this way."""
        device, gateway = route.get("dev", ""), route.get("gateway", "")
        return self.device in ("", device) and self.next_hop in ("", gateway)

    def text(self, underlay: str = "the underlay") -> str:
        """The route as in a message."""
        return f"{self.next_hop or 'none'} dev {self.device or underlay}"


class HostBackend(ABC):
    """The host's half of a network backend, of one node.

    ``settings`` are those of the backend that decide over paths; each backend says which in its docstring.
    """

    name: str

    def __init__(self, settings: Mapping[str, Any], near: Near) -> None:
        self.settings = settings
        self.near = near

    @abstractmethod
    def expected_path(self, peer: Node) -> Optional[Path]:
        """The path to the pods of another node; None where there is none, or where a routing protocol decides."""


def in_network(network: ipaddress.IPv4Network) -> Near:
    """Nodes are near that have an address in the network of this one."""
    return lambda address: ipaddress.IPv4Address(address) in network


def on_link(routes: Iterable[Mapping[str, Any]]) -> Near:
    """Nodes are near that the narrowest route leads to without a gateway."""
    networks = [
        (ipaddress.IPv4Network("0.0.0.0/0" if route["dst"] == "default" else route["dst"]), not HOPS & route.keys())
        for route in routes
        if ":" not in route["dst"] and route.get("type", "unicast") == "unicast"
    ]
    networks.sort(key=lambda one: -one[0].prefixlen)

    def near(address: str) -> bool:
        return next((direct for network, direct in networks if ipaddress.IPv4Address(address) in network), False)

    return near
