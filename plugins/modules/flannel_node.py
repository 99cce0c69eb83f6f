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
import ipaddress
import os
import time
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import flannel
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
    install_record,
    kernel_modules,
    links as host_links,
    systemd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.waiting import Waiter

UNIT = "flanneld"
SUBNET_FILE = "/run/flannel/subnet.env"
CONFLIST = "/etc/cni/net.d/10-flannel.conflist"
OWNER = "flannel-node"
FIREWALL = "firewall"
NETWORKS = "networks"
# What uninstalling needs to know.
APPLIED = ("endpoints", "prefix", "address", "nodes", "bridge")
# Seconds in which a started flanneld has made its entries.
SETTLING = 10.0
# Seconds in which a flanneld that runs has its lease, and in which one that was started has. It is restarted after it.
UNREADY = 5.0
STARTING = 30.0


class NodeError(TaskError):
    """The node did not become part of the network; the message says what it waits for."""


class Node:
    """This node: its kernel, its flanneld and the leases of all nodes."""

    def __init__(self, module: HostModule) -> None:
        self.module = module
        self.params = module.params
        self.kernel = iproute.IpRoute(module.run_command)
        self.ledger = install_record.Ledger(OWNER)
        self.actions: list[str] = []
        # When this run last started flanneld, on the monotonic clock.
        self.started = float("-inf")
        host_links.adopt(self.ledger, (str(link["ifname"]) for link in self.kernel.links()))

    def lease(self) -> dict[str, str]:
        """Settings flanneld wrote; empty before it has."""
        try:
            with open(SUBNET_FILE, encoding="utf-8") as stream:
                return flannel.subnet_file(stream.read())
        except FileNotFoundError:
            return {}

    def leases(self) -> list[flannel.Lease]:
        """Leases of all nodes."""
        prefix = self.params["prefix"]
        return flannel.leases(etcd.Client.of(self.params).under(f"{prefix}/subnets/"), prefix)

    def change_links(self, lines: list[str]) -> None:
        """Remove links, with the routes and FDB entries through them, or their addresses."""
        # In check mode they are still there when they are looked for again.
        self.actions += [line for line in lines if line not in self.actions]
        if not self.module.check_mode:
            self.kernel.change(lines)

    def set_mtu(self, wanted: int) -> None:
        """Give flannel's link the MTU of the lease: flanneld sets it when it makes the link, only."""
        name = flannel.device(self.params["network"])
        for link in self.kernel.links():
            if wanted and link["ifname"] == name and link["mtu"] != wanted:
                self.actions.append(f"MTU of {name} from {link['mtu']} to {wanted}")
                if not self.module.check_mode:
                    self.kernel.change([f"link set dev {name} mtu {wanted}"])

    def note_module(self) -> None:
        """Note where the kernel has no IPIP yet: it comes with the first link, and makes a tunl0 everywhere."""
        if self.params["network"]["Backend"]["Type"] == "ipip" and not os.path.exists("/sys/module/ipip"):
            kernel_modules.note(self.ledger, "ipip")

    def release_module(self) -> None:
        """Take IPIP out of the kernel where it came with flannel, unless others have tunnels by now."""
        names = kernel_modules.noted(self.ledger)
        self.actions += [f"unload kernel module {name}" for name in names]
        if names and not self.module.check_mode:
            own = [flannel.FIXED_DEVICES["ipip"]]
            kernel_modules.release(self.module.run_command, self.ledger, names, self.kernel.links(), own)

    def remove_chains(self) -> None:
        """Remove flannel's iptables chains, and the empty tables using iptables has left."""
        before = self.ledger.before(FIREWALL, "before") or []
        self.actions += daemon_rules.remove_chains(self.module.run_command, "FLANNEL-", before, self.module.check_mode)

    def remove_routes(self, routes: list[Any]) -> None:
        """Remove routes to subnets."""
        self.actions += [f"remove route {route['dst']}" for route in routes]
        if not self.module.check_mode:
            self.kernel.change([f"route delete {route['dst']} dev {route['dev']}" for route in routes])


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


def start(node: Node) -> None:
    """Start or restart flanneld where that is due, and wait for its lease."""
    run = node.module.run_command
    unit = systemd.show(run, UNIT)
    due = ("restart" if node.params["restart_required"] else "") if unit.active else "start"
    network, links = node.params["network"], node.kernel.links()
    keep = [flannel.device(network), node.params["bridge"]]
    if due:
        node.started = time.monotonic()
        node.actions.append(f"{due} {UNIT}")
        # Before the daemon starts: its links must not stand beside those of another backend.
        node.change_links(host_links.removal(node.ledger, links, keep))
    if node.module.check_mode:
        if not due and not flannel.leased(node.lease(), network):
            node.actions.append(f"restart {UNIT}: {unready(node, active=True)}")
        return
    node.ledger.record(FIREWALL, "before", daemon_rules.present(run))
    node.ledger.record(NETWORKS, network["Network"], {})
    for name in filter(None, keep):
        host_links.record(node.ledger, links, name)
    node.note_module()
    if due:
        systemd.command(run, due, "--no-block", UNIT)
    await_lease(node, patience=STARTING if due else UNREADY)


