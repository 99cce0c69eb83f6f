#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: coredns_node
short_description: This host's CoreDNS, answering at the cluster's DNS address with its current configuration
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Gives the host a link with the address that CoreDNS answers at. It is a bridge without ports, which every
    kernel has; the address is reached from the host and from its pods, and from nowhere else.
  - Tells the host's own resolver of it, once it answers, where O(resolver) says so.
  - Starts or restarts CoreDNS where that is due, reloads it where another configuration than O(version) is
    what answers, and waits until this one does. CoreDNS is asked over DNS (V(version.bind), class CH), so
    a reload that was lost on the way is made up for.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
options:
  state:
    description: Whether this host has the link, and CoreDNS answers. V(absent) restores the resolver, too.
    type: str
    choices: [present, absent]
    default: present
  link:
    description: Name of the link.
    type: str
    default: coredns0
  address:
    description: Address of the link. Required for O(state=present).
    type: str
  port:
    description: Port that CoreDNS listens on.
    type: int
    default: 53
  version:
    description: Version of the configuration, as CoreDNS is to give it. Required for O(state=present).
    type: str
  restart_required:
    description: Whether the running process is not the configured one, as M(binary_cluster.networking.daemon) says.
    type: bool
    default: false
  reload_required:
    description: Whether the process has yet to read its files, as M(binary_cluster.networking.daemon) says.
    type: bool
    default: false
  defer_restart:
    description:
      - Whether a restart or reload that is due is left undone and returned in RV(due), so that it can be done in
        batches.
    type: bool
    default: false
  resolver:
    description:
      - How the host's own resolver is told. With V(resolved), systemd-resolved asks CoreDNS for O(domains) and nothing
        else; V(resolv_conf) asks it first for everything. V(none) restores what was there.
    type: str
    choices: [none, resolved, resolv_conf]
    default: none
  domains:
    description: Domains that CoreDNS serves. The first is searched.
    type: list
    elements: str
    default: []
  wait:
    description: Seconds to wait until CoreDNS answers with O(version).
    type: int
    default: 30
"""

EXAMPLES = r"""
---
# The version is what the Corefile has for version.bind, with its plugin chaos.
- name: Start CoreDNS and wait until it answers
  binary_cluster.networking.coredns_node:
    address: 10.0.0.2
    version: 3f786850e387550f

- name: Remove the link
  binary_cluster.networking.coredns_node:
    state: absent
"""

RETURN = r"""
due:
  description: What is left undone, V(restart), V(reload) or empty.
  returned: O(state=present)
  type: str
  sample: ""
actions:
  description: What was done, or would be done in check mode, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["link coredns0", "address 10.0.0.2/32 on coredns0", "start coredns"]
"""

import ipaddress
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._dns import messages as dns_messages, resolver
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    file_entry,
    file_plan,
    files,
    install_record,
    links as host_links,
    systemd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.waiting import Waiter

UNIT = "coredns"
OWNER = "coredns-node"
TRIES = 3


class NodeError(TaskError):
    """The node's CoreDNS is not as wanted; the message says what is in the way."""


def plan(links: list[dict[str, Any]], name: str, address: str) -> tuple[list[str], list[str]]:
    """Lines that give the link its address, and lines that take away what else it has.

    The second come last: until CoreDNS has moved, it may still be asked at an earlier address.
    """
    wanted = str(ipaddress.ip_interface(address))
    link = next((link for link in links if link["ifname"] == name), None)
    if link is None:
        return [f"link add name {name} type bridge", f"address add {wanted} dev {name}", f"link set dev {name} up"], []
    if link.get("linkinfo", {}).get("info_kind") != "bridge":
        raise NodeError(f"{name} is a link of another kind, so somebody else's")
    held = [
        f"{entry['local']}/{entry['prefixlen']}" for entry in link.get("addr_info", ()) if entry.get("scope") != "link"
    ]
    missing = [] if wanted in held else [f"address add {wanted} dev {name}"]
    if "UP" not in link.get("flags", ()):
        missing.append(f"link set dev {name} up")
    return missing, [f"address delete {former} dev {name}" for former in held if former != wanted]


