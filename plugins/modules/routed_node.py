#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: routed_node
short_description: Makes a node part of a pod network without a daemon, or takes it out
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Leads the pods of all other nodes' CIDRs through a VXLAN device, by plain routes, or by both, and masquerades
    what pods send out of the cluster. All nodes that joined, left or changed are dealt with in one call.
  - Keeps what it applied as a script that a systemd unit runs at boot, so that the network is there again before
    Ansible is. The script also puts back what is missing after C(nftables.service) is started, restarted or reloaded,
    and after systemd-networkd or NetworkManager change the host's network. It leaves what is there as it is.
  - Writes the CNI configuration last, so that no pod is attached before the node can carry its packets.
  - Should the kernel refuse a change, what was begun is undone, and the message has the kernel's own words.
  - O(state=absent) detaches the pods it knows, and removes device, routes, rules, bridge and files. A bridge or device
    that this collection did not make is refused or left, as the install record shows.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
requirements:
  - iproute2 5.0 or newer on the target
  - nftables on the target, for O(masquerade)
options:
  name:
    description: Name of the network, of its unit, its table of nftables and its directory in C(/etc/binary_cluster).
    type: str
    required: true
  state:
    description: Whether the node is part of the network.
    type: str
    choices: [present, absent]
    default: present
  node:
    description: Name of this node among O(nodes). Required for O(state=present).
    type: str
  nodes:
    description: All nodes, this one included. Required for O(state=present).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the node.
        type: str
        required: true
      address:
        description: Its IPv4 address on the underlay.
        type: str
        required: true
      pod_cidr:
        description: Network of its pods.
        type: str
        required: true
      pod_cidr_v6:
        description: IPv6 network of its pods. All nodes have one, or none has.
        type: str
        default: ""
  network:
    description: Network that all pod CIDRs are parts of. Required for O(state=present).
    type: str
  network_v6:
    description:
      - Network that all IPv6 pod CIDRs are parts of. It needs O(vxlan), which leads IPv6 to all nodes; the underlay
        need not have it.
    type: str
    default: ""
  vxlan:
    description: How packets are tunnelled. Unset means that all nodes are reached by plain routes.
    type: dict
    suboptions:
      vni:
        description: VXLAN network identifier.
        type: int
        required: true
      port:
        description: UDP port.
        type: int
        default: 4789
      direct_routing:
        description: Whether nodes in this node's subnet are reached by plain routes.
        type: bool
        default: false
  gateway:
    description: Router that leads to the pods of nodes in other subnets, where O(vxlan) is unset.
    type: str
    default: ""
  mtu:
    description: MTU of the pods' interfaces. V(0) takes the underlay's, less what the tunnel needs.
    type: int
    default: 0
  masquerade:
    description: Whether packets that leave O(network) carry the node's address as their source.
    type: bool
    default: true
  bridge:
    description: Bridge of the pods. The CNI plugin makes it with the first pod.
    type: str
    default: cni0
"""

EXAMPLES = r"""
---
- name: Route to the pods of the other two nodes
  binary_cluster.networking.routed_node:
    name: vxlan_mesh
    node: node1
    nodes:
      - {name: node1, address: 192.0.2.11, pod_cidr: 10.244.0.0/24}
      - {name: node2, address: 192.0.2.12, pod_cidr: 10.244.1.0/24}
      - {name: node3, address: 198.51.100.13, pod_cidr: 10.244.2.0/24}
    network: 10.244.0.0/16
    vxlan:
      vni: 1
      direct_routing: true

- name: Remove the routes and the VXLAN device
  binary_cluster.networking.routed_node:
    name: vxlan_mesh
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one item each.
  returned: always
  type: list
  elements: str
  sample: ["add route 10.244.1.0/24 via 192.0.2.12 dev eth0 protocol 146", "file /etc/cni/net.d/10-vxlan_mesh.conflist"]
mtu:
  description: MTU of the pods' interfaces.
  returned: O(state=present)
  type: int
  sample: 1450
