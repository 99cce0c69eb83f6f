# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A node of a static pod network: its kernel, its record, and the changes that lead to what is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import static_network
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends.static_network import (
    DEVICE,
    DIRECT,
    TUNNELLED,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    file_entry,
    file_plan,
    files as host_files,
    install_record,
    links as host_links,
    systemd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import changes as plan_changes
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.changes import Change
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import (
    host_routes,
    masquerade as routing_masquerade,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing.masquerade import Masquerade
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import (
    link as vxlan_link,
    plan as vxlan_plan,
    spec as vxlan_spec,
    state as vxlan_state,
)

KIND = "networks"
CONFIGURATION = "/etc/binary_cluster"
UNITS = "/etc/systemd/system"


@dataclass
class State:
    """Devices, routes and links of the host, and the table that masquerades."""

    devices: vxlan_state.State
    masquerade: Masquerade | None

    def routing(self) -> host_routes.State:
        """What the plan of plain routes looks at."""
        addresses = {name: link.addresses for name, link in self.devices.interfaces.items()}
        return host_routes.State(addresses, self.devices.routes, self.masquerade)

    def after(self, changes: list[Change]) -> State:
        """The state as changes would leave it."""
        tables = [change for change in changes if isinstance(change.item, Masquerade)]
        devices = vxlan_state.planned(self.devices, [change for change in changes if change not in tables])
        return State(devices, tables[-1].after if tables else self.masquerade)


@dataclass
class Wanted:
    """What the kernel is to have. No device, no routes and no table mean that the node is to have none of it."""

    devices: list[vxlan_spec.Wanted]
    routes: host_routes.Placed
    masquerade: Masquerade | None


NOTHING = Wanted([], [], None)


def plan(wanted: Wanted, state: State) -> list[Change]:
    """The changes that lead to what is wanted, in all of the kernel."""
    if wanted.devices:
        changes = vxlan_plan.plan(wanted.devices, state.devices, TUNNELLED, purge=True)
    else:
        changes = vxlan_plan.removal([(DEVICE, DEVICE)], state.devices)
    routing = state.after(changes).routing()
    return changes + host_routes.plan(wanted.routes, wanted.masquerade, False, routing, DIRECT, purge=True)


class RoutedNode:
    """This node: its kernel, its ledger and what is done to them."""

    def __init__(self, module: HostModule) -> None:
        self.module = module
        self.params = module.params
        self.name = str(module.params["name"])
        self.kernel = host_routes.Kernel(module.run_command)
        self.ledger = install_record.Ledger(self.name)
        host_links.adopt(self.ledger, (str(link["ifname"]) for link in self.kernel.routes.links()))
        self.directory = f"{CONFIGURATION}/{self.name}"
        self.actions: list[str] = []
        self.diff: list[dict[str, str]] = []
        # Whether the path unit was stopped for a change.
        self.paused = False

    @property
    def devices(self) -> list[str]:
        """The VXLAN device where it is wanted or the record has it; another's of this name is not looked at."""
        return [DEVICE] if self.params["vxlan"] or host_links.made(self.ledger, DEVICE) else []

    def observe(self) -> State:
        """Read the kernel's state."""
        there = self.kernel.nft.table(self.name) if self.kernel.nft.there else None
        masquerade = routing_masquerade.from_json(self.name, *there) if there else None
        return State(vxlan_state.observe(self.kernel.routes, self.devices), masquerade)

    def converge(self, wanted: Wanted, before: State) -> State:
        """Bring the kernel to what is wanted; return the state after, or as it would be in check mode."""
        changes = plan(wanted, before)
        after = before.after(changes)
        self.actions += [change.text() for change in changes]
        if changes and not self.module.check_mode:
            self.pause()
            try:
                after = plan_changes.converge(self.kernel, changes, self.observe, lambda state: plan(wanted, state))
            except plan_changes.PlanError as error:
                left = vxlan_state.residue(self.devices, changes, before.devices, self.observe().devices)
                undone = "What was begun could not be undone in full" if left else "What was begun is undone"
                raise static_network.NetworkError("\n".join([f"{error}. {undone}.", *left])) from error
        self.diff += vxlan_state.diff(self.devices, changes, before.devices, after.devices)
        routed = [change for change in changes if not isinstance(change.item, vxlan_link.Link)]
        if host_routes.text(before.routing(), DIRECT) != host_routes.text(after.routing(), DIRECT):
            self.diff += host_routes.diff(routed, before.routing(), after.routing(), DIRECT)
        return after

    def judge(self, own: static_network.Node) -> None:
        """Raise LinkError where the bridge or the device would be somebody else's."""
        links, name = self.kernel.routes.links(), self.params["bridge"]
        if self.params["vxlan"]:
            host_links.refuse_foreign(self.ledger, links, DEVICE)
        host_links.judge_bridge(self.ledger, links, name, self.gateways(own))
        host_links.bridge_lines(self.ledger, links, name, self.gateways(own), self.networks)

    @staticmethod
    def gateways(own: static_network.Node) -> list[str]:
        """Addresses that the pods' bridge is to have."""
        return [static_network.gateway_of(pod_cidr) for pod_cidr in own.cidrs()]

    @property
    def networks(self) -> list[str]:
        """The networks of all pods."""
        return [network for network in (self.params["network"], self.params["network_v6"]) if network]

    def record(self, own: static_network.Node) -> None:
        """Note what is ours, before it is made."""
        links = self.kernel.routes.links()
        self.ledger.record(KIND, self.name, {})
        if self.params["vxlan"]:
            host_links.record(self.ledger, links, DEVICE)
        host_links.record_bridge(self.ledger, links, self.params["bridge"], self.gateways(own))

    def bridge(self, own: static_network.Node, mtu: int, links: list[dict[str, Any]]) -> None:
        """Remove a bridge of ours in another network, with the pods' ends; raise one to the pods' MTU.

        The kernel keeps it at the lowest MTU of its ports, and at 1500 while there is none. An IPv6 address that is
        not wanted any more goes by itself; one that is wanted comes with the next pod.
        """
        name = self.params["bridge"]
        keep = [name, *([DEVICE] if self.params["vxlan"] else [])]
        lines = host_links.bridge_lines(self.ledger, links, name, self.gateways(own), self.networks)
        stays = not any(line.startswith("link ") for line in lines)
        if stays and any(link["ifname"] == name and link["mtu"] < mtu for link in links):
            lines.append(f"link set dev {name} mtu {mtu}")
        lines += host_links.removal(self.ledger, links, keep)
        self.actions += lines
        if not self.module.check_mode:
            self.kernel.change(lines)
            host_links.forget(self.ledger, keep, self.gateways(own))

    def write(self, files: list[file_entry.Entry], conflist: file_entry.Entry) -> None:
        """Write the files, have the units started now and at boot, and write the CNI configuration last."""
        run = self.module.run_command
        wanted = [*files, conflist]
        changes = file_plan.plan(wanted, file_plan.observe(wanted, self.ledger), self.ledger)
        commands = self.commands({change.path for change in changes})
        self.actions += [f"file {change.path}" for change in changes] + [" ".join(command) for command in commands]
        self.diff += [change.diff() for change in changes]
        if self.module.check_mode:
            return
        host_files.apply([change for change in changes if change.path != conflist.path], self.ledger, run)
        if any(change.path.startswith(f"{UNITS}/") for change in changes):
            systemd.command(run, "daemon-reload")
        for verb, unit in commands:
            # The network is there, since Ansible came over it: nothing else is started and waited for.
            alone = ["--job-mode=ignore-dependencies"] if verb == "start" else []
            systemd.command(run, verb, "--quiet", *alone, unit)
        host_files.apply([change for change in changes if change.path == conflist.path], self.ledger, run)

    def commands(self, changed: set[str]) -> list[tuple[str, str]]:
        """What systemctl is to do, as verb and unit."""
        found = []
        again = static_network.again(self.name)
        for unit in (f"{self.name}.service", f"{again}.service", f"{again}.path"):
            there = systemd.show(self.module.run_command, unit)
            # Enabled again where it may be wanted by others than before.
            if not there.enabled or f"{UNITS}/{unit}" in changed:
                found.append(("enable", unit))
            # A unit follows others only while it is active.
            if not there.active and unit != f"{again}.service" and not (self.paused and unit == f"{again}.path"):
                found.append(("start", unit))
        return found

    def pause(self) -> None:
        """Let nothing put back the former state while it is changed: the script knows no other yet."""
        run, again = self.module.run_command, static_network.again(self.name)
        if systemd.show(run, f"{again}.path").active:
            self.paused = True
            systemd.command(run, "stop", "--quiet", f"{again}.path", f"{again}.service")

    def resume(self) -> None:
        """Look after the network again, and make up for what happened meanwhile."""
        run, again = self.module.run_command, static_network.again(self.name)
        if self.paused:
            systemd.command(run, "start", "--quiet", "--no-block", f"{again}.path", f"{again}.service")

    def disable(self, *units: str) -> None:
        """Stop units, now and at the next boot."""
        run = self.module.run_command
        for unit in units:
            if systemd.show(run, unit).loaded:
                self.actions.append(f"disable {unit}")
                if not self.module.check_mode:
                    systemd.command(run, "disable", "--quiet", "--now", unit)
