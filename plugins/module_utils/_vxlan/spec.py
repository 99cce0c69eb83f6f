# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""VXLAN devices as a user wants them, checked and brought to the kernel's form.

Only what the options themselves tell is judged here; what depends on the host is judged by the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.validation import Faults, SpecError
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import routes as routing_routes
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import link as vxlan_link
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.entries import (
    ZERO,
    Address,
    Fdb,
    Neighbour,
)

# Smallest link that carries IPv6 (RFC 8200, section 5).
IPV6_MTU = 1280
SWITCHES = (
    "learning", "udp_checksum", "udp6_zero_checksum_tx", "udp6_zero_checksum_rx", "gbp", "proxy", "l2miss", "l3miss",
)  # fmt: skip
Placed = list[tuple[Any, str]]


@dataclass
class Wanted:
    """One device. A list that is None, and ``mac``, ``mtu`` or ``bridge`` that is None, is left as it is found.

    Lists hold items of the kernel with the option that asks for each. ``settings`` are fields of Link.
    """

    where: str
    name: str
    settings: dict[str, Any]
    mac: str | None
    mtu: int | None
    up: bool
    bridge: str | None
    addresses: Placed | None = None
    flood: Placed | None = None
    fdb: Placed | None = None
    neighbours: Placed | None = None
    routes: Placed | None = None

    @property
    def family(self) -> int:
        """IP version of the underlay."""
        return validation.version(self.settings["local"] or self.settings["remote"])

    def on_underlay(self) -> str:
        """An address that packets of the device go to; empty where none is known."""
        there: Placed = [*(self.flood or ()), *(self.fdb or ())]
        return str(self.settings["remote"] or next((item.destination for item, _where in there), ""))


@dataclass(frozen=True)
class Peer:
    """The VTEP of another host: its underlay address and MAC, its addresses inside, and the networks behind it."""

    underlay: str
    mac: str
    overlay: Sequence[str]
    subnets: Sequence[str]


def parse(devices: list[dict[str, Any]], protocol: str, faults: Faults) -> list[Wanted]:
    """The wanted devices. What is wrong is added to the faults."""
    wanted: list[Wanted] = []
    for number, params in enumerate(devices):
        where = f"devices[{number}]"
        with faults.noted():
            device = _device(params, where, faults)
            set_addresses(device, params["addresses"], faults)
            _flood(device, params, faults)
            set_peers(device, params["peers"] and [Peer(**peer) for peer in params["peers"]], protocol, faults)
            wanted.append(device)
    refuse_clashes(wanted, faults)
    return wanted


def parse_names(devices: list[dict[str, Any]], faults: Faults) -> list[tuple[str, str]]:
    """Names of devices, with where each stands."""
    found: dict[str, str] = {}
    for number, params in enumerate(devices):
        with faults.noted():
            found.setdefault(validation.name(f"devices[{number}].name", params["name"]), f"devices[{number}]")
    return list(found.items())


def _device(params: Mapping[str, Any], where: str, faults: Faults) -> Wanted:
    """A device without its lists. Faults after which the rest cannot be judged are raised."""
    settings = {field: params[field] for field in (*SWITCHES, "df")}
    with faults.noted():
        settings["vni"] = validation.number(f"{where}.vni", params["vni"], 1, 0xFFFFFF)
    with faults.noted():
        settings["port"] = validation.number(f"{where}.port", params["port"], 1, 65535)
    with faults.noted():
        settings["ageing"] = validation.number(f"{where}.ageing", params["ageing"], 1, 0xFFFFFFFF)
    with faults.noted():
        settings["limit"] = validation.number(f"{where}.limit", params["limit"], 0, 0xFFFFFFFF)
    with faults.noted():
        settings["ttl"] = _ttl(f"{where}.ttl", params["ttl"])
    with faults.noted():
        settings["tos"] = _tos(f"{where}.tos", params["tos"])
    with faults.noted():
        settings["port_range"] = _port_range(f"{where}.port_range", params["port_range"])
    for field in ("external", "vnifilter"):
        settings[field] = False
        if params[field]:
            why = "a device whose VNI comes with each packet or from a filter has no peers that could be managed here"
            faults.add(f"{where}.{field}", why)
    mac = mtu = bridge = None
    with faults.noted():
        mac = validation.mac(f"{where}.mac", params["mac"]) if params["mac"] else None
    with faults.noted():
        mtu = None if params["mtu"] is None else validation.number(f"{where}.mtu", params["mtu"], 68, 65535)
    with faults.noted():
        bridge = validation.name(f"{where}.bridge", params["bridge"]) if params["bridge"] else params["bridge"]
    with faults.noted():
        settings["device"] = validation.name(f"{where}.device", params["device"]) if params["device"] else ""
    settings["local"], settings["remote"] = _ends(params, where)
    if params["group"] and not params["device"]:
        faults.add(f"{where}.group", "needs `device`, the interface to join the group on")
    name = validation.name(f"{where}.name", params["name"])
    return Wanted(where, name, settings, mac, mtu, params["up"], bridge)


