# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What Calico keeps in etcd and makes in the kernel, as far as a node of it has to be judged.

Keys are those of libcalico-go (lib/backend/model/block_affinity.go), ``birdc`` is BIRD 2's.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends.contract import (
    HostBackend,
    Node,
    Path,
    in_network,
)

# Seconds in which Felix answers, unless it hangs.
PATIENCE = 2.0
BIRD_SOCKET = "/run/calico/bird.ctl"
PREFIX = "/calico/"
NODES = f"{PREFIX}resources/v3/projectcalico.org/nodes/"
BLOCKS = f"{PREFIX}ipam/v2/host/"
# The routing protocol's number that Felix gives its routes (DeviceRouteProtocol).
PROTOCOL = "80"
# The tunnel of an encapsulation; empty for plain routes.
TUNNELS = {
    "vxlan": "vxlan.calico",
    "vxlan_cross_subnet": "vxlan.calico",
    "ipip": "tunl0",
    "ipip_cross_subnet": "tunl0",
    "none": "",
}
# Links that Felix and the CNI plugin make. tunl0 is the kernel's own.
LINK = re.compile(r"(cali[0-9a-f]{11}|vxlan\.calico)")
# Key of a block: node, and network with a hyphen for the slash.
_BLOCK = re.compile(rf"{BLOCKS}(?P<node>[^/]+)/ipv4/block/(?P<address>[0-9.]+)-(?P<length>\d+)")
# Name, protocol, table, state, since, and what BIRD says of it.
_SESSION = re.compile(r"(?P<name>\S+)\s+BGP\s+\S+\s+(?P<state>\S+)\s+[0-9:.-]+(?: [0-9:.]+)?\s*(?P<info>.*)")


def _asked(port: int, what: str) -> str:
    """What Felix has against being called live or ready, in its own words; empty where it has nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", what)
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace")
    finally:
        connection.close()
    return "" if answer.status == 200 else " ".join(said.split()) or f"it answers {answer.status}"


def unreadiness(port: int) -> str:
    """Why Felix is not in step with etcd and the kernel, in its own words; empty where it is."""
    try:
        return _asked(port, "/readiness")
    except (OSError, http.client.HTTPException) as error:
        return f"no answer on port {port}: {getattr(error, 'strerror', None) or error}"


def starts(port: int) -> bool:
    """Whether Felix is still starting, which takes as long as the machine does.

    Until it listens nobody takes the connection; then it is live, and not ready. One that hangs takes the
    connection and does not answer, or finds itself that a part of it is not live any more.
    """
    try:
        return bool(_asked(port, "/readiness")) and not _asked(port, "/liveness")
    except ConnectionRefusedError:
        return True
    except (OSError, http.client.HTTPException):
        return False


@dataclass(frozen=True)
class Block:
    """A part of a pool whose addresses a node gives its pods."""

    node: str
    network: str


class Calico(HostBackend):
    """Calico's encapsulations; ``encapsulation`` among the settings is that of the pools."""

    name = "calico"

    def expected_path(self, peer: Node) -> Optional[Path]:
        kind, _underscore, cross_subnet = self.settings["encapsulation"].partition("_")
        if kind == "none" or (cross_subnet and self.near(peer.address)):
            # Routers and route reflectors may name other next hops between subnets.
            return Path(next_hop=peer.address) if self.near(peer.address) else None
        # Felix chooses the next hop for VXLAN: the address of the peer's tunnel, which is that of a pod.
        next_hop = peer.address if kind == "ipip" else ""
        return Path(TUNNELS[kind], next_hop, kind, peer.address)


HOST_BACKEND = Calico


def blocks(keys: Iterable[str]) -> list[Block]:
    """Blocks that nodes have claimed, from the keys under BLOCKS."""
    found = (_BLOCK.fullmatch(key) for key in keys)
    return [Block(one["node"], f"{one['address']}/{one['length']}") for one in found if one]


def addresses(kept: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Addresses of nodes by name, from what is under NODES."""
    found = {}
    for key, entry in kept.items():
        address = json.loads(entry["value"]).get("spec", {}).get("bgp", {}).get("ipv4Address", "")
        if address:
            found[key[len(NODES) :]] = address.partition("/")[0]
    return found


def missing_routes(
    held: Iterable[Block],
    routes: Iterable[Mapping[str, Any]],
    own: str,
    nodes: Mapping[str, str],
    network: str,
    encapsulation: str,
) -> list[str]:
    """Blocks of other nodes that no route, or one through another device, leads to; a sentence each.

    ``nodes`` maps names to addresses, ``network`` is that of this node's underlay. Felix makes routes of
    the modes with VXLAN only: in the others they are BIRD's, one for a pod.
    """
    if not encapsulation.startswith("vxlan"):
        return []
    backend = Calico({"encapsulation": encapsulation}, in_network(ipaddress.IPv4Network(network)))
    by_target = {route["dst"]: route for route in routes}
    found = []
    for block in held:
        if block.node == own or block.node not in nodes:
            continue
        path = backend.expected_path(Node(block.node, nodes[block.node], block.network))
        route = by_target.get(block.network)
        if route is None:
            found.append(f"no route to {block.network} of {block.node}")
        elif path is not None and not path.has(route):
            gateway = f" via {route['gateway']}" if "gateway" in route else ""
            found.append(f"route to {block.network} of {block.node} through {route.get('dev', '')}{gateway}")
    return found


def sessions(said: str) -> dict[str, str]:
    """BGP sessions that are not established, by name, with BIRD's reason; from ``show protocols``."""
    found = (_SESSION.fullmatch(line) for line in said.splitlines())
    return {
        one["name"]: one["info"].strip() or one["state"]
        for one in found
        if one and not one["info"].startswith("Established")
    }
