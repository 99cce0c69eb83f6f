# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Network backend flannel: what it declares, and what can be wrong with it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import (
    HEADERS,
    Backend,
    Firewall,
    Port,
    Value,
    udp,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.links import addresses_of, is_own
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    Fault,
    Inventory,
    integer,
    version_numbers,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.networks import (
    SMALLEST_MTU,
    illegal_vni,
    link_of,
    pod_network,
)

OVERHEAD = {**HEADERS, "host-gw": 0}
# Older ones cannot comment a table (sigs.k8s.io/knftables, which flanneld uses).
OLDEST_NFT = (1, 0, 1)


def encapsulation(inventory: Inventory) -> str:
    """How flannel carries packets between nodes."""
    return str(inventory.value("flannel_backend", "vxlan"))


def flannel_subnets_suffice(inventory: Inventory) -> Iterator[Fault]:
    variable, pods = pod_network(inventory)
    if "flannel" not in inventory.specs or pods is None:
        return
    length = integer(inventory.value("flannel_subnet_length", 24))
    # flanneld wants room for more than two subnets, and for a tunnel and a bridge in each.
    if length is None or not pods.prefixlen + 2 <= length <= 30:
        remedy = (
            f"must be from {pods.prefixlen + 2} to 30 in {pods}"
            if pods.prefixlen <= 28
            else f"no length fits {pods}; the pods' network must be a /28 or larger"
        )
        yield Fault("flannel_subnet_length", inventory.value("flannel_subnet_length", 24), remedy)
        return
    size = 2 ** (32 - length)
    bounds: dict[str, ipaddress.IPv4Address] = {}
    for name in ("flannel_subnet_min", "flannel_subnet_max"):
        value = inventory.value(name)
        if value in (None, ""):
            continue
        try:
            bounds[name] = ipaddress.IPv4Address(str(value))
        except ValueError:
            yield Fault(name, value, "not an address such as 10.244.16.0")
            return
        if bounds[name] not in pods:
            yield Fault(name, value, f"outside of the pods' network {pods}")
            return
        if int(bounds[name]) % size:
            start = ipaddress.IPv4Address(int(bounds[name]) // size * size)
            yield Fault(name, value, f"not where a /{length} begins; the one it is in begins at {start}")
            return
    # flanneld leaves the first subnet unused.
    first = int(bounds.get("flannel_subnet_min", pods.network_address + size))
    last = int(bounds.get("flannel_subnet_max", pods.broadcast_address - size + 1))
    room = (last - first) // size + 1
    needed = len(inventory.groups.get("nodes", ()))
    if room < needed:
        yield Fault(
            variable,
            pods,
            f"room for {max(room, 0)} subnets of /{length}, and there are {needed} nodes; "
            "take a larger network or a longer flannel_subnet_length",
        )


def flannel_vni_is_legal(inventory: Inventory) -> Iterator[Fault]:
    yield from illegal_vni(inventory, "flannel_vxlan_vni")


def flannel_interface_is_one(inventory: Inventory) -> Iterator[Fault]:
    if "flannel" not in inventory.specs:
        return
    for host in inventory.members("nodes"):
        wanted = host.variables.get("flannel_interface")
        if not wanted or not host.facts:
            continue
        if wanted in addresses_of(host) or wanted in host.facts["interfaces"]:
            continue
        links = sorted(link for link in host.facts["interfaces"] if not is_own(link))
        try:
            matches = [link for link in links if re.fullmatch(str(wanted), link)]
        except re.error as error:
            yield Fault("flannel_interface", wanted, f"not a regular expression: {error}")
            continue
        if len(matches) != 1:
            what = (
                f"matches {', '.join(matches)}; it must match one" if matches else f"matches none of {', '.join(links)}"
            )
            yield Fault("flannel_interface", wanted, what, (host.name,))


def flannel_mtu_fits(inventory: Inventory) -> Iterator[Fault]:
    mtu = integer(inventory.value("flannel_mtu", 0))
    backend = encapsulation(inventory)
    if "flannel" not in inventory.specs or not mtu or backend not in OVERHEAD:
        return
    if mtu < SMALLEST_MTU:
        yield Fault("flannel_mtu", mtu, f"take {SMALLEST_MTU} or more, or 0 to derive it from the underlay's")
        return
    for host in inventory.members("nodes"):
        link = link_of(host, host.address)
        if link and mtu + OVERHEAD[backend] > link[1]["mtu"]:
            yield Fault(
                "flannel_mtu",
                mtu,
                f"with {OVERHEAD[backend]} bytes of {backend} header it exceeds the {link[1]['mtu']} of {link[0]}; "
                f"take {link[1]['mtu'] - OVERHEAD[backend]} or less, or 0",
                (host.name,),
            )


def flannel_backend_fits(inventory: Inventory) -> Iterator[Fault]:
    backend = encapsulation(inventory)
    if "flannel" not in inventory.specs:
        return
    nodes = inventory.members("nodes")
    if backend == "host-gw":
        networks = {link[2]: host.name for host in nodes if (link := link_of(host, host.address))}
        if len(networks) > 1:
            seen = ", ".join(f"{network} ({name})" for network, name in networks.items())
            remedy = (
                f"needs all nodes in one subnet, and they are in {seen}; take vxlan with flannel_vxlan_direct_routing"
            )
            yield Fault("flannel_backend", backend, remedy)
    if backend == "ipip":
        for host in nodes:
            if host.facts and not host.facts["ipip"]:
                remedy = "this kernel has no IPIP: no tunl0, and no module ipip that could be loaded; take vxlan"
                yield Fault("flannel_backend", backend, remedy, (host.name,))
    if backend == "udp":
        for host in nodes:
            if host.facts and host.facts["architecture"] != "amd64":
                remedy = f"exists for amd64 only, and this is {host.facts['architecture']}; take vxlan"
                yield Fault("flannel_backend", backend, remedy, (host.name,))


def flannel_firewall_works(inventory: Inventory) -> Iterator[Fault]:
    if "flannel" not in inventory.specs or inventory.value("flannel_firewall", "nftables") != "nftables":
        return
    for host in inventory.members("nodes"):
        if host.facts and version_numbers(host.facts["nft"]) < OLDEST_NFT:
            found = f"is {host.facts['nft']}" if host.facts["nft"] else "is missing"
            oldest = ".".join(map(str, OLDEST_NFT))
            remedy = f"flanneld needs nft {oldest} or newer for it, and it {found} here; set iptables"
            yield Fault("flannel_firewall", "nftables", remedy, (host.name,))


def firewall(value: Value) -> Firewall:
    """The port or protocol of the encapsulation, and the pods' bridge."""
    closed = {
        "vxlan": [udp(value("flannel_vxlan_port", 8472))],
        "udp": [udp(value("flannel_udp_port", 8285))],
        "ipip": [{"protocol": "4"}],
        "host-gw": [],
    }[value("flannel_backend", "vxlan")]
    networks = [value("flannel_network", value("cluster_pod_cidr", ""))]
    return Firewall(networks, closed, [value("flannel_bridge", "cni0")])


BACKEND = Backend(
    name="flannel",
    binaries=("cni-plugins", "flannel-cni-plugin", "flanneld"),
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
    checks=(
        flannel_subnets_suffice,
        flannel_vni_is_legal,
        flannel_interface_is_one,
        flannel_mtu_fits,
        flannel_backend_fits,
        flannel_firewall_works,
    ),
    cluster_wide=(
        "flannel_backend",
        "flannel_network",
        "flannel_subnet_length",
        "flannel_vxlan_vni",
        "flannel_vxlan_port",
        "flannel_vxlan_direct_routing",
        "flannel_udp_port",
        "flannel_mtu",
        "flannel_firewall",
        "flannel_etcd_prefix",
    ),
    links=r"flannel.*",
    ports=(
        Port("flannel_health_port", 8471, "tcp", "flanneld"),
        Port("flannel_vxlan_port", 8472, "udp", "flanneld", lambda inventory: encapsulation(inventory) == "vxlan"),
        Port("flannel_udp_port", 8285, "udp", "flanneld", lambda inventory: encapsulation(inventory) == "udp"),
    ),
    subnet_length="flannel_subnet_length",
    pod_network="flannel_network",
    etcd_endpoints="flannel_etcd_endpoints",
)
