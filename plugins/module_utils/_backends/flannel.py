# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What flannel's leases in etcd ask of a node's kernel, and where the two disagree.

A lease is a key ``<prefix>/subnets/10.244.7.0-24`` whose value names the node's address, the
backend, and for VXLAN the MAC of its VTEP (github.com/flannel-io/flannel, pkg/subnet/etcd).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends.contract import (
    HostBackend,
    Node,
    Path,
    on_link,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel.iproute import IpRoute

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
LINK = re.compile(r"flannel(0|\.\d+|-v6\.\d+|\.ipip)")
FIXED_DEVICES = {"udp": "flannel0", "ipip": "flannel.ipip"}


@dataclass(frozen=True)
class Lease:
    """Part of the pod network that a node holds."""

    subnet: str
    address: str
    backend: str
    vtep_mac: str
    vni: int
    lease_id: int


def leases(keys: Mapping[str, Mapping[str, Any]], prefix: str) -> list[Lease]:
    """Leases from the keys under ``<prefix>/subnets/``."""
    found = []
    for key, entry in sorted(keys.items()):
        value = json.loads(entry["value"])
        data = value.get("BackendData") or {}
        found.append(
            Lease(
                subnet=key[len(f"{prefix}/subnets/") :].replace("-", "/"),
                address=value["PublicIP"],
                # The udp backend leaves its name out.
                backend=value.get("BackendType") or "udp",
                vtep_mac=data.get("VtepMAC", ""),
                vni=int(data.get("VNI", 0)),
                lease_id=int(entry["lease"]),
            )
        )
    return found


def lease_key(prefix: str, subnet: str) -> str:
    """Key of the lease of a subnet."""
    return f"{prefix}/subnets/{subnet.replace('/', '-')}"


def device(network: Mapping[str, Any]) -> str:
    """Name of the link a configuration makes; empty where it makes none."""
    backend = network["Backend"]
    if backend["Type"] == "vxlan":
        return f"flannel.{backend.get('VNI', 1)}"
    return FIXED_DEVICES.get(backend["Type"], "")


class Flannel(HostBackend):
    """Flannel's backends. Settings are its network configuration, as in etcd.

    flanneld routes plainly to nodes that the kernel's routes lead to without a gateway (pkg/backend/vxlan and /ipip).
    """

    name = "flannel"

    def expected_path(self, peer: Node) -> Optional[Path]:
        if self.direct and self.near(peer.address):
            return Path(next_hop=peer.address)
        return self.tunnel(peer)

    @property
    def direct(self) -> bool:
        """Whether there are plain routes beside those through the link."""
        return bool(self.settings["Backend"].get("DirectRouting"))

    def taken_path(self, peer: Node, route: Mapping[str, Any]) -> Optional[Path]:
        """The path that a route takes, where flanneld makes such ones, and else the expected one.

        flanneld replaces a plain route and one through its link by the other itself, without a gap, and knows better
        which node is near: it asks all rules and tables.
        """
        plain = Path(next_hop=peer.address)
        paths = [self.tunnel(peer), *([plain] if self.direct else [])]
        return next((path for path in paths if path and path.has(route)), self.expected_path(peer))

    def tunnel(self, peer: Node) -> Optional[Path]:
        """The path through the link, or the only one."""
        kind, link = self.settings["Backend"]["Type"], device(self.settings)
        if kind == "host-gw":
            return Path(next_hop=peer.address)
        if kind == "vxlan":
            vtep = str(ipaddress.ip_network(peer.pod_cidr).network_address)
            return Path(link, vtep, "vxlan", peer.address)
        if kind == "ipip":
            return Path(link, peer.address, "ipip", peer.address)
        # One route leads all pods to flanneld, which looks for the node itself.
        return Path(link, encapsulation="udp", remote=peer.address) if kind == "udp" else None


HOST_BACKEND = Flannel


def node(lease: Lease) -> Node:
    """The node that holds a lease."""
    return Node(lease.address, lease.address, lease.subnet)


def entries(
    kernel: IpRoute, network: Mapping[str, Any], links: Container[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Routes, and FDB and neighbours on flannel's link."""
    link = device(network)
    if link not in links:
        return kernel.routes(), [], []
    return kernel.routes(), kernel.fdb(link), kernel.neighbours(link)


def subnet_file(text: str) -> dict[str, str]:
    """Settings of ``/run/flannel/subnet.env``."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def leased(settings: Mapping[str, str], network: Mapping[str, Any]) -> bool:
    """Whether flanneld has written a complete lease in this network."""
    complete = all(settings.get(f"FLANNEL_{name}") for name in ("NETWORK", "SUBNET", "MTU"))
    return complete and settings["FLANNEL_NETWORK"] == network["Network"]


def stale_routes(
    routes: Sequence[Mapping[str, Any]],
    network: Mapping[str, Any],
    held: Sequence[Lease],
    nodes: Iterable[str],
) -> list[Mapping[str, Any]]:
    """Routes into the pod network that no lease asks for, or not in this form.

    Only routes that flannel could have made count: through its link, or through a node.
    """
    pods = ipaddress.ip_network(network["Network"])
    by_subnet = {lease.subnet: lease for lease in held}
    gateways = set(nodes) | {lease.address for lease in held}
    backend = Flannel(network, on_link(routes))
    stale = []
    for route in routes:
        ours = bool(LINK.fullmatch(route.get("dev", ""))) or route.get("gateway") in gateways
        target = route["dst"]
        if ours and target != str(pods) and within(target, pods):
            lease = by_subnet.get(target)
            if lease is None or not asks_for(backend, lease, route):
                stale.append(route)
    return stale


def asks_for(backend: Flannel, lease: Lease, route: Mapping[str, Any]) -> bool:
    """Whether a backend routes a lease in this form. The udp backend routes nothing one by one."""
    path = backend.taken_path(node(lease), route)
    return path is not None and path.encapsulation != "udp" and path.has(route)


def within(destination: str, network: Network) -> bool:
    """Whether a route's destination is a part of a network; "default" is none."""
    try:
        inner: Any = ipaddress.ip_network(destination)
    except ValueError:
        return False
    return bool(inner.version == network.version and inner.subnet_of(network))


def disagreements(
    held: Sequence[Lease],
    own: str,
    network: Mapping[str, Any],
    routes: Sequence[Mapping[str, Any]],
    fdb: Sequence[Mapping[str, Any]],
    neighbours: Sequence[Mapping[str, Any]],
) -> list[dict[str, str]]:
    """Where the kernel is not as the leases ask, as ``{"lease", "what", "wanted", "found"}``.

    For IPIP a lease asks for a route through the link to the node's address. For VXLAN it asks for three
    things: a route through the link, a permanent neighbour that
    resolves the subnet's first address to the VTEP's MAC, and an FDB entry that sends this MAC
    to the node's address.
    """
    found = []
    backend = Flannel(network, on_link(routes))
    by_target = {route["dst"]: route for route in routes}
    macs = {entry["dst"]: entry.get("lladdr", "") for entry in neighbours}
    places = {entry["mac"]: entry.get("dst", "") for entry in fdb if entry.get("dst")}

    def compare(lease: Lease, what: str, wanted: str, seen: str) -> None:
        if wanted != seen:
            found.append({"lease": lease.subnet, "what": what, "wanted": wanted, "found": seen})

    for lease in held:
        if lease.address == own or lease.backend != network["Backend"]["Type"] or lease.backend == "udp":
            continue
        route = by_target.get(lease.subnet, {})
        through = f"{route.get('gateway', 'none')} dev {route.get('dev', 'none')}" if route else "none"
        path = backend.taken_path(node(lease), route)
        if path is None:
            continue
        compare(lease, "route", path.text(route.get("dev", "the underlay")), through)
        if path.encapsulation != "vxlan":
            continue
        vtep = path.next_hop
        compare(lease, "neighbour", lease.vtep_mac, macs.get(vtep, "none"))
        compare(lease, "fdb", lease.address, places.get(lease.vtep_mac, "none"))
    return found
