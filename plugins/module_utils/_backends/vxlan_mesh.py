# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Network backend vxlan_mesh on a node: a VTEP to all others, or to those of other subnets.

The VTEP of a node has the first address of the node's pod CIDR, with IPv6 of both, and a MAC made of the IPv4 one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import contract
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends.contract import HostBackend, Path
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends.static_network import (
    DEVICE,
    TUNNELLED,
    Node,
    first_of,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.validation import Faults
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import link as vxlan_link, spec
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.spec import Peer, Wanted

WHERE = "vxlan"
# Fields that are as the kernel has them where nobody says otherwise.
USUAL = (
    *spec.SWITCHES, "ageing", "limit", "ttl", "tos", "df", "port_range", "external", "vnifilter", "device", "remote",
)  # fmt: skip


class VxlanMesh(HostBackend):
    """VXLAN. With ``direct_routing`` among the settings, nodes that are near have a plain route."""

    name = "vxlan_mesh"

    def expected_path(self, peer: contract.Node) -> Path:
        if self.settings.get("direct_routing") and self.near(peer.address):
            return Path(next_hop=peer.address)
        return Path(DEVICE, first_of(peer.pod_cidr), "vxlan", peer.address)


def device(
    own: Node, tunnelled: Iterable[Node], near: Iterable[Node], vxlan: Mapping[str, Any], mtu: int, faults: Faults
) -> Wanted:
    """The device that leads to the pods of all other nodes. Raises SpecError for a VNI, port or MTU that none has.

    Pods of nodes that are ``near`` are routed to plainly over IPv4, and over IPv6 through the tunnel like all others:
    the underlay need not have IPv6.
    """
    settings = {
        **{field: vxlan_link.DEFAULTS[field] for field in USUAL},
        "learning": False,
        "vni": validation.number(f"{WHERE}.vni", vxlan["vni"], 1, 0xFFFFFF),
        "port": validation.number(f"{WHERE}.port", vxlan["port"], 1, 65535),
        "local": spec.vtep("address", own.address),
    }
    made = Wanted(
        WHERE,
        DEVICE,
        settings,
        mac=own.mac,
        mtu=validation.number("mtu", mtu, 68, 65535),
        up=True,
        bridge=None,
        flood=[],
    )
    spec.set_addresses(made, [first_of(cidr) for cidr in own.cidrs()], faults)
    ways = [*((node, node.cidrs()) for node in tunnelled), *((node, node.cidrs()[1:]) for node in near)]
    peers = [Peer(node.address, node.mac, [first_of(cidr) for cidr in cidrs], cidrs) for node, cidrs in ways if cidrs]
    spec.set_peers(made, peers, TUNNELLED, faults)
    spec.refuse_clashes([made], faults)
    return made


HOST_BACKEND = VxlanMesh
