#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: calico_node
short_description: Makes a node part of a Calico network, or takes it out
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Starts or restarts Felix where that is due, and waits until it is ready. That is more than its own readiness,
    which does not look at the kernel. The tunnel of the encapsulation is up and has its address, that of another one
    is gone, and the routes to the blocks of all other nodes lead through the right device.
  - Where the encapsulation needs BGP, waits a while for the sessions of BIRD, and warns of each that is not
    established, in BIRD's words.
  - Writes the CNI configuration last, so that no pod is attached before the node can carry its packets.
  - O(state=absent) detaches the pods it knows, stops the daemons, gives the node's addresses back, and removes links,
    routes, rules, sets and files. It asks the endpoints that were applied last, as the install record has them.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
  - binary_cluster.networking._etcd
  - binary_cluster.networking._calico
options:
  state:
    description: Whether the node is part of the network.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Name of this node.
    type: str
    required: true
  encapsulation:
    description: How packets travel between nodes. Required for O(state=present).
    type: str
    choices: [vxlan, vxlan_cross_subnet, ipip, ipip_cross_subnet, none]
  network:
    description: Network of this node's underlay. Required for O(state=present).
    type: str
  conflist:
    description: The CNI configuration list. Required for O(state=present).
    type: dict
  restart_required:
    description: Whether the running Felix is not the one the configuration describes.
    type: bool
    default: false
  defer_restart:
    description:
      - Whether a restart that is due is left undone and returned in RV(due), so that it can be done in batches.
      - One that follows from another O(encapsulation) or other O(shared) is never left undone. Nodes that differ in
        these do not reach each other.
    type: bool
    default: false
  shared:
    description: Further settings that all nodes share, such as the VNI. They are kept in the install record, only.
    type: dict
    default: {}
  health_port:
    description: Port of Felix' health endpoint, on loopback.
    type: int
    default: 9099
  timeout:
    description: Seconds to wait for an answer of one endpoint of etcd, or to one command of calicoctl.
    type: int
    default: 20
  wait:
    description: Seconds to wait until the node is ready.
    type: int
    default: 60
