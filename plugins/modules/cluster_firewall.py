#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_firewall
short_description: Closes the ports between the nodes of a cluster to all but its members
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Keeps a table of nftables of its own, C(inet binary_cluster), in which packets to closed ports of this host are
    dropped unless a member of the cluster sent them, or somebody who is allowed to.
  - Packets of pods to such ports of a member are dropped too, and packets that a pod sends under an address that is
    not its own.
  - Everything else passes, and no other table is touched. The table is replaced in one transaction.
  - A systemd unit loads the table at boot, before there is a network, and again after C(nftables.service) has
    flushed it, where that is started, restarted or reloaded.
  - A member is known by its source address. A machine in the same network segment that forges the source address of
    a member is not kept out.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
requirements:
  - nftables on the target
options:
  state:
    description:
      - With V(present), the table is as the options say.
      - With V(members), O(members) are added to a table that this module put there before, and nothing else is
        changed; without such a table, nothing is.
      - With V(absent), there is no such table.
    type: str
    choices: [present, members, absent]
    default: present
  members:
    description: Addresses of the members of the cluster. Required unless O(state=absent).
    type: list
    elements: str
  keep_members:
    description: Whether members of the present table stay, for a run that does not know all of them.
    type: bool
    default: false
  closed:
    description: What is closed on this host.
    type: list
    elements: dict
    default: []
    suboptions:
      protocol:
        description: V(tcp), V(udp), or the number of an IP protocol, such as V(4) for IP-in-IP.
        type: str
        required: true
      ports:
        description: Ports of V(tcp) or V(udp).
        type: list
        elements: int
        default: []
  between:
    description: What is closed on any member, and so to the pods of this host; in the form of O(closed).
    type: list
    elements: dict
    default: []
    suboptions:
      protocol:
        description: See O(closed[].protocol).
        type: str
        required: true
      ports:
        description: See O(closed[].ports).
        type: list
        elements: int
        default: []
  allowed:
    description: Who may send to closed ports of this host without being a member.
    type: list
    elements: dict
    default: []
    suboptions:
      source:
        description: Address or network.
        type: str
        required: true
      protocol:
        description: See O(closed[].protocol).
        type: str
        required: true
      ports:
        description: See O(closed[].ports).
        type: list
        elements: int
        default: []
  pod_interfaces:
    description:
      - Interfaces on which packets of pods come in; C(cali*) stands for all that begin so. A packet whose source
        address this host does not route back to the same interface is dropped there.
    type: list
    elements: str
    default: []
  pod_networks:
    description: Networks of the pods of all nodes.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
---
- name: Close flannel's VXLAN port and those of etcd
  binary_cluster.networking.cluster_firewall:
    members: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    closed:
      - {protocol: udp, ports: [8472]}
      - {protocol: tcp, ports: [2379, 2380]}
    between:
      - {protocol: udp, ports: [8472]}
      - {protocol: tcp, ports: [2379, 2380]}
    allowed:
      - {source: 192.0.2.50, protocol: tcp, ports: [2379]}
    pod_interfaces: [cni0]
    pod_networks: [10.244.0.0/16]

- name: Open them again
  binary_cluster.networking.cluster_firewall:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one item each.
  returned: always
  type: list
  elements: str
  sample: [file /etc/binary_cluster/firewall.nft, load table inet binary_cluster, enable binary-cluster-firewall]
"""

from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._firewall import closed_ports
from ansible_collections.binary_cluster.networking.plugins.module_utils._firewall.closed_ports import FAMILY, TABLE
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    file_entry,
    files as host_files,
    install_record,
    systemd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import nft as kernel_nft
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

NAME = "binary-cluster-firewall"
SCRIPT = "/etc/binary_cluster/firewall.nft"
# Kind of the ledger's entries: the table -> how nft listed it after it was loaded.
KIND = "tables"
# What restarts or reloads nftables.service flushes all tables. Before the network, as nftables.service itself.
UNIT = f"""\
# Ansible managed
[Unit]
Description=Closes the ports between the nodes of the cluster to others
DefaultDependencies=no
Wants=network-pre.target
After=local-fs.target nftables.service
Before=network-pre.target shutdown.target
Conflicts=shutdown.target
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={{nft}} --file {{script}}
ExecReload={{nft}} --file {{script}}

