# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What the kernel holds of VXLAN devices, read in one go, and how a change alters it."""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.changes import Change
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import routes as routing_routes
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import (
    entries as vxlan_entries,
    link as vxlan_link,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.entries import (
    ZERO,
    Address,
    Fdb,
    Neighbour,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.link import Link


@dataclass(frozen=True)
class Interface:
    """Any link of the host."""

    name: str
    kind: str
    mtu: int
    addresses: tuple[str, ...]
    loopback: bool


@dataclass
class State:
    """Links of the host, and all that its VXLAN devices hold.

    ``egress`` names the interface that packets of a device leave through, where that had to be looked up.
    """

    interfaces: dict[str, Interface] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    addresses: dict[str, list[Address]] = field(default_factory=dict)
    fdb: dict[str, dict[tuple[str, ...], Fdb]] = field(default_factory=dict)
    neighbours: dict[str, dict[str, Neighbour]] = field(default_factory=dict)
    routes: routing_routes.Table = field(default_factory=routing_routes.Table)
    egress: dict[str, str] = field(default_factory=dict)
    kernel: tuple[int, ...] = (6, 18)

    def copy(self) -> State:
        """A state that can be changed without changing this one."""
        return State(
            self.interfaces,
            dict(self.links),
            {device: list(held) for device, held in self.addresses.items()},
            {device: dict(held) for device, held in self.fdb.items()},
            {device: dict(held) for device, held in self.neighbours.items()},
            self.routes.copy(),
            self.egress,
            self.kernel,
        )

    def held(self, device: str) -> list[Any]:
        """Items that go with a device, in the order in which they can be made again.

        What the kernel makes and learns by itself is not among them.
        """
        addresses = [one for one in self.addresses.get(device, ()) if not one.link_local]
        routes = [one for one in self.routes if one.uses(device) and one.protocol not in routing_routes.BY_ITSELF]
        return [*self.fdb.get(device, {}).values(), *addresses, *self.neighbours.get(device, {}).values(), *routes]

    def apply(self, change: Change) -> None:
        """Take over a change of a plan."""
        before, after, item = change.before, change.after, change.item
        if isinstance(item, Link):
            self._apply_link(item.name, before, after)
        elif isinstance(item, Address):
            addresses = self.addresses.setdefault(item.device, [])
            if before in addresses:
                addresses.remove(before)
            if after is not None and after not in addresses:
                addresses.append(after)
        elif isinstance(item, Fdb):
            _swap(self.fdb.setdefault(item.device, {}), before and before.key, item.key, after)
        elif isinstance(item, Neighbour):
            _swap(self.neighbours.setdefault(item.device, {}), before and before.address, item.address, after)
        else:
            self.routes.apply(change)

    def _apply_link(self, name: str, before: Link | None, after: Link | None) -> None:
        fdb = self.fdb.setdefault(name, {})
        if before is None or after is None or vxlan_link.moves_remote(before, after):
            former, default = (default_entry(one) if one else None for one in (before, after))
            if former:
                fdb.pop(former.key, None)
            if default:
                fdb[default.key] = default
        self.links.pop(name, None)
        if after is not None:
            self.links[name] = after

    def text(self, device: str) -> str:
        """A device with all it holds, as the lines of a diff."""
        if device not in self.links:
            return ""
        lines = [self.links[device].text(), *sorted(item.text() for item in self.held(device))]
        return "".join(f"{line}\n" for line in lines)


def _swap(items: dict[Any, Any], old: Any, new: Any, after: Any) -> None:
    items.pop(old, None)
    if after is not None:
        items[new] = after


def observe(kernel: iproute.IpRoute, devices: Collection[str]) -> State:
    """Read the links and routes of the host, and what these devices hold."""
    state = State(kernel=tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2]))
    for entry in kernel.links():
        name, kind = entry["ifname"], entry.get("linkinfo", {}).get("info_kind", "")
        addresses = tuple(one["local"] for one in entry.get("addr_info", ()) if "local" in one)
        loopback = "LOOPBACK" in entry.get("flags", ())
        state.interfaces[name] = Interface(name, kind, int(entry["mtu"]), addresses, loopback)
        link = vxlan_link.from_json(entry)
        if link:
            state.links[name] = link
            state.addresses[name] = vxlan_entries.addresses_from_json(entry)
    names = routing_routes.Names(iproute.numbers("rt_protos"), iproute.numbers("rt_tables"))
    there = [device for device in devices if device in state.links]
    _observe_entries(kernel, state, there, names)
    for family in (4, 6):
        routes = (routing_routes.from_json(entry, family, names) for entry in kernel.routes("all", family))
        for route in routes:
            if route:
                state.routes.by_key.setdefault(route.key, []).append(route)
    return state


def _observe_entries(
    kernel: iproute.IpRoute, state: State, there: Collection[str], names: routing_routes.Names
) -> None:
    """Read FDB entries and neighbours of the devices that are there."""
    if not there:
        return
    # One process for one device or for all of them.
    only = next(iter(there)) if len(there) == 1 else ""
    for device in there:
        state.fdb[device], state.neighbours[device] = {}, {}
    for entry in kernel.fdb(only):
        device = only or entry.get("ifname", "")
        found = vxlan_entries.fdb_from_json(entry, device) if device in state.fdb else None
        if found:
            state.fdb[device][found.key] = found
    for entry in kernel.neighbours(only):
        device = only or entry.get("dev", "")
        neighbour = vxlan_entries.neighbour_from_json(entry, device, names.protocols) if device in state.fdb else None
        if neighbour:
            state.neighbours[device][neighbour.address] = neighbour


def planned(before: State, changes: Iterable[Change]) -> State:
    """The state as a plan would leave it."""
    after = before.copy()
    for change in changes:
        after.apply(change)
    return after


def diff(names: Iterable[str], changes: Iterable[Change], before: State, after: State) -> list[dict[str, str]]:
    """The devices that differ, in the form Ansible shows with ``--diff``, and routes taken from others."""
    names = list(names)
    shown = [(name, before.text(name), after.text(name)) for name in names]
    taken = [change.before for change in changes if isinstance(change.before, routing_routes.Route)]
    others = [route.text() for route in taken if not any(route.uses(name) for name in names)]
    shown.append(("other routes", "".join(f"{line}\n" for line in others), ""))
    return [
        {"before_header": name, "after_header": name, "before": old, "after": new}
        for name, old, new in shown
        if old != new
    ]


def residue(names: Iterable[str], changes: Iterable[Change], before: State, after: State) -> list[str]:
    """How a state differs from the one before it, as lines of a diff: of what was undone, none."""
    names = list(names)
    keys = {change.item.key for change in changes if isinstance(change.item, routing_routes.Route)}
    old, new = (
        [line for name in names for line in state.text(name).splitlines()]
        + [route.text() for key in sorted(keys) for route in state.routes.at(key)]
        for state in (before, after)
    )
    gone, come = set(old) - set(new), set(new) - set(old)
    return [*(f"- {line}" for line in old if line in gone), *(f"+ {line}" for line in new if line in come)]


def default_entry(link: Link) -> Fdb | None:
    """The FDB entry that the kernel makes for a device's own remote or group."""
    return Fdb(link.name, ZERO, link.remote, extra=f"via {link.device}" if link.device else "") if link.remote else None
