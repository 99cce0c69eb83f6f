#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flannel_node
short_description: Makes a node part of a flannel network, or takes it out
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Starts or restarts flanneld where that is due, and waits for its lease and for the routes to all other nodes. One
    that does not get a lease is restarted once.
  - Takes away what an earlier configuration left in the kernel, which flanneld itself does not. That is links of
    another backend or VNI, a bridge in another subnet, routes to subnets that nobody holds. Links that this collection
    did not make are refused or left, as the install record shows.
  - Writes the CNI configuration last, so that no pod is attached before the node can carry its packets.
  - O(state=absent) detaches the pods it knows, stops flanneld, gives the lease back and removes links,
    routes, rules and files. It reads from the install record what was applied last, and takes the options where the
    record has nothing.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
  - binary_cluster.networking._etcd
options:
  state:
    description: Whether the node is part of the network.
    type: str
    choices: [present, absent]
    default: present
  network:
    description: The network's configuration, as flanneld reads it from etcd. Required for O(state=present).
    type: dict
  prefix:
    description: Key under which the network lives in etcd.
    type: str
    default: /coreos.com/network
  address:
    description: Address of this node on the underlay. Required for O(state=present).
    type: str
  nodes:
    description: Addresses of all nodes.
    type: list
    elements: str
    default: []
  bridge:
    description: Bridge of the pods.
    type: str
    default: cni0
  conflist:
    description: The CNI configuration list. Required for O(state=present).
    type: dict
  restart_required:
    description: Whether the running flanneld is not the one the configuration describes.
    type: bool
    default: false
  defer_restart:
    description:
      - Whether a restart that is due is left undone and returned in RV(due), so that it can be done in batches.
      - One that follows from another O(network) is never left undone. Nodes with different networks do not reach each
        other.
    type: bool
    default: false
  wait:
    description: Seconds to wait for the lease and the routes. They count again after a restart of flanneld.
    type: int
    default: 60