"""

EXAMPLES = r"""
---
- name: Bring the node into the Calico network
  binary_cluster.networking.calico_node:
    name: node1
    endpoints: [https://192.0.2.11:2379]
    ca_cert: /etc/calico/pki/ca.crt
    client_cert: /etc/calico/pki/client.crt
    client_key: /etc/calico/pki/client.key
    encapsulation: vxlan_cross_subnet
    network: 192.0.2.0/24
    conflist:
      cniVersion: 1.0.0
      name: calico
      plugins:
        - type: calico
          datastore_type: etcdv3
          etcd_endpoints: https://192.0.2.11:2379
          etcd_ca_cert_file: /etc/calico/pki/ca.crt
          etcd_cert_file: /etc/calico/pki/client.crt
          etcd_key_file: /etc/calico/pki/client.key
          nodename: node1
          nodename_file_optional: true
          ipam:
            type: calico-ipam
"""

RETURN = r"""
due:
  description: What is left undone, V(restart) or empty.
  returned: O(state=present)
  type: str
  sample: ""
actions:
  description: What was done, or would be done in check mode, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["start calico-felix"]
"""

import contextlib
import shutil
import time
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import calico
from ansible_collections.binary_cluster.networking.plugins.module_utils._calico import calicoctl
from ansible_collections.binary_cluster.networking.plugins.module_utils._calico.calicoctl import (
    Calicoctl,
    CalicoctlError,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._cni import (
    network as cni_network,
    runtime as cni_runtime,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import client as etcd
from ansible_collections.binary_cluster.networking.plugins.module_utils._firewall import daemon_rules
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    applied as host_applied,
    file_entry,
    files,
    install_record,
    links as host_links,
    systemd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.waiting import Waiter

NETWORK = "calico"
FELIX = "calico-felix"
BIRD = "calico-bird"
CONFLIST = "/etc/cni/net.d/10-calico.conflist"
OWNER = "calico-node"
FIREWALL = "firewall"
# Kind of the ledger's entries: a device of the kernel that Felix has configured.
TUNNELS = "tunnels"
IPIP = "tunl0"
# Seconds in which a Felix that has started has made its routes, in which one that runs follows a change, and in which
# BIRD has its sessions.
SETTLING = 20.0
FOLLOWING = 8.0
SESSIONS = 10.0


class NodeError(TaskError):
    """The node did not become part of the network; the message says what it waits for."""


class Node:
    """This node: its kernel, its daemons and what etcd knows of all nodes."""

    def __init__(self, module: HostModule) -> None:
        self.module = module
        self.params = module.params
        self.kernel = iproute.IpRoute(module.run_command)
        self.ledger = install_record.Ledger(OWNER)
        self.actions: list[str] = []

    def restart(self, operation: str, why: str = "") -> None:
        """Start or restart Felix, without waiting for it: etcd may take its time."""
        self.actions.append(f"{operation} {FELIX}{why}")
        if not self.module.check_mode:
            systemd.command(self.module.run_command, operation, "--no-block", FELIX)

    def unready(self) -> list[str]:
        """What keeps the node from carrying packets as the encapsulation asks, a sentence each."""
        params = self.params
        found = []
        if not systemd.show(self.module.run_command, FELIX).active:
            found.append(f"{FELIX} does not run")
        elif calico.unreadiness(params["health_port"]):
            found.append(f"{FELIX} is not ready")
        tunnel = calico.TUNNELS[params["encapsulation"]]
        links = {link["ifname"]: link for link in self.kernel.links()}
        if tunnel and not ("UP" in links.get(tunnel, {}).get("flags", ()) and links[tunnel]["addr_info"]):
            found.append(f"{tunnel} is {'without an address, or down' if tunnel in links else 'missing'}")
        found += [f"{name} is still there" for name in links if name == "vxlan.calico" and name != tunnel]
        client = etcd.Client.of(params)
        held, nodes = calico.blocks(client.under(calico.BLOCKS)), calico.addresses(client.under(calico.NODES))
        return found + calico.missing_routes(
            held, self.kernel.routes(), params["name"], nodes, params["network"], params["encapsulation"]
        )

    def retire(self) -> None:
        """Leave the kernel's own IPIP device as it was: Felix does not once it has no use for it."""
        if not self.ledger.owns(TUNNELS, IPIP):
            return
        self.actions.append(f"set link {IPIP} down")
        if not self.module.check_mode:
            if any(link["ifname"] == IPIP for link in self.kernel.links()):
                self.kernel.change([f"address flush dev {IPIP}", f"link set dev {IPIP} down"])
            self.ledger.forget(TUNNELS, IPIP)

    def detached_sessions(self) -> dict[str, str]:
        """BGP sessions that are not established, with BIRD's reason."""
        _code, out, err = self.module.run_command(["birdc", "-s", calico.BIRD_SOCKET, "show", "protocols"])
        return calico.sessions(out) if out else {BIRD: err.strip()}


def complaints(run: systemd.Run) -> str:
    """The last lines of Felix' log, without the many that tell what goes well."""
    _code, log, _err = run(["journalctl", "-u", FELIX, "-n", "300", "--no-pager", "-o", "cat"])
    return "\n".join([line for line in log.splitlines() if "[INFO]" not in line][-8:])


def shared(node: Node) -> dict[str, Any]:
    """Settings that all nodes share."""
    return {"encapsulation": node.params["encapsulation"], **node.params["shared"]}


def deferred(node: Node) -> bool:
    """Whether a restart is due that can be left for later."""
    return bool(
        node.params["defer_restart"]
        and node.params["restart_required"]
        and node.ledger.before(host_applied.SETTINGS, "shared") == shared(node)
        and systemd.show(node.module.run_command, FELIX).active
    )


def note(node: Node, applied: Any) -> None:
    """Note what is applied, and the shared settings that the running Felix has."""
    if not node.module.check_mode:
        settings = {"endpoints": node.params["endpoints"], "shared": applied}
        host_applied.note(node.ledger, host_applied.SETTINGS, settings)


def start(node: Node) -> None:
    """Start or restart Felix where that is due, and wait until the node is ready."""
    run = node.module.run_command
    active = systemd.show(run, FELIX).active
    if not node.module.check_mode:
        node.ledger.record(FIREWALL, "before", daemon_rules.present(run))
        if calico.TUNNELS[node.params["encapsulation"]] == IPIP:
            node.ledger.record(TUNNELS, IPIP, {})
    if not active or node.params["restart_required"]:
        node.restart("restart" if active else "start")
    if node.module.check_mode and node.actions:
        return
    waiter, patience, told = Waiter(node.params["wait"], pause=0.2), FOLLOWING, ""
    settling = waiter.began
    for _look in waiter:
        found = node.unready()
        if not found:
            return
        told = "; ".join(found)
        if node.module.check_mode:
            node.actions.append(f"restart {FELIX}: {told}")
            return
        now = time.monotonic()
        # Felix looks after its routes itself, every now and then; a new one does so at once. One that is starting
        # is not disturbed: it would only begin again.
        if calico.starts(node.params["health_port"]):
            settling, patience = now, SETTLING
        elif now > settling + patience and not waiter.over:
            node.restart("restart", f": {told}")
            settling, patience = now, SETTLING
    raise NodeError(f"after {node.params['wait']} s: {told}; the last lines of {FELIX}:\n{complaints(run)}")


def wait_for_bgp(node: Node) -> None:
    """Wait a while for the BGP sessions; warn of those that are not there."""
    if node.module.check_mode or node.params["encapsulation"].startswith("vxlan"):
        return
    found: dict[str, str] = {}
    for _look in Waiter(SESSIONS, pause=0.5):
        found = node.detached_sessions()
        if not found:
            break
    for name, reason in found.items():
        node.module.warn(f"BGP session {name}: {reason}")


def present(node: Node) -> dict[str, Any]:
    """Make the node part of the network."""
    if deferred(node):
        return {"due": "restart"}
    note(node, node.ledger.before(host_applied.SETTINGS, "shared"))
    with contextlib.suppress(etcd.EtcdError) if node.module.check_mode else contextlib.nullcontext():
        start(node)
    if calico.TUNNELS[node.params["encapsulation"]] != IPIP:
        node.retire()
    wait_for_bgp(node)
    conflist = file_entry.json_file(CONFLIST, node.params["conflist"])
    changes = files.reach([conflist], node.ledger, node.module.run_command, node.module.check_mode)
    node.actions += [f"file {change.path}" for change in changes]
    note(node, shared(node))
    return {"due": "", "diff": [change.diff() for change in changes]}


def leave(node: Node) -> None:
    """Give back what the node has in etcd; the last node takes with it what describes the network."""
    client = etcd.Client.of(node.params)
    try:
        there = f"{calico.NODES}{node.params['name']}" in client.under(calico.NODES)
    except etcd.EtcdError as error:
        if node.ledger.entries:
            node.module.warn(f"node {node.params['name']} stays in etcd: {error}")
        return
    if not there:
        return
    node.actions.append(f"remove node {node.params['name']}")
    if node.module.check_mode:
        return
    try:
        Calicoctl(node.module.run_command, node.params).run("delete", "node", node.params["name"])
    except CalicoctlError as error:
        node.module.warn(f"node {node.params['name']} stays in etcd: {error}")
        return
    if not client.under(calico.NODES):
        client.write(dict.fromkeys(client.under(calico.PREFIX)))


def sweep(node: Node) -> None:
    """Remove what the daemons leave in the kernel when they end."""
    run, check_mode = node.module.run_command, node.module.check_mode
    lines = host_links.removal_by_name(node.ledger, node.kernel.links(), calico.LINK)
    node.actions += lines
    if not check_mode:
        node.kernel.change(lines)
    node.retire()
    routes = [route for route in node.kernel.routes() if str(route.get("protocol")) == calico.PROTOCOL]
    if routes and not check_mode:
        node.kernel.change([f"route flush proto {calico.PROTOCOL}"])
    node.actions += [f"remove route {route['dst']}" for route in routes]
    before = node.ledger.before(FIREWALL, "before") or []
    node.actions += daemon_rules.remove_chains(run, "cali-", before, check_mode, comment="cali:")
    if shutil.which("ipset"):
        _code, out, _err = run(["ipset", "list", "-name"])
        for name in [name for name in out.split() if name.startswith(("cali40", "cali60"))]:
            node.actions.append(f"remove ipset {name}")
            if not check_mode:
                run(["ipset", "destroy", name], check_rc=True)


def absent(node: Node) -> dict[str, Any]:
    """Take the node out of the network."""
    run, check_mode = node.module.run_command, node.module.check_mode
    node.params["endpoints"] = node.ledger.before(host_applied.SETTINGS, "endpoints") or node.params["endpoints"]
    node.actions += cni_runtime.Runtime(run).leave(NETWORK, check_mode, node.module.warn)
    for unit in (BIRD, FELIX):
        if systemd.show(run, unit).running:
            node.actions.append(f"stop {unit}")
            if not check_mode:
                systemd.command(run, "stop", unit)
    leave(node)
    if node.ledger.entries:
        sweep(node)
    changes = files.reach([], node.ledger, run, check_mode)
    node.actions += [f"remove {change.path}" for change in changes]
    if not check_mode:
        node.ledger.forget(FIREWALL, "before")
        host_applied.forget(node.ledger)
    node.actions += cni_network.forget(("/run/calico", "/var/lib/calico", "/var/log/calico"), check_mode)
    return {"diff": [change.diff() for change in changes]}


def main() -> None:
    module = HostModule(
        argument_spec={
            **etcd.ARGUMENTS,
            **calicoctl.ARGUMENTS,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "name": {"type": "str", "required": True},
            "encapsulation": {"type": "str", "choices": list(calico.TUNNELS)},
            "network": {"type": "str"},
            "conflist": {"type": "dict"},
            "restart_required": {"type": "bool", "default": False},
            "defer_restart": {"type": "bool", "default": False},
            "shared": {"type": "dict", "default": {}},
            "health_port": {"type": "int", "default": 9099},
            "wait": {"type": "int", "default": 60},
        },
        required_if=[("state", "present", ["encapsulation", "network", "conflist"])],
        supports_check_mode=True,
    )
    with module.reporting(f"calico on {module.params['name']}"):
        node = Node(module)
        told = present(node) if module.params["state"] == "present" else absent(node)
    module.exit_json(changed=bool(node.actions), actions=node.actions, **told)


if __name__ == "__main__":
    main()
