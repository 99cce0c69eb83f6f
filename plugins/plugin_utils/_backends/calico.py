# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Network backend Calico: what it declares, and what can be wrong with it."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import (
    calico_address,
    calico_policies,
    calico_selectors,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import (
    HEADERS,
    Backend,
    Firewall,
    Package,
    Port,
    Value,
    Where,
    udp,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    Checks,
    Fault,
    Host,
    Inventory,
    integer,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.networks import (
    SMALLEST_MTU,
    network_of,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering import quoting

OVERHEAD = {**{name: HEADERS[name] for name in ("vxlan", "ipip")}, "none": 0}
# Lengths of the prefix that Calico takes for a block.
BLOCKS = range(20, 33)
# Calico's rule for names of nodes and pools (RFC 1123).
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
# And for labels: a value, and a name that may begin with a domain.
LABEL = re.compile(r"([a-zA-Z0-9]([-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?)?")
LABEL_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?")
CHECKS = Checks("calico")


def _tunnel(inventory: Inventory) -> str:
    return str(inventory.value("calico_encapsulation", "vxlan")).partition("_")[0]


def _items(inventory: Inventory, variable: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Entries of a list of dicts, each with its place; what is of another form is told by the argument_specs."""
    value = inventory.value(variable) or []
    entries = enumerate(value if isinstance(value, list) else [])
    return [(f"{variable}[{number}]", entry) for number, entry in entries if isinstance(entry, dict)]


@CHECKS
def names_are_legal(inventory: Inventory) -> Iterator[Fault]:
    remedy = "Calico takes lower-case letters, digits, dots and hyphens"
    for host in inventory.members("nodes"):
        if not NAME.fullmatch(host.name):
            yield Fault("groups.nodes", host.name, remedy)
    for place, pool in _items(inventory, "calico_ip_pools"):
        if "name" in pool and not NAME.fullmatch(str(pool["name"])):
            yield Fault(f"{place}.name", pool["name"], remedy)


@CHECKS
def pools_fit(inventory: Inventory) -> Iterator[Fault]:
    pods = network_of(inventory, "cluster_pod_cidr")
    pools = _items(inventory, "calico_ip_pools")
    if inventory.value("calico_ip_pools") is None:
        # The role's default.
        pools = [("calico_ip_pools[0]", {"cidr": str(pods)})] if pods else []
    elif not pools:
        yield Fault("calico_ip_pools", "empty", "pods need a pool, such as {name: default, cidr: 10.244.0.0/16}")
    seen: dict[str, ipaddress.IPv4Network] = {}
    rooms: dict[str, int] = {}
    for place, pool in pools:
        try:
            network = ipaddress.IPv4Network(str(pool.get("cidr")))
        except ValueError as error:
            yield Fault(f"{place}.cidr", pool.get("cidr"), f"not an IPv4 network such as 10.244.0.0/16 ({error})")
            continue
        if pods and not network.subnet_of(pods):
            yield Fault(f"{place}.cidr", network, f"not within cluster_pod_cidr ({pods}), which all pods are in")
        for other, earlier in seen.items():
            if network.overlaps(earlier):
                yield Fault(f"{place}.cidr", network, f"overlaps {other}.cidr ({earlier}); pools must be disjoint")
        seen[place] = network
        size = integer(pool.get("block_size", 26))
        if size is None or size not in BLOCKS or size < network.prefixlen:
            least = max(BLOCKS[0], network.prefixlen)
            remedy = f"the length of a block's prefix is from {least} to {BLOCKS[-1]} in {network}"
            yield Fault(f"{place}.block_size", pool.get("block_size", 26), remedy)
            continue
        rooms[place] = 2 ** (size - network.prefixlen)
    # Of nodes that share pools, or a part of these.
    served = _served(inventory, pools)
    for places in dict.fromkeys(served.values()):
        room = sum(rooms.get(place, 0) for place in places)
        nodes = sum(others <= places for others in served.values())
        if rooms.keys() >= places and 0 < room < nodes:
            remedy = f"room for {room} blocks, and there are {nodes} nodes; take larger pools or a longer block_size"
            yield Fault("calico_ip_pools", ", ".join(str(seen[place]) for place in sorted(places)), remedy)


@CHECKS
def every_node_has_a_pool(inventory: Inventory) -> Iterator[Fault]:
    pools = _items(inventory, "calico_ip_pools")
    for place, pool in pools:
        try:
            calico_selectors.parse(str(pool.get("node_selector") or ""))
        except calico_selectors.SelectorError as error:
            yield Fault(f"{place}.node_selector", pool["node_selector"], str(error))
            return
    for host in inventory.members("nodes"):
        for name, value in _labels(host).items():
            if not LABEL_NAME.fullmatch(str(name)) or not (value is None or LABEL.fullmatch(str(value))):
                remedy = "letters, digits, dots, hyphens and underlines, 63 at most; null takes a label away"
                yield Fault(f"calico_node_labels.{name}", value, remedy, (host.name,))
    for name, places in _served(inventory, pools).items():
        if pools and not places:
            labels = ", ".join(f"{one}={value}" for one, value in _labels(inventory.hosts[name]).items()) or None
            remedy = "no pool of calico_ip_pools selects the node, and its pods would have no address"
            yield Fault("calico_node_labels", labels, remedy, (name,))


def _labels(host: Host) -> Mapping[str, Any]:
    """Labels of a node; what is of another form is told by the argument_specs."""
    labels = host.variables.get("calico_node_labels")
    return labels if isinstance(labels, dict) else {}


def _served(inventory: Inventory, pools: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, frozenset[str]]:
    """Places of the pools that each node's pods have their addresses from, by the node."""
    found = {}
    for host in inventory.members("nodes"):
        labels = {str(name): str(value) for name, value in _labels(host).items() if value is not None}
        with contextlib.suppress(calico_selectors.SelectorError):
            found[host.name] = frozenset(
                place for place, pool in pools if calico_selectors.parse(str(pool.get("node_selector") or ""))(labels)
            )
    return found


@CHECKS
def addresses_are_selected(inventory: Inventory) -> Iterator[Fault]:
    holders: dict[str, list[str]] = {}
    for host in inventory.members("nodes"):
        selection = str(host.variables.get("calico_address") or "")
        # Without a selection it is the cluster's address, which is judged for all backends; and a host that is
        # not in the run has no facts to judge by.
        if not selection or not host.facts:
            continue
        try:
            chosen = calico_address.select(selection, host.facts, str)
        except ValueError as error:
            yield Fault("calico_address", selection, str(error), (host.name,))
            continue
        holders.setdefault(chosen["address"], []).append(host.name)
    for address, names in holders.items():
        if len(names) > 1:
            yield Fault("calico_address", address, "selected by more than one node; each needs its own", tuple(names))


@CHECKS
def the_kernel_has_the_tunnel(inventory: Inventory) -> Iterator[Fault]:
    for host in inventory.members("nodes"):
        if _tunnel(inventory) == "ipip" and host.facts and not host.facts.get("ipip"):
            yield Fault(
                "calico_encapsulation",
                inventory.value("calico_encapsulation"),
                "the kernel has no IPIP: there is no device tunl0, and no module ipip to load; install the kernel's "
                "modules, or take vxlan or none",
                (host.name,),
            )


@CHECKS
def the_mtu_fits(inventory: Inventory) -> Iterator[Fault]:
    tunnel = _tunnel(inventory)
    for host in inventory.members("nodes"):
        mtu, link = integer(host.variables.get("calico_mtu", 0)), _link(host)
        if not mtu or tunnel not in OVERHEAD:
            continue
        most = link["mtu"] - OVERHEAD[tunnel] if link else mtu
        if mtu < SMALLEST_MTU:
            yield Fault("calico_mtu", mtu, f"take {SMALLEST_MTU} or more, or 0 to derive it from the underlay's")
        elif mtu > most and link:
            header = f"with {OVERHEAD[tunnel]} bytes of header it" if OVERHEAD[tunnel] else "it"
            remedy = f"{header} exceeds the {link['mtu']} of {link['interface']}; take {most} or less, or 0"
            yield Fault("calico_mtu", mtu, remedy, (host.name,))


def _link(host: Host) -> dict[str, Any]:
    """What select() tells of a host; empty where nothing is selected."""
    try:
        selection = str(host.variables.get("calico_address") or "")
        return calico_address.select(selection, host.facts, lambda: host.address) if host.facts else {}
    except ValueError:
        return {}


@CHECKS
def numbers_are_legal(inventory: Inventory) -> Iterator[Fault]:
    vni = inventory.value("calico_vxlan_vni", 4096)
    if not 1 <= (integer(vni) or 0) <= 16777215:
        yield Fault("calico_vxlan_vni", vni, "a VNI is a number from 1 to 16777215")
    peers = _items(inventory, "calico_bgp_peers")
    numbers = [("calico_as_number", inventory.value("calico_as_number", 64512))]
    for variable, number in numbers + [(f"{place}.as_number", peer.get("as_number")) for place, peer in peers]:
        if not 1 <= (integer(number) or 0) <= 4294967295:
            yield Fault(variable, number, "the number of an autonomous system is from 1 to 4294967295")


@CHECKS
def bgp_has_its_ends(inventory: Inventory) -> Iterator[Fault]:
    names = inventory.groups.get("nodes", ())
    peers = _items(inventory, "calico_bgp_peers")
    reflectors = inventory.value("calico_route_reflectors") or []
    # A peer's password is not to be shown.
    given = {"calico_bgp_peers": [peer.get("address") for _place, peer in peers], "calico_route_reflectors": reflectors}
    for variable, values in given.items():
        if values and _tunnel(inventory) == "vxlan":
            remedy = "with VXLAN nobody speaks BGP; take calico_encapsulation none or ipip, or leave it out"
            yield Fault(variable, ", ".join(map(str, values)), remedy)
    for name in reflectors:
        if name not in names:
            yield Fault("calico_route_reflectors", name, "not a host of group nodes")
    for place, peer in peers:
        try:
            quoting.quoted(str(peer.get("password") or ""), "bird", f"{place}.password")
        except quoting.QuoteError as error:
            yield Fault(f"{place}.password", "a password", str(error).partition(": ")[2])
        try:
            address = str(ipaddress.IPv4Address(str(peer.get("address"))))
        except ValueError:
            yield Fault(f"{place}.address", peer.get("address"), "not an IPv4 address such as 192.0.2.1")
            continue
        if address in [host.address for host in inventory.members("nodes")]:
            yield Fault(f"{place}.address", address, "the address of a node; nodes have sessions without being named")
        for name in peer.get("nodes") or ():
            if name not in names:
                yield Fault(f"{place}.nodes", name, "not a host of group nodes")


def firewall(value: Value) -> Firewall:
    """VXLAN, or BGP and IPIP. Felix drops what a pod sends under another address than its own, unless the pod may."""
    encapsulation = str(value("calico_encapsulation", "vxlan"))
    bgp: dict[str, Any] = {"protocol": "tcp", "ports": [179]}
    closed = [udp(value("calico_vxlan_port", 4789))] if encapsulation.startswith("vxlan") else [bgp]
    closed += [{"protocol": "4"}] if encapsulation.startswith("ipip") else []
    pools = value("calico_ip_pools", [{"cidr": value("cluster_pod_cidr", "")}])
    peers = value("calico_bgp_peers", [])
    return Firewall(
        [one["cidr"] for one in pools], closed, allowed=[{"source": one["address"], **bgp} for one in peers]
    )


BACKEND = Backend(
    name="calico",
    binaries=("cni-plugins", "calico-node", "calico-cni", "calicoctl"),
    firewall=firewall,
    reads=(
        "cluster_certificates_directory",
        "cluster_dns_address",
        "cluster_dns_domain",
        "cluster_etcd_client_files",
        "cluster_etcd_client_port",
        "cluster_etcd_endpoints",
        "cluster_max_unavailable",
        "cluster_pod_cidr",
        "cluster_service_cidr",
    ),
    packages=(
        Package("calico"),
        # It speaks BGP, which VXLAN does without.
        Package("bird", Where("calico_encapsulation", ("ipip", "ipip_cross_subnet", "none"))),
    ),
    checks=(*CHECKS, *calico_policies.CHECKS),
    cluster_wide=(
        "calico_encapsulation",
        "calico_ip_pools",
        "calico_vxlan_vni",
        "calico_vxlan_port",
        "calico_as_number",
        "calico_route_reflectors",
    ),
    links=r"cali.*|vxlan\.calico|tunl0",
    ports=(Port("calico_health_port", 9099, "tcp", "calico-node"), Port("calico_vxlan_port", 4789, "udp")),
    etcd_endpoints="calico_etcd_endpoints",
)