def _ends(params: Mapping[str, Any], where: str) -> tuple[str, str]:
    """Local and remote address of the device; a group counts as remote."""
    local = vtep(f"{where}.local", params["local"]) if params["local"] else ""
    remote = ""
    if params["remote"] and params["group"]:
        raise SpecError(f"{where}.group", "there is `remote` already; a device has one or the other")
    if params["remote"]:
        remote = vtep(f"{where}.remote", params["remote"])
    if params["group"]:
        remote = validation.address(f"{where}.group", params["group"])
        if not vxlan_link.multicast(remote):
            raise SpecError(f"{where}.group", f"{remote} is no multicast address; a single one is `remote`")
    if local and remote and validation.version(local) != validation.version(remote):
        field = "remote" if params["remote"] else "group"
        raise SpecError(f"{where}.{field}", f"{remote} is not of the IP version of `local`, {local}")
    return local, remote


def vtep(where: str, text: Any) -> str:
    """An address on the underlay."""
    found = validation.address(where, text)
    if vxlan_link.multicast(found) or found in vxlan_link.ANY.values():
        raise SpecError(where, f"{found} is not the address of one machine")
    return found


def _ttl(where: str, value: str) -> str:
    if value in ("auto", "inherit"):
        return value
    number = validation.number(where, value, 0, 255)
    return str(number) if number else "auto"


def _tos(where: str, value: str) -> str:
    if value == "inherit":
        return value
    number = validation.number(where, value, 0, 255)
    if number == 1:
        raise SpecError(where, "1 is how the kernel writes `inherit`")
    return hex(number) if number else "0"


def _port_range(where: str, value: list[int] | None) -> str:
    if not value:
        return "0 0"
    if len(value) != 2 or not 1 <= value[0] <= value[1] <= 65535:
        raise SpecError(where, f"{value} is not a lowest and a highest port")
    return f"{value[0]} {value[1]}"


def set_addresses(device: Wanted, texts: Sequence[str] | None, faults: Faults) -> None:
    """Give the device its own addresses; None leaves those that it has."""
    if texts is None:
        return
    found: dict[Address, str] = {}
    for number, text in enumerate(texts):
        where = f"{device.where}.addresses[{number}]"
        with faults.noted():
            found.setdefault(Address(device.name, validation.interface(where, text)), where)
    device.addresses = list(found.items())
    _fits_ipv6(device, [(item.address, where) for item, where in device.addresses], faults)


def _flood(device: Wanted, params: Mapping[str, Any], faults: Faults) -> None:
    if params["flood"] is None:
        return
    found: dict[Fdb, str] = {}
    for number, text in enumerate(params["flood"]):
        where = f"{device.where}.flood[{number}]"
        with faults.noted():
            destination = _far(where, text, device)
            # The device's own remote is in the kernel's list already.
            if destination != device.settings["remote"]:
                found.setdefault(Fdb(device.name, ZERO, destination), where)
    device.flood = list(found.items())


def _far(where: str, text: Any, device: Wanted) -> str:
    """Address of another VTEP, as this device can reach it."""
    found = vtep(where, text)
    if found == device.settings["local"]:
        raise SpecError(where, f"{found} is this device's own `local`")
    if validation.version(found) != device.family:
        have = device.settings["local"] or device.settings["remote"]
        tells = f"`local` or `remote` is {have}" if have else "no IPv6 `local` or `remote` is set"
        raise SpecError(where, f"{found} is not of the device's IP version: {tells}")
    return found