"""

from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import (
    contract,
    host_routes as backend_host_routes,
    static_network,
    vxlan_mesh,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends.static_network import DEVICE, DIRECT
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends.static_node import (
    KIND,
    NOTHING,
    UNITS,
    RoutedNode,
    State,
    Wanted,
    plan,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._cni import (
    network as cni_network,
    runtime as cni_runtime,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    file_entry,
    files as host_files,
    links as host_links,
    systemd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import (
    host_routes,
    masquerade as routing_masquerade,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import (
    checks as vxlan_checks,
    link as vxlan_link,
)


def wanted_state(node: RoutedNode, every: list[static_network.Node], state: State) -> tuple[Wanted, int]:
    """What the kernel is to have, and the MTU of the pods. Raises NetworkError."""
    params, faults = node.params, validation.Faults()
    own = own_node(node, every)
    under = static_network.underlay(node.kernel.routes.links(), own.address)
    vxlan = params["vxlan"]
    near = contract.in_network(under.network)
    backend = vxlan_mesh.VxlanMesh(vxlan, near) if vxlan else backend_host_routes.HostRoutes(params, near)
    tunnelled, routed = static_network.by_path(backend, own, every, under.network)
    mtu = params["mtu"] or under.mtu - (vxlan_link.OVERHEAD[4] if vxlan else 0)
    devices, plain = [], [peer for peer, _hop in routed]
    if vxlan:
        devices = [vxlan_mesh.device(own, tunnelled, plain, vxlan, mtu, faults)]
        vxlan_checks.judge(devices, state.devices, True, faults)
    placed = host_routes.parse(
        [static_network.route(peer, hop) for peer, hop in routed], DIRECT, node.kernel.names, faults
    )
    placed = host_routes.located(placed, state.routing(), faults)
    if faults.found:
        raise static_network.NetworkError(faults.text())
    networks = [network for network in (params["network"], params["network_v6"]) if network]
    table = routing_masquerade.masquerade(node.name, networks, []) if params["masquerade"] else None
    return Wanted(devices, placed, table), mtu


def own_node(node: RoutedNode, every: list[static_network.Node]) -> static_network.Node:
    """This node among all."""
    for one in every:
        if one.name == node.params["node"]:
            return one
    raise static_network.NetworkError(f"{node.params['node']} is not among the nodes")


def present(node: RoutedNode) -> dict[str, Any]:
    """Make the node part of the network."""
    if node.params["masquerade"]:
        node.kernel.nft.require()
    every = static_network.nodes(node.params["nodes"])
    own = own_node(node, every)
    if node.params["network_v6"] and not node.params["vxlan"]:
        raise static_network.NetworkError("network_v6: IPv6 is led through `vxlan` alone")
    if {bool(one.pod_cidr_v6) for one in every} != {bool(node.params["network_v6"])}:
        raise static_network.NetworkError("nodes: all have a pod_cidr_v6 where there is a `network_v6`, and else none")
    node.judge(own)
    before = node.observe()
    wanted, mtu = wanted_state(node, every, before)
    if not node.module.check_mode:
        node.record(own)
    try:
        after = node.converge(wanted, before)
        node.bridge(own, mtu, node.kernel.routes.links())
        # What a machine needs that has none of it.
        bare = after.after(plan(NOTHING, after))
        script = f"{node.directory}/restore"
        conflist = static_network.conflist(node.name, node.params["bridge"], own.cidrs(), mtu)
        files = {
            f"{node.directory}/nodes.json": static_network.record(own, every),
            script: static_network.script(node.name, plan(wanted, bare)),
            **{f"{UNITS}/{unit}": text for unit, text in static_network.units(node.name, script).items()},
        }
        node.write(
            [file_entry.Entry(path, data=text.encode()) for path, text in files.items()],
            file_entry.json_file(f"{cni_network.CONFIGURATIONS}/10-{node.name}.conflist", conflist),
        )
    finally:
        node.resume()
    return {"mtu": mtu}


def absent(node: RoutedNode) -> dict[str, Any]:
    """Take the node out of the network."""
    if not node.ledger.entries:
        return {}
    run, check_mode = node.module.run_command, node.module.check_mode
    # First, for they would put back what is about to be removed.
    again = static_network.again(node.name)
    node.disable(f"{again}.path", f"{again}.service")
    node.actions += cni_runtime.Runtime(run).leave(node.name, check_mode, node.module.warn)
    # The device goes with its routes, below.
    lines = host_links.removal(node.ledger, node.kernel.routes.links(), [DEVICE])
    node.actions += lines
    if not check_mode:
        node.kernel.change(lines)
    node.converge(NOTHING, node.observe())
    node.disable(node.name)
    changes = host_files.reach([], node.ledger, run, check_mode)
    node.actions += [f"remove {change.path}" for change in changes]
    node.diff += [change.diff() for change in changes]
    if not check_mode:
        host_links.forget(node.ledger)
        node.ledger.forget(KIND, node.name)
        systemd.command(run, "daemon-reload")
    node.actions += cni_network.forget((f"{static_network.RESERVATIONS}/{node.name}",), check_mode)
    return {}


OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "node": {"type": "str"},
    "nodes": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "pod_cidr": {"type": "str", "required": True},
            "pod_cidr_v6": {"type": "str", "default": ""},
        },
    },
    "network": {"type": "str"},
    "network_v6": {"type": "str", "default": ""},
    "vxlan": {
        "type": "dict",
        "options": {
            "vni": {"type": "int", "required": True},
            "port": {"type": "int", "default": 4789},
            "direct_routing": {"type": "bool", "default": False},
        },
    },
    "gateway": {"type": "str", "default": ""},
    "mtu": {"type": "int", "default": 0},
    "masquerade": {"type": "bool", "default": True},
    "bridge": {"type": "str", "default": "cni0"},
}


def main() -> None:
    module = HostModule(
        argument_spec=OPTIONS,
        required_if=[("state", "present", ["node", "nodes", "network"])],
        supports_check_mode=True,
    )
    with module.reporting():
        # It is part of paths, and the name of a unit and a table.
        validation.component("name", module.params["name"], cni_network.LONGEST_NETWORK)
        validation.component("bridge", module.params["bridge"], cni_network.LONGEST_INTERFACE)
    with module.reporting(module.params["name"], ValueError):
        node = RoutedNode(module)
        node.kernel.routes.require()
        told = present(node) if module.params["state"] == "present" else absent(node)
    module.exit_json(changed=bool(node.actions), actions=node.actions, diff=node.diff, **told)


if __name__ == "__main__":
    main()