def await_lease(node: Node, patience: float) -> None:
    """Wait until flanneld has its lease. Where it has none after ``patience`` seconds it is restarted, once."""
    run, network = node.module.run_command, node.params["network"]
    waiter, restarted, why = Waiter(node.params["wait"]), False, ""
    patience = min(patience, node.params["wait"] / 2)
    for _look in waiter:
        active = systemd.show(run, UNIT).active
        if active and flannel.leased(node.lease(), network):
            return
        why = unready(node, active)
        if not restarted and waiter.elapsed > patience:
            restarted, node.started = True, time.monotonic()
            waiter.extend()
            node.actions.append(f"restart {UNIT}: {why}")
            systemd.command(run, "restart", "--no-block", UNIT)
    _code, log, _err = run(["journalctl", "-u", UNIT, "-n", "8", "--no-pager", "-o", "cat"])
    raise NodeError(
        f"{UNIT}: {why}, {waiter.elapsed:.0f} s after it was waited for, in spite of a restart. Its last log "
        f"lines:\n{log.strip()}"
    )


def unready(node: Node, active: bool) -> str:
    """What keeps flanneld from being ready."""
    if not active:
        return "it does not become active"
    found, wanted = node.lease().get("FLANNEL_NETWORK"), node.params["network"]["Network"]
    if found and found != wanted:
        return f"{SUBNET_FILE} is of {found}, not of {wanted}"
    return f"{SUBNET_FILE} has no lease"


def settle(node: Node) -> None:
    """Take away what is stale, and wait for the routes to all other nodes."""
    params = node.params
    subnet = node.lease().get("FLANNEL_SUBNET", "")
    settle_bridge(node, subnet)
    node.set_mtu(int(node.lease().get("FLANNEL_MTU") or 0))
    held = node.leases()
    own = ipaddress.ip_interface(subnet).network if subnet else None
    for lease in held:
        # A lease of ours in another subnet is what an earlier network left.
        if lease.address == params["address"] and lease.subnet != str(own):
            node.actions.append(f"give back lease {lease.subnet}")
            if not node.module.check_mode:
                etcd.Client.of(params).delete(flannel.lease_key(params["prefix"], lease.subnet))
    held = [lease for lease in held if lease.address != params["address"] or lease.subnet == str(own)]
    routes = node.kernel.routes()
    node.remove_routes(flannel.stale_routes(routes, params["network"], held, params["nodes"]))
    for former in node.ledger.names(NETWORKS):
        if former != params["network"]["Network"]:
            node.remove_routes(flannel.stale_routes(routes, {"Network": former}, [], params["nodes"]))
            if not node.module.check_mode:
                node.ledger.forget(NETWORKS, former)
    if params["network"].get("EnableNFTables"):
        node.remove_chains()
    if params["network"]["Backend"]["Type"] != "ipip":
        node.release_module()
    follow(node)


def settle_bridge(node: Node, subnet: str) -> None:
    """Take away what an earlier lease left on the pods' bridge, or the bridge, and other links of ours."""
    params, links = node.params, node.kernel.links()
    keep = [flannel.device(params["network"]), params["bridge"]]
    node.change_links(host_links.removal(node.ledger, links, keep))
    if not subnet:
        return
    wanted = [subnet]
    host_links.judge_bridge(node.ledger, links, params["bridge"], wanted)
    node.change_links(
        host_links.bridge_lines(node.ledger, links, params["bridge"], wanted, [params["network"]["Network"]])
    )
    if not node.module.check_mode:
        host_links.record_bridge(node.ledger, links, params["bridge"], wanted)
        host_links.forget(node.ledger, keep, wanted)


def follow(node: Node) -> None:
    """Wait until the kernel is as the leases ask.

    A running flanneld mends nothing that was taken away, and now and then loses an entry itself while many
    nodes start at once; a new one makes all anew.
    """
    params, told = node.params, ""
    for _look in Waiter(params["wait"]):
        links = [link["ifname"] for link in node.kernel.links()]
        found = flannel.disagreements(
            node.leases(),
            params["address"],
            params["network"],
            *flannel.entries(node.kernel, params["network"], links),
        )
        if not found:
            return
        told = "; ".join(f"{one['what']} of {one['lease']}: {one['found']}, not {one['wanted']}" for one in found)
        if time.monotonic() - node.started > SETTLING:
            node.actions.append(f"restart {UNIT}: {told}")
            node.started = time.monotonic()
            if not node.module.check_mode:
                systemd.command(node.module.run_command, "restart", "--no-block", UNIT)
        if node.module.check_mode:
            return
    raise NodeError(f"after {params['wait']} s the kernel is not as the leases ask: {told}")


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
