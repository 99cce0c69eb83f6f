# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Network backend vxlan_mesh: what it declares, and what can be wrong with it."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import static_network
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import (
    HEADERS,
    Backend,
    Firewall,
    Port,
    Value,
    udp,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import Fault, Inventory
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.networks import illegal_vni

CHECKS = static_network.checks("vxlan_mesh", HEADERS["vxlan"])


@CHECKS
def vni_is_legal(inventory: Inventory) -> Iterator[Fault]:
    yield from illegal_vni(inventory, "vxlan_mesh_vni")


def firewall(value: Value) -> Firewall:
    """VXLAN, and the pods' bridge."""
    networks = [one for one in (value("cluster_pod_cidr", ""), value("cluster_pod_cidr_v6", "")) if one]
    return Firewall(networks, [udp(value("vxlan_mesh_port", 4789))], [value("vxlan_mesh_bridge", "cni0")])


BACKEND = Backend(
    name="vxlan_mesh",
    binaries=("cni-plugins",),
    firewall=firewall,
    reads=("cluster_pod_cidr", "cluster_pod_cidr_v6"),
    checks=tuple(CHECKS),
    cluster_wide=(
        "vxlan_mesh_subnet_length",
        "vxlan_mesh_vni",
        "vxlan_mesh_port",
        "vxlan_mesh_direct_routing",
        "vxlan_mesh_mtu",
    ),
    links=r"vxlan-mesh",
    ports=(Port("vxlan_mesh_port", 4789, "udp"),),
    subnet_length="vxlan_mesh_subnet_length",
)