{systemd.NETWORK_ONESHOT}
[Install]
WantedBy=sysinit.target nftables.service
"""
# What starts nftables.service flushes all tables too, and does not start a unit that is active already: this one is
# never for longer than it takes.
AGAIN = f"{NAME}-restore"
UNIT_AGAIN = f"""\
# Ansible managed
[Unit]
Description=Closes the ports between the nodes of the cluster again after a start of nftables.service
DefaultDependencies=no
Wants=network-pre.target
After=local-fs.target nftables.service
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
ExecStart={{nft}} --file {{script}}

{systemd.NETWORK_ONESHOT}
[Install]
WantedBy=nftables.service
"""
UNITS = {NAME: UNIT, AGAIN: UNIT_AGAIN}


class FirewallError(TaskError):
    """The table cannot be as asked for; the message says why."""


class Firewall:
    """The table of this host, its files, its ledger and what is done to them."""

    def __init__(self, module: HostModule) -> None:
        self.module = module
        self.params = module.params
        self.check_mode = bool(module.check_mode)
        self.nft = kernel_nft.Nft(module.run_command)
        self.ledger = install_record.Ledger(NAME)
        self.actions: list[str] = []
        self.diff: list[dict[str, str]] = []

    def kept(self) -> str:
        """The script that was applied last; empty where there is none."""
        entry = file_entry.look(SCRIPT) if self.ledger.owns(file_entry.KIND, SCRIPT) else None
        return entry.data.decode() if entry and entry.kind == "file" else ""

    def present(self) -> None:
        """Bring the table and what loads it at boot to what is wanted."""
        params, faults = self.params, validation.Faults()
        wanted = closed_ports.table(
            params["members"], params["closed"], params["between"], params["allowed"], params["pod_interfaces"],
            params["pod_networks"], faults,
        )  # fmt: skip
        if faults.found:
            raise FirewallError(faults.text())
        script = wanted.script()
        if params["keep_members"]:
            script = closed_ports.with_members(script, closed_ports.members_of(self.kept()))
        self.apply(script)

    def further_members(self) -> None:
        """Add members to the table that is there."""
        faults = validation.Faults()
        members = []
        for number, member in enumerate(self.params["members"]):
            with faults.noted():
                members.append(validation.address(f"members[{number}]", member))
        if faults.found:
            raise FirewallError(faults.text())
        if self.kept():
            self.apply(closed_ports.with_members(self.kept(), members))

    def apply(self, script: str) -> None:
        """Load a script where the kernel's table is another, and keep it for the next boot."""
        self.nft.require()
        listed = self.nft.listing(TABLE)
        if listed and not self.ledger.owns(KIND, TABLE):
            raise FirewallError(
                f"table {FAMILY} {TABLE}: it is there already, and this collection did not make it. Rename or remove "
                f"it: nft delete table {FAMILY} {TABLE}"
            )
        outdated = script != self.kept()
        recorded = self.ledger.before(KIND, TABLE)
        if outdated:
            self.nft.check(script)
        changes = self.files(script)
        if outdated or listed != recorded:
            self.actions.append(f"load table {FAMILY} {TABLE}")
            if not outdated:
                self.diff.append(_diff(listed, str(recorded or "")))
            if not self.check_mode:
                self.load(script)
        self.enable(changes)

    def files(self, script: str) -> list[file_entry.Change]:
        """Write the script and the unit; what was written, or is to be."""
        nft = self.module.get_bin_path("nft", required=True)
        units = {name: text.format(nft=nft, script=SCRIPT) for name, text in UNITS.items()}
        paths = {SCRIPT: script, **{f"/etc/systemd/system/{name}.service": text for name, text in units.items()}}
        wanted = [file_entry.Entry(path, data=text.encode()) for path, text in paths.items()]
        changes = host_files.reach(wanted, self.ledger, self.module.run_command, self.check_mode)
        self.actions += [f"file {change.path}" for change in changes]
        self.diff += [change.diff() for change in changes]
        return changes

    def load(self, script: str) -> None:
        """Load the script, and note how nft lists what came of it."""
        self.ledger.record(KIND, TABLE, None)
        self.nft.change([script])
        self.ledger.replace(KIND, TABLE, self.nft.listing(TABLE))

    def enable(self, changes: list[file_entry.Change]) -> None:
        """Have the unit started at boot, and count as started now: it follows nftables.service only then."""
        run = self.module.run_command
        shown = {name: systemd.show(run, name) for name in UNITS}
        unit = shown[NAME]
        if not self.check_mode and (unit.needs_reload or any(change.path != SCRIPT for change in changes)):
            systemd.command(run, "daemon-reload")
        for name in (name for name in UNITS if not shown[name].enabled):
            self.actions.append(f"enable {name}")
            if not self.check_mode:
                systemd.command(run, "enable", "--quiet", name)
        if not unit.active:
            self.actions.append(f"start {NAME}")
            if not self.check_mode:
                systemd.command(run, "start", NAME)

    def absent(self) -> None:
        """Take away all that is there of it."""
        if not self.ledger.entries:
            return
        run = self.module.run_command
        for name in (name for name in UNITS if systemd.show(run, name).loaded):
            self.actions.append(f"disable {name}")
            if not self.check_mode:
                systemd.command(run, "disable", "--quiet", "--now", name)
        if self.ledger.owns(KIND, TABLE) and self.nft.there and self.nft.listing(TABLE):
            self.actions.append(f"delete table {FAMILY} {TABLE}")
            if not self.check_mode:
                self.nft.change([f"delete table {FAMILY} {TABLE}"])
        changes = host_files.reach([], self.ledger, run, self.check_mode)
        self.actions += [f"remove {change.path}" for change in changes]
        self.diff += [change.diff() for change in changes]
        if not self.check_mode:
            systemd.command(run, "daemon-reload")
            self.ledger.forget(KIND, TABLE)


