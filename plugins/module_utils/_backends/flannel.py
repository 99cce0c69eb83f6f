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
from typing import Any, Union

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
    routes: Iterable[Mapping[str, Any]],
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
    stale = []
    for route in routes:
        ours = bool(LINK.fullmatch(route.get("dev", ""))) or route.get("gateway") in gateways
        target = route["dst"]
        if ours and target != str(pods) and within(target, pods):
            lease = by_subnet.get(target)
            if lease is None or not asks_for(lease, route, network.get("Backend", {})):
                stale.append(route)
    return stale


def asks_for(lease: Lease, route: Mapping[str, Any], backend: Mapping[str, Any]) -> bool:
    """Whether a backend routes a lease in this form. The udp backend routes nothing one by one."""
    through_node = bool(route.get("gateway") == lease.address)
    if backend.get("Type") == "vxlan":
        return bool(LINK.fullmatch(route.get("dev", ""))) or (through_node and bool(backend.get("DirectRouting")))
    if backend.get("Type") == "ipip":
        return through_node and route.get("dev") == FIXED_DEVICES["ipip"]
    return through_node and backend.get("Type") == "host-gw"


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
    link = device(network)
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
        direct = lease.backend == "host-gw" or (
            network["Backend"].get("DirectRouting") and route.get("gateway") == lease.address
        )
        if direct:
            compare(lease, "route", f"{lease.address} dev {route.get('dev', 'the underlay')}", through)
            continue
        if lease.backend == "ipip":
            compare(lease, "route", f"{lease.address} dev {link}", through)
            continue
        vtep = str(ipaddress.ip_network(lease.subnet).network_address)
        compare(lease, "route", f"{vtep} dev {link}", through)
        compare(lease, "neighbour", lease.vtep_mac, macs.get(vtep, "none"))
        compare(lease, "fdb", lease.address, places.get(lease.vtep_mac, "none"))
    return found
