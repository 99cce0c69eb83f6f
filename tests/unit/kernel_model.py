"""A model of the kernel that takes lines of iproute2, for what a real one is too slow or too obedient to show.

It knows what the kernel does by itself: what goes along with a link, an address or a MAC, which
changes it refuses, and that the entry of a remote stays with the former underlay device. That it
is right is shown in tests/kernel, where the same plans meet the real kernel.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import routes
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import link as vxlan_link
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.entries import (
    ZERO,
    Address,
    Fdb,
    Neighbour,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.link import Link
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.state import Interface, State

VALUES = {
    "id": "vni", "dstport": "port", "local": "local", "remote": "remote", "group": "remote", "dev": "device",
    "ttl": "ttl", "tos": "tos", "df": "df", "ageing": "ageing", "maxaddress": "limit",
}  # fmt: skip
SWITCHES = {
    "learning": "learning", "udpcsum": "udp_checksum", "udp6zerocsumtx": "udp6_zero_checksum_tx",
    "udp6zerocsumrx": "udp6_zero_checksum_rx", "gbp": "gbp", "proxy": "proxy", "l2miss": "l2miss", "l3miss": "l3miss",
}  # fmt: skip
UNDERLAY = {
    "eth0": Interface("eth0", "veth", 1500, ("192.0.2.11", "2001:db8::11"), False),
    "eth1": Interface("eth1", "veth", 1400, ("192.0.2.12", "2001:db8::12"), False),
    "br0": Interface("br0", "bridge", 1500, (), False),
    "lo": Interface("lo", "", 65536, ("127.0.0.1",), True),
}


class Refused(Exception):
    """What the kernel says no with."""


class KernelModel:
    """Links, addresses, entries and routes. ``fails`` is the number of a line to refuse for no reason."""

    def __init__(self, fails: int | None = None) -> None:
        self.links: dict[str, Link] = {}
        self.addresses: dict[str, list[str]] = {}
        self.fdb: dict[str, list[Fdb]] = {}
        self.neighbours: dict[str, dict[str, Neighbour]] = {}
        self.routes: list[routes.Route] = []
        self.fails = fails
        self.taken = 0
        self.made = 0

    def state(self) -> State:
        """What is read of the model, in the place of `ip` and `bridge`."""
        state = State(dict(UNDERLAY), dict(self.links), kernel=(6, 18))
        for name in self.links:
            own = tuple(text.partition("/")[0] for text in self.addresses[name])
            state.interfaces[name] = Interface(name, "vxlan", self.links[name].mtu, own, False)
            state.addresses[name] = [Address(name, text) for text in self.addresses[name]]
            state.fdb[name] = {entry.key: entry for entry in self.fdb[name] if entry.state != "dynamic"}
            state.neighbours[name] = {n.address: n for n in self.neighbours[name].values() if n.state == "permanent"}
        state.routes = routes.Table(self.routes)
        return state

    def change(self, lines: Sequence[str], program: str = "ip", force: bool = False) -> None:
        """Take a batch."""
        refused = ""
        for number, line in enumerate(lines):
            try:
                self.taken += 1
                if self.taken == self.fails:
                    raise Refused("RTNETLINK answers: No such luck")
                self.take(program, line.split())
            except Refused as error:
                if not force:
                    raise iproute.BatchError(program, str(error), number) from None
                refused = str(error)
        if refused:
            raise iproute.BatchError(program, refused, None)

    def take(self, program: str, words: list[str]) -> None:
        """Take a line."""
        what, verb, *rest = words
        if program == "bridge":
            getattr(self, f"fdb_{verb}")(*self._fdb(rest))
        elif what == "route":
            getattr(self, f"route_{verb}")(self._route(rest))
        elif what == "link" and verb == "set":
            self.link_set(rest[1], rest[2:])
        else:
            getattr(self, f"{what}_{verb}")(rest)

    # --- links ----------------------------------------------------------------------------

    def link_add(self, words: list[str]) -> None:
        name, kind = words[0], words.index("type")
        if name in self.links:
            raise Refused("RTNETLINK answers: File exists")
        before = dict(zip(words[1:kind:2], words[2:kind:2]))
        self.made += 1
        start = Link(name, 0, up=False, mac=before.get("address", f"06:00:00:00:00:{self.made:02x}"))
        link = self._with(start, words[kind + 2 :])
        for other in self.links.values():
            if (other.vni, other.port, other.family, other.gbp) == (link.vni, link.port, link.family, link.gbp):
                raise Refused("Error: A VXLAN device with the specified VNI already exists.")
        self.addresses[name], self.fdb[name], self.neighbours[name] = [], [], {}
        self.links[name] = replace(link, mtu=min(int(before.get("mtu", 1500)), self._most(link)))
        self._default(link, append=True)

    def link_delete(self, words: list[str]) -> None:
        name = words[1]
        if name not in self.links:
            raise Refused(f'Cannot find device "{name}"')
        self._drop_sources(name, self.addresses[name])
        for held in (self.links, self.addresses, self.fdb, self.neighbours):
            held.pop(name)
        self._drop_routes(name, (4, 6))

    def link_set(self, name: str, words: list[str]) -> None:
        link = self._link(name)
        if words[0] == "type":
            after = self._with(link, words[2:])
            if vxlan_link.unchangeable(link, replace(after, ttl=after.ttl), (6, 18)):
                raise Refused("Error: cannot change.")
            if after.remote != link.remote:
                self._default(link, append=False)
                self._default(after, append=True)
            self.links[name] = replace(after, mtu=min(after.mtu, self._most(after)))
        elif words[0] == "mtu":
            if int(words[1]) > self._most(link):
                raise Refused("RTNETLINK answers: Invalid argument")
            self.links[name] = replace(link, mtu=int(words[1]))
        elif words[0] == "address":
            self.links[name] = replace(link, mac=words[1])
            self.neighbours[name] = {}
        elif words[0] in ("master", "nomaster"):
            self.links[name] = replace(link, bridge=words[1] if words[0] == "master" else "")
        else:
            self.links[name] = replace(link, up=words[0] == "up")
            if words[0] == "down":
                self._drop_routes(name, (4, 6))
                self.neighbours[name] = {}
                self._drop_sources(name, [text for text in self.addresses[name] if ":" in text])
                self.addresses[name] = [text for text in self.addresses[name] if ":" not in text]

    def _with(self, link: Link, words: list[str]) -> Link:
        fields: dict[str, Any] = {}
        rest = iter(words)
        for word in rest:
            if word in VALUES:
                fields[VALUES[word]] = next(rest)
            elif word == "srcport":
                fields["port_range"] = f"{next(rest)} {next(rest)}"
            else:
                fields[SWITCHES[word.removeprefix("no")]] = not word.startswith("no")
        for field in ("vni", "port", "ageing", "limit"):
            if field in fields:
                fields[field] = int(fields[field])
        for field in ("local", "remote"):
            if fields.get(field) in vxlan_link.ANY.values():
                fields[field] = ""
        return replace(link, **fields)

    def _most(self, link: Link) -> int:
        return UNDERLAY[link.device].mtu - vxlan_link.OVERHEAD[link.family] if link.device else 65535

    def _default(self, link: Link, append: bool) -> None:
        if not link.remote:
            return
        entry = Fdb(link.name, ZERO, link.remote, extra=f"via {link.device}" if link.device else "")
        if append:
            self.fdb_append(entry)
        else:
            self.fdb[link.name] = [one for one in self.fdb[link.name] if one.key != entry.key]

    def _link(self, name: str) -> Link:
        if name not in self.links:
            raise Refused(f'Cannot find device "{name}"')
        return self.links[name]

    # --- addresses ------------------------------------------------------------------------

    def address_replace(self, words: list[str]) -> None:
        held = self.addresses[self._link(words[2]).name]
        if words[0] not in held:
            held.append(words[0])

    def address_delete(self, words: list[str]) -> None:
        text, name = words[0], self._link(words[2]).name
        held = self.addresses[name]
        if text not in held:
            raise Refused("RTNETLINK answers: Cannot assign requested address")
        network = ipaddress.ip_interface(text).network
        alike = [one for one in held if ipaddress.ip_interface(one).network == network]
        # As with promote_secondaries off.
        gone = alike if ":" not in text and text == alike[0] else [text]
        for one in gone:
            held.remove(one)
        self._drop_sources(name, gone)
        if ":" not in text and not [one for one in held if ":" not in one]:
            self._drop_routes(name, (4,))
            self.neighbours[name] = {key: one for key, one in self.neighbours[name].items() if ":" in key}

    def _drop_sources(self, name: str, gone: Sequence[str]) -> None:
        """IPv4 routes from an address that no interface has go with it; IPv6 routes of its device lose it alone."""
        left = [text for other, held in self.addresses.items() for text in held if other != name or text not in gone]
        sources = {text.partition("/")[0] for text in gone} - {text.partition("/")[0] for text in left}
        kept = [route for route in self.routes if route.family == 6 or route.source not in sources]
        lose = [route for route in kept if route.source in sources and route.uses(name)]
        self.routes = [replace(route, source="") if route in lose else route for route in kept]

    # --- neighbours -----------------------------------------------------------------------

    def neighbour_replace(self, words: list[str]) -> None:
        values = dict(zip(words[1::2], words[2::2]))
        held = self.neighbours[self._link(values["dev"]).name]
        former = held[words[0]].protocol if words[0] in held else "0"
        protocol = values.get("protocol", former)
        held[words[0]] = Neighbour(values["dev"], words[0], values["lladdr"], protocol, values["nud"])

    def neighbour_delete(self, words: list[str]) -> None:
        if self.neighbours[self._link(words[2]).name].pop(words[0], None) is None:
            raise Refused("RTNETLINK answers: No such file or directory")

    # --- routes ---------------------------------------------------------------------------

    def route_add(self, route: routes.Route) -> None:
        if [one for one in self.routes if one.key == route.key]:
            raise Refused("RTNETLINK answers: File exists")
        self.routes.append(route)

    def route_append(self, route: routes.Route) -> None:
        if route in self.routes:
            raise Refused("RTNETLINK answers: File exists")
        self.routes.append(route)

    def route_prepend(self, route: routes.Route) -> None:
        if route in self.routes:
            raise Refused("RTNETLINK answers: File exists")
        self.routes.insert(0, route)

    def route_replace(self, route: routes.Route) -> None:
        there = [number for number, one in enumerate(self.routes) if one.key == route.key]
        if not there:
            self.routes.append(route)
        elif route in [self.routes[number] for number in there[1:]]:
            raise Refused("RTNETLINK answers: File exists")
        else:
            self.routes[there[0]] = route

    def route_delete(self, route: routes.Route) -> None:
        for one in self.routes:
            # Without an MTU any is meant.
            if one == replace(route, mtu=route.mtu or one.mtu):
                self.routes.remove(one)
                return
        raise Refused("RTNETLINK answers: No such process")

    def _route(self, words: list[str]) -> routes.Route:
        destination = words[0]
        keys = ("via", "dev", "protocol", "metric", "table", "src", "mtu")
        values = {key: words[words.index(key) + 1] for key in keys if key in words}
        device = values["dev"]
        if device not in UNDERLAY and not self._link(device).up:
            raise Refused("Error: Device for nexthop is not up.")
        source = values.get("src", "")
        own = [text.partition("/")[0] for held in self.addresses.values() for text in held]
        if source and source not in own and words[0] != "delete":
            raise Refused("Error: Invalid prefsrc address.")
        return routes.Route(
            6 if ":" in destination else 4,
            destination,
            (routes.Hop(values.get("via", ""), device, "onlink" in words or words[0] == "delete"),),
            values["protocol"],
            values.get("table", routes.MAIN),
            int(values.get("metric", 0)),
            int(values.get("mtu", 0)),
            source,
        )

    def _drop_routes(self, name: str, families: tuple[int, ...]) -> None:
        self.routes = [one for one in self.routes if not (one.uses(name) and one.family in families)]

    # --- forwarding database --------------------------------------------------------------

    def _fdb(self, words: list[str]) -> tuple[Fdb]:
        mac, _dev, name, _dst, destination, *rest = words
        self._link(name)
        here = rest.index("self")
        state = rest[here + 1] if len(rest) > here + 1 else "permanent"
        return (Fdb(name, mac, destination, state, " ".join(rest[:here])),)

    def fdb_replace(self, entry: Fdb) -> None:
        self.fdb[entry.device] = [one for one in self.fdb[entry.device] if one.mac != entry.mac] + [entry]

    def fdb_append(self, entry: Fdb) -> None:
        held = self.fdb[entry.device]
        if entry.key not in [one.key for one in held]:
            held.append(entry)
        # The kernel keeps the state once for all entries of a MAC.
        self.fdb[entry.device] = [replace(one, state=entry.state) if one.mac == entry.mac else one for one in held]

    def fdb_delete(self, entry: Fdb) -> None:
        held = self.fdb[entry.device]
        found = [one for one in held if replace(one, state="permanent") == replace(entry, state="permanent")]
        if not found:
            raise Refused("RTNETLINK answers: No such file or directory")
        held.remove(found[0])