class Node:
    """The link and the CoreDNS of this host."""

    def __init__(self, module: HostModule) -> None:
        self.module = module
        self.params = module.params
        self.kernel = iproute.IpRoute(module.run_command)
        self.ledger = install_record.Ledger(OWNER)
        self.actions: list[str] = []
        self.diff: list[dict[str, str]] = []

    def resolve(self, method: str) -> None:
        """Have the host's resolver ask CoreDNS, or not."""
        params, run = self.params, self.module.run_command
        settings = resolver.link_settings(params["link"], params["address"], params["port"], params["domains"])
        search = next(iter(params["domains"]), "")
        entries = resolver.wanted(method, settings, params["address"], search, self.ledger)
        changes = file_plan.plan(entries, file_plan.observe(entries, self.ledger), self.ledger)
        missing = resolver.differing(settings, run) if method == "resolved" else []
        if method != "resolved" and self.ledger.owns(file_entry.KIND, resolver.DROP_IN):
            missing = [["revert", params["link"]]]
        self.actions += [f"{'' if change.after else 'remove '}file {change.path}" for change in changes]
        self.actions += [f"resolvectl {' '.join(words)}" for words in missing]
        self.diff += [change.diff() for change in changes]
        if self.module.check_mode:
            return
        files.apply(changes, self.ledger, run)
        if resolver.DROP_IN in {change.path for change in changes}:
            systemd.command(run, "daemon-reload")
        resolver.set_link(missing, run)

    def change(self, lines: list[str]) -> None:
        """Carry out lines of a batch of ip."""
        self.actions += lines
        if not self.module.check_mode:
            self.kernel.change(lines)

    def version(self) -> str | None:
        """Version of the configuration that answers; None where nothing does."""
        try:
            told = dns_messages.ask(
                self.params["address"], self.params["port"], "version.bind", "TXT", "CH", timeout=0.5
            )
        except (OSError, dns_messages.DnsError):
            return None
        return told.values[0] if told.values else told.rcode

    def operation(self) -> str:
        """What systemd has to do; empty where the right configuration answers."""
        if not systemd.show(self.module.run_command, UNIT).active:
            return "start"
        if self.params["restart_required"]:
            return "restart"
        # A busy machine may take its time; one answer decides.
        current = any(self.version() == self.params["version"] for _try in range(TRIES))
        return "" if current and not self.params["reload_required"] else "reload"

    def wait(self) -> None:
        """Wait until the right configuration answers."""
        version = None
        for _look in Waiter(self.params["wait"], pause=0.05):
            version = self.version()
            if version == self.params["version"]:
                return
        what = f"answers with configuration {version}" if version else "does not answer"
        where = f"{self.params['address']} port {self.params['port']}"
        raise NodeError(f"{what} at {where} after {self.params['wait']} s; its last lines:\n{self.log()}")

    def log(self) -> str:
        """The last lines CoreDNS wrote."""
        _code, out, _err = self.module.run_command(["journalctl", "-u", UNIT, "-n", "8", "--no-pager", "-o", "cat"])
        return str(out).strip()


def present(node: Node) -> str:
    """Give the host the link, and have CoreDNS answer there; return what is left undone."""
    name = node.params["link"]
    missing, superfluous = plan(node.kernel.links(), name, node.params["address"])
    if not node.module.check_mode:
        host_links.record(node.ledger, node.kernel.links(), name)
    node.change(missing)
    operation = node.operation()
    if node.params["defer_restart"] and operation in ("restart", "reload"):
        return operation
    if operation:
        node.actions.append(f"{operation} {UNIT}")
        if not node.module.check_mode:
            systemd.command(node.module.run_command, operation, UNIT)
            node.wait()
            systemd.refreshed(install_record.Ledger(UNIT))
    node.resolve(node.params["resolver"])
    node.change(superfluous)
    return ""


def absent(node: Node) -> None:
    """Have the host's resolver ask whom it asked before, stop CoreDNS, and remove the link if it was made for it."""
    node.resolve("none")
    if systemd.show(node.module.run_command, UNIT).running:
        node.actions.append(f"stop {UNIT}")
        if not node.module.check_mode:
            systemd.command(node.module.run_command, "stop", UNIT)
    node.change(host_links.removal(node.ledger, node.kernel.links()))
    if not node.module.check_mode:
        host_links.forget(node.ledger)


def main() -> None:
    module = HostModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "link": {"type": "str", "default": "coredns0"},
            "address": {"type": "str"},
            "port": {"type": "int", "default": 53},
            "version": {"type": "str"},
            "restart_required": {"type": "bool", "default": False},
            "reload_required": {"type": "bool", "default": False},
            "defer_restart": {"type": "bool", "default": False},
            "resolver": {"type": "str", "choices": list(resolver.METHODS), "default": "none"},
            "domains": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "int", "default": 30},
        },
        required_if=[
            ("state", "present", ["address", "version"]),
            ("resolver", "resolved", ["domains"]),
            ("resolver", "resolv_conf", ["domains"]),
        ],
        supports_check_mode=True,
    )
    told = {}
    with module.reporting("coredns") as failed:
        node = Node(module)
        failed["actions"] = node.actions
        if module.params["state"] == "present":
            told["due"] = present(node)
        else:
            absent(node)
    module.exit_json(changed=bool(node.actions), actions=node.actions, diff=node.diff, **told)


if __name__ == "__main__":
    main()