"""

EXAMPLES = r"""
---
- name: Bring the node into the flannel network
  binary_cluster.networking.flannel_node:
    endpoints: [https://192.0.2.11:2379]
    ca_cert: /etc/flannel/pki/ca.crt
    client_cert: /etc/flannel/pki/client.crt
    client_key: /etc/flannel/pki/client.key
    address: 192.0.2.21
    network:
      Network: 10.244.0.0/16
      Backend:
        Type: vxlan
        VNI: 1
    conflist:
      cniVersion: 0.4.0
      name: flannel
      plugins:
        - type: flannel
"""

RETURN = r"""
due:
  description: What is left undone, V(restart) or empty.
  returned: O(state=present)
  type: str
  sample: ""
subnet:
  description: Gateway of this node's pods, with the prefix length of their subnet.
  returned: O(state=present), not in check mode on a new node
  type: str
  sample: 10.244.7.1/24
mtu:
  description: MTU of the pods' interfaces.
  returned: O(state=present), not in check mode on a new node
  type: int
  sample: 1450
actions:
  description: What was done, or would be done in check mode, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["link delete dev flannel.1"]
"""

import contextlib
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import flannel
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends.flannel_node import (
    FIREWALL,
    NETWORKS,
    UNIT,
    Node,
    settle,
    start,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._cni import (
    network as cni_network,
    runtime as cni_runtime,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import client as etcd
from ansible_collections.binary_cluster.networking.plugins.module_utils._firewall import daemon_rules
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    applied,
    file_entry,
    files,
    links as host_links,
    systemd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation

CONFLIST = "/etc/cni/net.d/10-flannel.conflist"
# What uninstalling needs to know.
APPLIED = ("endpoints", "prefix", "address", "nodes", "bridge")


def judge(node: Node) -> None:
    """Raise LinkError where flannel would take links that are somebody else's."""
    links, device = node.kernel.links(), flannel.device(node.params["network"])
    subnet = node.lease().get("FLANNEL_SUBNET", "")
    host_links.judge_bridge(node.ledger, links, node.params["bridge"], [subnet] if subnet else [])
    if subnet:
        host_links.bridge_lines(
            node.ledger, links, node.params["bridge"], [subnet], [node.params["network"]["Network"]]
        )
    if device:
        host_links.refuse_foreign(node.ledger, links, device)


def deferred(node: Node) -> bool:
    """Whether a restart is due that can be left for later."""
    return bool(
        node.params["defer_restart"]
        and node.params["restart_required"]
        and node.ledger.before(applied.SETTINGS, "network") == node.params["network"]
        and systemd.show(node.module.run_command, UNIT).active
    )


def note(node: Node, network: Any) -> None:
    """Note what is applied, and the network that the running flanneld has."""
    if not node.module.check_mode:
        applied.note(node.ledger, applied.SETTINGS, {**{key: node.params[key] for key in APPLIED}, "network": network})


def present(node: Node) -> dict[str, Any]:
    """Make the node part of the network."""
    judge(node)
    if deferred(node):
        return {"due": "restart"}
    note(node, node.ledger.before(applied.SETTINGS, "network"))
    start(node)
    if not node.module.check_mode or node.lease().get("FLANNEL_SUBNET"):
        with contextlib.suppress(etcd.EtcdError) if node.module.check_mode else contextlib.nullcontext():
            settle(node)
    conflist = file_entry.json_file(CONFLIST, node.params["conflist"])
    changes = files.reach([conflist], node.ledger, node.module.run_command, node.module.check_mode)
    node.actions += [f"file {change.path}" for change in changes]
    note(node, node.params["network"])
    lease = node.lease()
    told: dict[str, Any] = {"due": "", "diff": [change.diff() for change in changes]}
    if lease.get("FLANNEL_SUBNET") and lease.get("FLANNEL_MTU"):
        told.update(subnet=lease["FLANNEL_SUBNET"], mtu=int(lease["FLANNEL_MTU"]))
    return told


def absent(node: Node) -> dict[str, Any]:
    """Take the node out of the network."""
    run, check_mode = node.module.run_command, node.module.check_mode
    node.params.update({key: node.ledger.before(applied.SETTINGS, key) or node.params[key] for key in APPLIED})
    node.actions += cni_runtime.Runtime(run).leave("flannel", check_mode, node.module.warn)
    if systemd.show(run, UNIT).running:
        node.actions.append(f"stop {UNIT}")
        if not check_mode:
            systemd.command(run, "stop", UNIT)
    try:
        held = node.leases()
    except etcd.EtcdError as error:
        held = []
        if node.lease():
            node.module.warn(f"the lease of {node.params['address']} stays in etcd until it ends: {error}")
    for lease in held:
        if lease.address == node.params["address"]:
            node.actions.append(f"give back lease {lease.subnet}")
            if not check_mode:
                etcd.Client.of(node.params).delete(flannel.lease_key(node.params["prefix"], lease.subnet))
    if held and not check_mode and not node.leases():
        # The last node to leave takes the network's description with it.
        etcd.Client.of(node.params).delete(f"{node.params['prefix']}/config")
    known = node.ledger.names(NETWORKS)
    for network in known:
        node.remove_routes(flannel.stale_routes(node.kernel.routes(), {"Network": network}, [], node.params["nodes"]))
    node.change_links(host_links.removal(node.ledger, node.kernel.links()))
    node.release_module()
    node.actions += daemon_rules.remove_tables(run, "flannel-", check_mode)
    node.remove_chains()
    changes = files.reach([], node.ledger, run, check_mode)
    node.actions += [f"remove {change.path}" for change in changes]
    if not check_mode:
        host_links.forget(node.ledger)
        node.ledger.forget(FIREWALL, "before")
        for network in known:
            node.ledger.forget(NETWORKS, network)
        applied.forget(node.ledger)
    kept = ("/run/flannel", "/var/lib/cni/flannel", "/var/lib/cni/networks/flannel")
    node.actions += cni_network.forget(kept, check_mode)
    return {"diff": [change.diff() for change in changes]}


def main() -> None:
    module = HostModule(
        argument_spec={
            **etcd.ARGUMENTS,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "network": {"type": "dict"},
            "prefix": {"type": "str", "default": "/coreos.com/network"},
            "address": {"type": "str"},
            "nodes": {"type": "list", "elements": "str", "default": []},
            "bridge": {"type": "str", "default": "cni0"},
            "conflist": {"type": "dict"},
            "restart_required": {"type": "bool", "default": False},
            "defer_restart": {"type": "bool", "default": False},
            "wait": {"type": "int", "default": 60},
        },
        required_if=[("state", "present", ["address", "network", "conflist"])],
        supports_check_mode=True,
    )
    with module.reporting():
        validation.component("bridge", module.params["bridge"], cni_network.LONGEST_INTERFACE)
    with module.reporting(f"flannel on {module.params['address']}"):
        node = Node(module)
        told = present(node) if module.params["state"] == "present" else absent(node)
    module.exit_json(changed=bool(node.actions), actions=node.actions, **told)


if __name__ == "__main__":
    main()
