# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The plan for VXLAN devices: pure data from what is wanted and what the kernel has.

It goes by stages, each over all devices, so that few processes carry it out and no packet is lost:
what is new or changed comes first, what is stale goes after. Each stage sees the state as the ones
before it leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.changes import Change
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import routes
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import (
    checks as vxlan_checks,
    link as vxlan_link,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.entries import Address, Fdb
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.link import Link
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.spec import Wanted
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.state import State, default_entry


class Planner:
    """Collects changes, and keeps the state as they leave it."""

    def __init__(self, state: State) -> None:
        self.state = state.copy()
        self.changes: list[Change] = []

    def do(self, change: Change) -> None:
        """The next change of the plan."""
        self.changes.append(change)
        self.state.apply(change)

    def imply(self, items: Iterable[Any], where: str) -> None:
        """Items that the kernel removes by itself with the next change; the last one is made again first."""
        for item in reversed(list(items)):
            self.do(Change(item, None, where, implied=True))

    def keep(self, items: Iterable[Any], where: str) -> None:
        """Items that the next change leaves alone, and the kernel removes when that is taken back."""
        for item in items:
            self.do(Change(item, item, where, implied=True))

    def again(self, items: Iterable[Any], where: str) -> None:
        """Put back what the kernel removed with a change, be it ours or not."""
        for item in items:
            self.do(Change(None, item, where))


def plan(wanted: list[Wanted], state: State, protocol: str, purge: bool) -> list[Change]:
    """The changes that lead from the state to the wanted devices."""
    planner = Planner(state)
    links = {device.name: vxlan_checks.link(device, state) for device in wanted}
    stages: list[Callable[[Planner, Wanted], None]] = [
        lambda planner, device: _unmake(planner, device, links[device.name]),
        lambda planner, device: _make(planner, device, links[device.name]),
        lambda planner, device: _change(planner, device, links[device.name]),
        lambda planner, device: _addresses(planner, device, purge),
        _fdb,
        _neighbours,
        _add_routes,
    ]
    if purge:
        stages += [
            lambda planner, device: _stale_routes(planner, device, protocol),
            lambda planner, device: _stale_neighbours(planner, device, protocol),
        ]
    stages.append(lambda planner, device: _stale_fdb(planner, device, purge))
    for stage in stages:
        for device in wanted:
            stage(planner, device)
    return planner.changes


def removal(names: list[tuple[str, str]], state: State) -> list[Change]:
    """The changes that remove devices with all they hold."""
    planner = Planner(state)
    for name, where in names:
        if name in state.links:
            _remove(planner, name, where)
    return planner.changes


def rebuild(name: str, before: State, now: State) -> list[Change]:
    """The changes that make a device anew as it was, for one that cannot be led back there in place."""
    planner = Planner(now)
    _remove(planner, name, name)
    planner.do(Change(None, before.links[name], name))
    planner.again(before.held(name), name)
    return planner.changes


def _remove(planner: Planner, name: str, where: str) -> None:
    for address in planner.state.addresses.get(name, ()):
        _imply_sources(planner, address, where)
    planner.imply(planner.state.held(name), where)
    planner.do(Change(planner.state.links[name], None, where))


def _unmake(planner: Planner, device: Wanted, wanted: Link) -> None:
    """Remove a device that cannot become the wanted one."""
    there = planner.state.links.get(device.name)
    if there and vxlan_link.unchangeable(there, wanted, planner.state.kernel):
        _remove(planner, device.name, device.where)


def _make(planner: Planner, device: Wanted, wanted: Link) -> None:
    if device.name not in planner.state.links:
        planner.do(Change(None, wanted, device.where))


def _change(planner: Planner, device: Wanted, wanted: Link) -> None:
    """Change a device in place, attribute by attribute where the kernel drops something along with one."""
    state, where = planner.state, device.where
    there = state.links[device.name]
    step = replace(wanted, mac=there.mac, bridge=there.bridge, up=there.up)
    if step != there:
        if vxlan_link.moves_remote(there, step):
            _imply_remote(planner, there, step, where)
        planner.do(Change(there, step, where))
    if step.mac != wanted.mac:
        neighbours = list(state.neighbours.get(device.name, {}).values())
        planner.imply(neighbours, f"{where}.mac")
        planner.do(Change(step, replace(step, mac=wanted.mac), f"{where}.mac"))
        planner.again(neighbours, f"{where}.mac")
        step = replace(step, mac=wanted.mac)
    if step.bridge != wanted.bridge:
        planner.do(Change(step, replace(step, bridge=wanted.bridge), f"{where}.bridge"))
        step = replace(step, bridge=wanted.bridge)
    if step.up != wanted.up:
        fleeting = [item for item in state.held(device.name) if _goes_down(item)]
        if wanted.up:
            planner.keep(fleeting, f"{where}.up")
        else:
            for address in state.addresses.get(device.name, ()):
                if _goes_down(address):
                    _imply_sources(planner, address, f"{where}.up")
            planner.imply(fleeting, f"{where}.up")
        planner.do(Change(step, wanted, f"{where}.up"))


def _imply_remote(planner: Planner, before: Link, after: Link, where: str) -> None:
    """The kernel removes the FDB entry of the former remote and adds that of the new one."""
    entries = planner.state.fdb.get(after.name, {})
    former, default = default_entry(before), default_entry(after)
    if former and entries.get(former.key, former) != former:
        planner.imply([entries[former.key]], where)
    if default:
        # One that stands for the new remote already becomes the device's own, and goes with it.
        planner.imply([entries[default.key]] if default.key in entries else [], where)
        _imply_flood_state(planner, default, where)


def _goes_down(item: Any) -> bool:
    """Whether an item goes when its device goes down: all but FDB entries and IPv4 addresses."""
    return item.program != "bridge" and not (isinstance(item, Address) and item.family == 4)


def _addresses(planner: Planner, device: Wanted, purge: bool) -> None:
    """Give the device its addresses.

    The kernel removes the others of a network with its first IPv4 address, and all that is IPv4
    with the last one. So the wanted ones of such a network are put there again, and elsewhere new
    ones come before stale ones go.
    """
    if device.addresses is None:
        return
    state, where = planner.state, device.where
    wanted = dict(device.addresses)
    there = list(state.addresses.get(device.name, ()))
    stale = [one for one in there if one not in wanted and not one.link_local] if purge else []
    crowded = {_network(one) for one in stale if one.family == 4}
    for one, place in wanted.items():
        if one not in there and _network(one) not in crowded:
            _add_address(planner, one, place)
    lost: list[Any] = []
    for one in stale:
        held = state.addresses[device.name]
        for other in held[held.index(one) + 1 :] if one in held else ():
            if one.family == 4 and _network(other) == _network(one):
                planner.do(Change(other, None, where))
        if one.family == 4 and [other for other in state.addresses[device.name] if other.family == 4] == [one]:
            lost = [item for item in state.held(device.name) if _needs_ipv4(item)]
            planner.imply(lost, where)
        if one in state.addresses[device.name]:
            _imply_sources(planner, one, where)
            planner.do(Change(one, None, where))
    for one, place in wanted.items():
        if one not in state.addresses.get(device.name, ()):
            _add_address(planner, one, place)
    planner.again([item for item in lost if _stands_alone(item)], where)


def _add_address(planner: Planner, one: Address, where: str) -> None:
    """Give a device an address. Taking the only one of IPv4 back would take along what was there without any."""
    state = planner.state
    if one.family == 4 and not any(other.family == 4 for other in state.addresses.get(one.device, ())):
        planner.keep([item for item in state.held(one.device) if _needs_ipv4(item)], where)
    planner.do(Change(None, one, where))


def _imply_sources(planner: Planner, one: Address, where: str) -> None:
    """What becomes of routes that name an address as their source when no interface has it any more.

    IPv4 routes go with it, wherever they lead. IPv6 routes through its device lose it alone.
    """
    state, text = planner.state, one.address.partition("/")[0]
    held = [each.address for name, items in state.addresses.items() if name != one.device for each in items]
    held += [each for link in state.interfaces.values() if link.kind != "vxlan" for each in link.addresses]
    if text in [each.partition("/")[0] for each in held]:
        return
    for route in [route for route in state.routes if route.source == text]:
        if one.family == 4:
            planner.do(Change(route, None, where, implied=True))
        elif route.uses(one.device):
            planner.do(Change(route, replace(route, source=""), where, implied=True))


def _network(one: Address) -> str:
    return validation.network("", one.address)


def _needs_ipv4(item: Any) -> bool:
    if isinstance(item, routes.Route):
        return item.family == 4
    return item.program == "ip" and not isinstance(item, Address) and validation.version(item.address) == 4


def _stands_alone(item: Any) -> bool:
    """Whether an item does without the addresses that are gone."""
    if not isinstance(item, routes.Route):
        return True
    return not item.source and all(hop.onlink or not hop.gateway for hop in item.hops)


def _wanted_fdb(planner: Planner, device: Wanted) -> dict[Fdb, str]:
    """Wanted entries, with that of the device's own remote."""
    default = default_entry(planner.state.links[device.name])
    own = {default: f"{device.where}.remote"} if default else {}
    return {**own, **dict(device.flood or ()), **dict(device.fdb or ())}


def _fdb(planner: Planner, device: Wanted) -> None:
    there = planner.state.fdb.get(device.name, {})
    for item, where in _wanted_fdb(planner, device).items():
        before = there.get(item.key)
        if before != item:
            if item.flood:
                _imply_flood_state(planner, item, where)
            planner.do(Change(before, item, where))


def _imply_flood_state(planner: Planner, item: Fdb, where: str) -> None:
    """Flooded destinations take over the state of one that is added, as the kernel keeps it once for all of them."""
    for other in list(planner.state.fdb.get(item.device, {}).values()):
        if other.flood and other.key != item.key and other.state != item.state:
            planner.do(Change(other, replace(other, state=item.state), where, implied=True))


def _neighbours(planner: Planner, device: Wanted) -> None:
    there = planner.state.neighbours.get(device.name, {})
    for item, where in device.neighbours or ():
        before = there.get(item.address)
        if before != item:
            planner.do(Change(before, item, where))


def _add_routes(planner: Planner, device: Wanted) -> None:
    for change in routes.additions(device.routes or (), planner.state.routes):
        planner.do(change)


def _stale_routes(planner: Planner, device: Wanted, protocol: str) -> None:
    def owned(route: routes.Route) -> bool:
        mine = route.protocol == protocol and route.table == routes.MAIN
        return mine and [hop.device for hop in route.hops] == [device.name]

    if device.routes is not None:
        for change in routes.removals(device.routes, planner.state.routes, owned, device.where):
            planner.do(change)


def _stale_neighbours(planner: Planner, device: Wanted, protocol: str) -> None:
    if device.neighbours is None:
        return
    wanted = {item for item, _where in device.neighbours}
    for item in list(planner.state.neighbours.get(device.name, {}).values()):
        if item.protocol == protocol and item not in wanted:
            planner.do(Change(item, None, device.where))


def _stale_fdb(planner: Planner, device: Wanted, purge: bool) -> None:
    default = default_entry(planner.state.links[device.name])
    managed = {True: device.flood is not None, False: device.fdb is not None}
    wanted = _wanted_fdb(planner, device)
    for item in list(planner.state.fdb.get(device.name, {}).values()):
        # The kernel leaves the entry of the remote at a former underlay device.
        leftover = default and item.flood and item.destination == default.destination and item.extra.startswith("via ")
        if item not in wanted and (leftover or (purge and item.ours and managed[item.flood])):
            planner.do(Change(item, None, device.where))
