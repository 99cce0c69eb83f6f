# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Routes of one owner: what is wanted, what the kernel has, and the plan from one to the other.

An owner is told by the protocol number its routes carry (rtnetlink(7)). What is wanted is taken
over whoever put it there; what is not wanted is removed only from its owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.changes import Change

KERNEL, MAIN = "2", "254"
# Put there by the kernel or at its asking: redirect, kernel, router advertisement.
BY_ITSELF = ("1", KERNEL, "9")
EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}
# The metric of a route that names none (ip-route(8)).
USUAL_METRIC = {4: 0, 6: 1024}
# Not routes to other machines; the kernel keeps them.
NOT_ROUTED = ("local", "broadcast", "multicast", "anycast")
Key = tuple[int, str, str, int]


@dataclass(frozen=True)
class Names:
    """Numbers of protocols and tables by the names `ip` prints."""

    protocols: Mapping[str, str]
    tables: Mapping[str, str]


@dataclass(frozen=True)
class Hop:
    """A next hop. The gateway of an IPv4 route over IPv6 (RFC 5549) is ``inet6 ADDRESS``."""

    gateway: str
    device: str
    onlink: bool = False
    weight: int = 1

    def words(self) -> list[str]:
        """The hop in a line."""
        via = ["via", *self.gateway.split()] if self.gateway else []
        return [*via, *(["dev", self.device] if self.device else []), *(["onlink"] if self.onlink else [])]


@dataclass(frozen=True)
class Route:
    """A route. Protocol and table are numbers, as text; an ``mtu`` of 0 stands for none.

    One that is ``ahead`` of others with its key is put back there.
    """

    family: int
    destination: str
    hops: tuple[Hop, ...]
    protocol: str
    table: str = MAIN
    metric: int = 0
    mtu: int = 0
    source: str = ""
    type: str = "unicast"
    ahead: bool = field(default=False, compare=False)

    program = "ip"

    @property
    def key(self) -> Key:
        """What tells routes apart; of several with one key the kernel takes the first."""
        return self.family, self.table, self.destination, self.metric

    def uses(self, device: str) -> bool:
        """Whether packets leave through a device."""
        return any(hop.device == device for hop in self.hops)

    def put(self, before: Route | None) -> list[str]:
        # Not `add`, which cannot put back one of several routes with one key.
        verb = "replace" if before else "prepend" if self.ahead else "append"
        return [" ".join(["route", verb, *self._words()])]

    def drop(self) -> list[str]:
        return [" ".join(["route", "delete", *self._words()])]

    def text(self) -> str:
        return " ".join(["route", *self._words()])

    def _words(self) -> list[str]:
        words = [self.type] if self.type != "unicast" else []
        words += [self.destination, *(self.hops[0].words() if len(self.hops) == 1 else [])]
        words += ["protocol", self.protocol, *(["table", self.table] if self.table != MAIN else [])]
        words += ["metric", str(self.metric)] if self.metric else []
        words += ["src", self.source] if self.source else []
        words += ["mtu", str(self.mtu)] if self.mtu else []
        for hop in self.hops if len(self.hops) > 1 else ():
            words += ["nexthop", *hop.words(), "weight", str(hop.weight)]
        return words


def from_json(entry: Mapping[str, Any], family: int, names: Names) -> Route | None:
    """A route from the JSON of `ip`; None where it is not one to other machines, or is for one type of service."""
    kind = entry.get("type", "unicast")
    table = entry.get("table", "main")
    if kind in NOT_ROUTED or entry.get("tos", "0") not in ("0", "0x00"):
        return None
    destination = entry["dst"]
    if destination == "default":
        destination = EVERYTHING[family]
    elif "/" not in destination:
        destination += "/32" if family == 4 else "/128"
    hops = tuple(_hop(hop) for hop in entry.get("nexthops") or ([entry] if "dev" in entry else []))
    return Route(
        family=family,
        destination=destination,
        hops=hops,
        protocol=names.protocols.get(entry.get("protocol", "boot"), entry.get("protocol", "3")),
        table=names.tables.get(table, table),
        metric=int(entry.get("metric", 0)),
        mtu=_mtu(entry.get("metrics") or ()),
        source=entry.get("prefsrc", ""),
        type=kind,
    )


def _hop(entry: Mapping[str, Any]) -> Hop:
    via = entry.get("via")
    gateway = f"{via['family']} {via['host']}" if via else entry.get("gateway", "")
    return Hop(gateway, entry.get("dev", ""), "onlink" in entry.get("flags", ()), int(entry.get("weight", 1)))


def _mtu(metrics: Sequence[Any]) -> int:
    """MTU among the metrics. iproute2 before 5.3 gives their values without their names: one alone is the MTU."""
    for metric in metrics:
        if isinstance(metric, Mapping):
            if "mtu" in metric:
                return int(metric["mtu"])
        elif len(metrics) == 1:
            return int(metric)
    return 0


class Table:
    """Routes by key, in the kernel's order; follows the changes of a plan."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self.by_key: dict[Key, list[Route]] = {}
        for route in routes:
            self.by_key.setdefault(route.key, []).append(route)

    def __iter__(self) -> Iterator[Route]:
        for routes in self.by_key.values():
            yield from routes if len(routes) < 2 else [replace(routes[0], ahead=True), *routes[1:]]

    def copy(self) -> Table:
        return Table(self)

    def at(self, key: Key) -> list[Route]:
        """Routes of a key."""
        return self.by_key.get(key, [])

    def apply(self, change: Change) -> None:
        """Take over a change of the plan."""
        routes = self.by_key.setdefault(change.item.key, [])
        place = routes.index(change.before) if change.before in routes else len(routes)
        del routes[place : place + 1]
        if change.after is not None:
            routes.insert(place, change.after)


def conflicts(wanted: Iterable[tuple[Route, str]], table: Table) -> Iterable[tuple[str, str]]:
    """Where a wanted route is one that the kernel made for a network of this host, as ``(where, why)``.

    Through another device or through a gateway, the host would not reach its own neighbours any more.
    """
    own = {(route.family, route.table, route.destination): route for route in table if route.protocol == KERNEL}
    for route, where in wanted:
        there = own.get(route.key[:3])
        device = there.hops[0].device if there is not None and there.hops else "none"
        if there is not None and (not route.uses(device) or any(hop.gateway for hop in route.hops)):
            yield where, f"{route.destination} is a network of this host, on {device}"


def additions(wanted: Iterable[tuple[Route, str]], table: Table) -> list[Change]:
    """Changes after which each wanted route is the one the kernel takes."""
    changes = []
    for route, where in wanted:
        there = table.at(route.key)
        # The same route with another MTU: the kernel cannot tell which of the two a deletion means.
        twins = [one for one in there if one != route and replace(one, mtu=route.mtu) == route]
        first = there[0] if there else None
        if first == route and not twins:
            continue
        if len(there) > 1 and (twins or route in there):
            # The first of a key can be replaced, but not by one that stands further back.
            dropped = [one for one in there if one == route or one in twins]
            changes += [Change(replace(one, ahead=one is first), None, where) for one in dropped]
            first = next((one for one in there if one not in dropped), None)
        changes.append(Change(first, route, where))
    return changes


def removals(
    wanted: Iterable[tuple[Route, str]], table: Table, owned: Callable[[Route], bool], where: str
) -> list[Change]:
    """Changes that remove what the owner has and no longer wants."""
    kept = {route for route, _where in wanted}
    return [Change(route, None, where) for route in table if owned(route) and route not in kept]
