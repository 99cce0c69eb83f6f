# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Routes of one owner, and the table that masquerades pods: from options to a plan."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute, nft
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.changes import Change
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.validation import Faults, SpecError
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import (
    masquerade as routing_masquerade,
    routes as routing_routes,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing.masquerade import Masquerade
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing.routes import Hop, Route

Placed = list[tuple[Route, str]]


@dataclass
class State:
    """Routes and addresses of the host, and the table where it is looked at."""

    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    routes: routing_routes.Table = field(default_factory=routing_routes.Table)
    masquerade: Masquerade | None = None

    def apply(self, change: Change) -> None:
        """Take over a change of a plan."""
        if isinstance(change.item, Masquerade):
            self.masquerade = change.after
        else:
            self.routes.apply(change)

    def copy(self) -> State:
        """A state that can be changed without changing this one."""
        return State(self.addresses, self.routes.copy(), self.masquerade)


class Kernel:
    """Routes and nftables behind one door, for a plan that has both."""

    def __init__(self, run: iproute.Run) -> None:
        self.routes = iproute.IpRoute(run)
        self.nft = nft.Nft(run)
        self.names = routing_routes.Names(iproute.numbers("rt_protos"), iproute.numbers("rt_tables"))

    def change(self, lines: Sequence[str], program: str = "ip", force: bool = False) -> None:
        """Carry out lines of a program. Raises iproute.BatchError."""
        if program == "nft":
            self.nft.change(lines)
        else:
            self.routes.change(lines, program, force)

    def observe(self, table: str) -> State:
        """Read the state; of nftables, this table."""
        addresses = {
            entry["ifname"]: tuple(one["local"] for one in entry.get("addr_info", ()) if "local" in one)
            for entry in self.routes.links()
        }
        routes = routing_routes.Table(
            route
            for family in (4, 6)
            for route in (
                routing_routes.from_json(entry, family, self.names) for entry in self.routes.routes("all", family)
            )
            if route
        )
        there = self.nft.table(table) if table and self.nft.there else None
        return State(addresses, routes, routing_masquerade.from_json(table, *there) if there else None)


def parse(entries: Iterable[Mapping[str, Any]], protocol: str, names: routing_routes.Names, faults: Faults) -> Placed:
    """The wanted routes, as far as the options tell them. What is wrong is added to the faults."""
    found: Placed = []
    for number, entry in enumerate(entries):
        with faults.noted():
            found.append((_route(entry, f"routes[{number}]", protocol, names), f"routes[{number}]"))
    return found


def _route(entry: Mapping[str, Any], where: str, protocol: str, names: routing_routes.Names) -> Route:
    table = names.tables.get(entry["table"], entry["table"])
    # In a table of its own a default route takes nobody's way out.
    everything = table != routing_routes.MAIN
    destination = validation.reachable(f"{where}.destination", entry["destination"], everything)
    family = validation.version(destination)
    gateway = validation.address(f"{where}.gateway", entry["gateway"]) if entry["gateway"] else ""
    device = validation.name(f"{where}.device", entry["device"]) if entry["device"] else ""
    if gateway and validation.version(gateway) != family:
        raise SpecError(f"{where}.gateway", f"{gateway} is not of the IP version of {destination}")
    if not gateway and not device:
        raise SpecError(where, f"{destination} needs a `gateway`, a `device` or both")
    if entry["onlink"] and not (gateway and device):
        raise SpecError(f"{where}.onlink", "needs `gateway` and `device`")
    if gateway.startswith("fe80:") and not device:
        raise SpecError(f"{where}.device", f"needed, as {gateway} is link-local")
    metric = routing_routes.USUAL_METRIC[family]
    if entry["metric"] is not None:
        metric = validation.number(f"{where}.metric", entry["metric"], 0 if family == 4 else 1, 0xFFFFFFFF)
    mtu = 0 if entry["mtu"] is None else validation.number(f"{where}.mtu", entry["mtu"], 68, 65535)
    if not table.isdecimal():
        raise SpecError(f"{where}.table", f"{table!r} is neither a number nor a name in rt_tables")
    validation.number(f"{where}.table", table, 1, 0xFFFFFFFF)
    return Route(family, destination, (Hop(gateway, device, entry["onlink"]),), protocol, table, metric, mtu)


def located(wanted: Placed, state: State, faults: Faults) -> Placed:
    """The wanted routes with the device of each, judged by what the host has. One given twice counts once."""
    every = [one for addresses in state.addresses.values() for one in addresses]
    ways = _Ways([*state.routes, *(route for route, _where in wanted)])
    found: dict[routing_routes.Key, tuple[Route, str]] = {}
    for route, where in wanted:
        hop = route.hops[0]
        device = hop.device
        if device and device not in state.addresses:
            faults.add(f"{where}.device", f"there is no interface {device}")
            continue
        if hop.gateway in every:
            faults.add(f"{where}.gateway", f"{hop.gateway} is an address of this host itself")
            continue
        if hop.gateway and not hop.onlink and not hop.gateway.startswith("fe80:"):
            way = ways.device(hop.gateway, device)
            if not way:
                on = f"no network of {device}" if device else "no network of this host"
                faults.add(f"{where}.gateway", f"{hop.gateway} is on {on}; with `device` and `onlink` it need not be")
                continue
            device = way
        whole = replace(route, hops=(replace(hop, device=device),))
        there, first = found.setdefault(route.key, (whole, where))
        if there != whole:
            faults.add(f"{where}.destination", f"{route.destination} is routed in another way in {first}")
    for where, why in routing_routes.conflicts(found.values(), state.routes):
        faults.add(f"{where}.destination", why)
    # A gateway may be on a network that another of these routes leads to.
    return sorted(found.values(), key=lambda one: bool(one[0].hops[0].gateway))


class _Ways:
    """Networks that the host is on, the narrowest first."""

    def __init__(self, routes: Iterable[Route]) -> None:
        direct = {
            (route.destination, route.hops[0].device)
            for route in routes
            if len(route.hops) == 1 and not route.hops[0].gateway and route.type == "unicast"
        }
        networks = [(ipaddress.ip_network(destination), device) for destination, device in direct]
        self.networks = sorted(networks, key=lambda one: -one[0].prefixlen)

    def device(self, gateway: str, device: str) -> str:
        """The interface that leads to a gateway directly, of those named; empty where none does."""
        address = ipaddress.ip_address(gateway)
        return next((on for network, on in self.networks if device in ("", on) and address in network), "")


def plan(
    wanted: Placed | None, masquerade: Masquerade | None, keep_table: bool, state: State, protocol: str, purge: bool
) -> list[Change]:
    """The changes that lead from the state to the wanted routes and table.

    Routes that are None, and the table under ``keep_table``, are left as they are.
    """
    now = state.copy()
    changes = routing_routes.additions(wanted or (), now.routes)
    for change in changes:
        now.apply(change)
    if wanted is not None and purge:
        changes += routing_routes.removals(wanted, now.routes, lambda route: route.protocol == protocol, "routes")
    if not keep_table and masquerade != state.masquerade:
        changes.append(Change(state.masquerade, masquerade, "masquerade"))
    return changes


def text(state: State, protocol: str) -> str:
    """Routes of the owner and the table, as the lines of a diff."""
    lines = sorted(route.text() for route in state.routes if route.protocol == protocol)
    return "".join(f"{line}\n" for line in [*lines, *([state.masquerade.text()] if state.masquerade else [])])


def diff(changes: Iterable[Change], before: State, after: State, protocol: str) -> list[dict[str, str]]:
    """What differs, in the form Ansible shows with ``--diff``, with routes taken from others."""
    if not list(changes):
        return []
    old, new = text(before, protocol), text(after, protocol)
    taken = [change.before for change in changes if isinstance(change.before, Route)]
    old += "".join(f"{route.text()}\n" for route in taken if route.protocol != protocol)
    header = f"routes of protocol {protocol}"
    return [{"before_header": header, "after_header": header, "before": old, "after": new}]


def residue(keys: Iterable[routing_routes.Key], before: State, after: State) -> list[str]:
    """How a state differs from the one before it, as lines of a diff: of what was undone, none."""
    old, new = (
        [route.text() for key in sorted(keys) for route in state.routes.at(key)]
        + (state.masquerade.text().splitlines() if state.masquerade else [])
        for state in (before, after)
    )
    gone, come = set(old) - set(new), set(new) - set(old)
    return [*(f"- {line}" for line in old if line in gone), *(f"+ {line}" for line in new if line in come)]
