# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A node of flannel: its flanneld, its leases, and what they ask of the kernel."""

from __future__ import annotations

import ipaddress
import os
import time
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import flannel
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import client as etcd
from ansible_collections.binary_cluster.networking.plugins.module_utils._firewall import daemon_rules
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    install_record,
    kernel_modules,
    links as host_links,
    systemd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.waiting import Waiter

UNIT = "flanneld"
SUBNET_FILE = "/run/flannel/subnet.env"
OWNER = "flannel-node"
FIREWALL = "firewall"
NETWORKS = "networks"
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
    nodes start at once; a new one makes all of them again.
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