def set_peers(device: Wanted, peers: Sequence[Peer] | None, protocol: str, faults: Faults) -> None:
    """Give the device what leads to its peers, marked with a protocol; None leaves what it has."""
    if peers is None:
        return
    fdb: dict[str, tuple[Fdb, str]] = {}
    neighbours: dict[str, tuple[Neighbour, str]] = {}
    routes: dict[str, tuple[routing_routes.Route, str]] = {}
    for number, peer in enumerate(peers):
        where = f"{device.where}.peers[{number}]"
        with faults.noted():
            mac = validation.mac(f"{where}.mac", peer.mac)
            underlay = _far(f"{where}.underlay", peer.underlay, device)
            if mac == device.mac:
                raise SpecError(f"{where}.mac", f"{mac} is this device's own")
            _once(fdb, mac, Fdb(device.name, mac, underlay), f"{where}.mac", "leads to another underlay address")
            gateways: dict[int, str] = {}
            for place, text in enumerate(peer.overlay):
                at = f"{where}.overlay[{place}]"
                overlay = validation.address(at, text)
                gateways.setdefault(validation.version(overlay), overlay)
                _once(neighbours, overlay, Neighbour(device.name, overlay, mac, protocol), at, "has another MAC")
            for place, text in enumerate(peer.subnets):
                at = f"{where}.subnets[{place}]"
                subnet = validation.reachable(at, text)
                family = validation.version(subnet)
                if family not in gateways:
                    raise SpecError(at, f"{subnet} needs an `overlay` address of IPv{family} to be routed through")
                hops = (routing_routes.Hop(gateways[family], device.name, onlink=True),)
                metric = routing_routes.USUAL_METRIC[family]
                route = routing_routes.Route(family, subnet, hops, protocol, metric=metric)
                _once(routes, subnet, route, at, "is routed to another peer")
    device.fdb, device.neighbours, device.routes = list(fdb.values()), list(neighbours.values()), list(routes.values())
    if neighbours and not device.up:
        faults.add(f"{device.where}.up", "neighbours and routes of `peers` need a device that is up")
    _fits_ipv6(device, [(item.address, where) for item, where in device.neighbours], faults)
    _apart(device, faults)


def _once(held: dict[str, Any], key: str, item: Any, where: str, why: str) -> None:
    """Hold an item under its key; the same again is no fault, another one is."""
    there, first = held.setdefault(key, (item, where))
    if there != item:
        raise SpecError(where, f"{key} {why} in {first}")


def _fits_ipv6(device: Wanted, texts: list[tuple[str, str]], faults: Faults) -> None:
    for text, where in texts:
        if device.mtu is not None and device.mtu < IPV6_MTU and validation.version(text) == 6:
            faults.add(where, f"{text}: IPv6 needs an MTU of {IPV6_MTU}; `mtu` is {device.mtu}")
            return


def _apart(device: Wanted, faults: Faults) -> None:
    """No address of a peer may be the device's own."""
    own = {item.address.partition("/")[0]: where for item, where in device.addresses or ()}
    for neighbour, where in device.neighbours or ():
        if neighbour.address in own:
            faults.add(where, f"{neighbour.address} is this device's own by {own[neighbour.address]}")


def refuse_clashes(wanted: list[Wanted], faults: Faults) -> None:
    """What can be there only once on a host."""
    names: dict[str, str] = {}
    segments: dict[Any, str] = {}
    routes: dict[str, str] = {}
    own = {validation.network(at, item.address): at for device in wanted for item, at in device.addresses or ()}
    for device in wanted:
        first = names.setdefault(device.name, device.where)
        if first != device.where:
            faults.add(f"{device.where}.name", f"{device.name} is {first} too")
            continue
        if "vni" in device.settings and "port" in device.settings:
            segment = (device.settings["vni"], device.settings["port"], device.family, device.settings["gbp"])
            first = segments.setdefault(segment, device.where)
            if first != device.where:
                faults.add(f"{device.where}.vni", f"{segment[0]} at port {segment[1]} is {first} too")
        for route, where in device.routes or ():
            first = routes.setdefault(route.destination, where)
            if first != where:
                faults.add(where, f"{route.destination} is routed in {first} already")
            if route.destination in own:
                faults.add(where, f"{route.destination} is a network of this host by {own[route.destination]}")