def _diff(before: str, after: str) -> dict[str, str]:
    where = f"table {FAMILY} {TABLE}"
    return {"before_header": where, "after_header": where, "before": before, "after": after}


def closed_option(source: bool = False) -> dict[str, Any]:
    """Option of a list of ports by protocol, each with a source where it is about who may use them."""
    options: dict[str, Any] = {"source": {"type": "str", "required": True}} if source else {}
    options["protocol"] = {"type": "str", "required": True}
    options["ports"] = {"type": "list", "elements": "int", "default": []}
    return {"type": "list", "elements": "dict", "default": [], "options": options}


def main() -> None:
    module = HostModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "members", "absent"], "default": "present"},
            "members": {"type": "list", "elements": "str"},
            "keep_members": {"type": "bool", "default": False},
            "closed": closed_option(),
            "between": closed_option(),
            "allowed": closed_option(source=True),
            "pod_interfaces": {"type": "list", "elements": "str", "default": []},
            "pod_networks": {"type": "list", "elements": "str", "default": []},
        },
        required_if=[("state", "present", ["members"]), ("state", "members", ["members"])],
        supports_check_mode=True,
    )
    with module.reporting("", ValueError):
        firewall = Firewall(module)
        states = {"present": firewall.present, "members": firewall.further_members, "absent": firewall.absent}
        states[module.params["state"]]()
    module.exit_json(changed=bool(firewall.actions), actions=firewall.actions, diff=firewall.diff)


if __name__ == "__main__":
    main()
