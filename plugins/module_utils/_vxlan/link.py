# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A VXLAN device as the kernel holds it: its attributes, and which of them can change in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation

ANY = {4: "0.0.0.0", 6: "::"}
# Of outer Ethernet, IP, UDP and VXLAN headers together (RFC 7348, section 5).
OVERHEAD = {4: 50, 6: 70}
# A changed multicast group is joined by a running device since this kernel.
JOINS_CHANGED_GROUP = (6, 15)


@dataclass(frozen=True)
class Link:
    """A VXLAN device. Empty texts stand for "none"; an MTU of 0 and an empty MAC for "the kernel's choice".

    Fields after ``bridge`` are options of iproute2 that the module neither sets nor changes; a
    device that is made anew keeps them.
    """

    name: str
    vni: int
    port: int = 4789
    local: str = ""
    device: str = ""
    remote: str = ""
    learning: bool = True
    ageing: int = 300
    ttl: str = "auto"
    tos: str = "0"
    df: str = "unset"
    udp_checksum: bool = True
    udp6_zero_checksum_tx: bool = False
    udp6_zero_checksum_rx: bool = False
    gbp: bool = False
    proxy: bool = False
    l2miss: bool = False
    l3miss: bool = False
    port_range: str = "0 0"
    limit: int = 0
    external: bool = False
    vnifilter: bool = False
    mac: str = ""
    mtu: int = 0
    up: bool = True
    bridge: str = ""
    gpe: bool = False
    rsc: bool = False
    remcsum_tx: bool = False
    remcsum_rx: bool = False
    label: str = "0"

    program = "ip"

    @property
    def family(self) -> int:
        """IP version of the underlay; the kernel takes IPv4 where no address tells."""
        return validation.version(self.local or self.remote)

    def put(self, before: Link | None) -> list[str]:
        if before is None:
            return self._made()
        changed = [field for field in VXLAN if getattr(self, field) != getattr(before, field)]
        lines = []
        if self.remote == before.remote and moves_remote(before, self):
            # The kernel joins a group where it becomes the remote, not where the device alone changes.
            lines.append(f"link set dev {self.name} type vxlan remote {ANY[self.family]}")
            changed.append("remote")
        if changed:
            if "remote" in changed and multicast(self.remote) and "device" not in changed:
                changed.append("device")  # iproute2 takes a group only along with its device
            values = [word for field in changed for word in words(field, self, before.family)]
            lines.append(" ".join(["link set dev", self.name, "type vxlan", *values]))
        # With another underlay device the kernel may have cut the MTU.
        if self.mtu and (self.mtu != before.mtu or "device" in changed):
            lines.append(f"link set dev {self.name} mtu {self.mtu}")
        if self.mac and self.mac != before.mac:
            lines.append(f"link set dev {self.name} address {self.mac}")
        if self.bridge != before.bridge:
            lines.append(f"link set dev {self.name} {_membership(self.bridge)}")
        if self.up != before.up:
            lines.append(f"link set dev {self.name} {'up' if self.up else 'down'}")
        return lines

    def drop(self) -> list[str]:
        return [f"link delete dev {self.name}"]

    def text(self) -> str:
        lines = [f"vxlan device {self.name}"]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if value != field.default or field.name in ("vni", "port", "mtu", "up"):
                lines.append(f"  {field.name} {str(value).lower() if isinstance(value, bool) else value}")
        return "\n".join(lines)

    def _made(self) -> list[str]:
        first = ["link add", self.name]
        first += ["mtu", str(self.mtu)] if self.mtu else []
        first += ["address", self.mac] if self.mac else []
        values = []
        for field in VXLAN:
            if field in ALWAYS or getattr(self, field) != DEFAULTS[field]:
                values += words(field, self, self.family)
        lines = [" ".join([*first, "type vxlan", *values])]
        lines += [f"link set dev {self.name} {_membership(self.bridge)}"] if self.bridge else []
        return lines + ([f"link set dev {self.name} up"] if self.up else [])


DEFAULTS = {field.name: field.default for field in fields(Link)}
# Attributes of the type, in contrast to those any link has.
VXLAN = tuple(field for field in DEFAULTS if field not in ("name", "mac", "mtu", "up", "bridge"))
ALWAYS = ("vni", "port", "learning", "udp_checksum")
UNCHANGEABLE = (
    "vni", "port", "udp_checksum", "udp6_zero_checksum_tx", "udp6_zero_checksum_rx", "gbp", "proxy", "l2miss",
    "l3miss", "port_range", "limit", "external", "vnifilter", "gpe", "rsc", "remcsum_tx", "remcsum_rx",
)  # fmt: skip
# Words of iproute2 for attributes that are on or off, where they are not the field's own name.
SWITCHES = {
    "udp_checksum": "udpcsum",
    "udp6_zero_checksum_tx": "udp6zerocsumtx",
    "udp6_zero_checksum_rx": "udp6zerocsumrx",
    "remcsum_tx": "remcsumtx",
    "remcsum_rx": "remcsumrx",
}
VALUES = {
    "port": "dstport",
    "port_range": "srcport",
    "limit": "maxaddress",
    "label": "flowlabel",
    "device": "dev",
}


def words(field: str, link: Link, family: int) -> list[str]:
    """An attribute in a line of iproute2."""
    value = getattr(link, field)
    if isinstance(value, bool):
        word = SWITCHES.get(field, field)
        return [word if value else f"no{word}"]
    if field == "vni":
        return [] if link.external else ["id", str(value)]
    if field == "remote":
        return ["group" if multicast(value) else "remote", value or ANY[family]]
    if field == "local":
        return ["local", value or ANY[family]]
    if field == "device" and not value:
        return []  # nothing takes it away
    return [VALUES.get(field, field), *str(value).split()]


def unchangeable(before: Link, after: Link, kernel: tuple[int, ...]) -> list[str]:
    """Attributes that differ and that the kernel, of that version, cannot change on a device that is there."""
    differ = [field for field in VXLAN if getattr(before, field) != getattr(after, field)]
    found = [field for field in differ if field in UNCHANGEABLE]
    if before.family != after.family:
        found += [field for field in ("local", "remote") if field in differ]
    if "device" in differ and not after.device:
        found.append("device")  # there is another, but there cannot be none
    if "ttl" in differ and "inherit" in (before.ttl, after.ttl):
        found.append("ttl")
    if multicast(after.remote) and kernel < JOINS_CHANGED_GROUP:
        found += [field for field in ("device", "remote") if field in differ and field not in found]
    return found


def moves_remote(before: Link, after: Link) -> bool:
    """Whether a change in place makes the kernel put the FDB entry of the remote anew.

    It does so with another remote, and not with another underlay device alone; for a group, which
    is joined along with it, the change is carried out in two steps.
    """
    return before.remote != after.remote or (multicast(after.remote) and before.device != after.device)


def multicast(address: str) -> bool:
    """Whether an address in the kernel's form is that of a group."""
    if ":" in address:
        return address.startswith("ff") and len(address.split(":")[0]) == 4
    return bool(address) and 224 <= int(address.split(".")[0]) <= 239


def from_json(entry: Mapping[str, Any]) -> Link | None:
    """A VXLAN device from the JSON of `ip`; None where the link is none."""
    info = entry.get("linkinfo", {})
    if info.get("info_kind") != "vxlan":
        return None
    data = info.get("info_data", {})

    def on(key: str) -> bool:
        # Newer iproute2 prints null for some that are on, and false for those that are off.
        return key in data and data[key] is not False

    tos = int(str(data.get("tos", "0")), 16 if str(data.get("tos", "0")).startswith("0x") else 10)
    ports = data.get("port_range", {"low": 0, "high": 0})
    # Only a TTL that is not inherited is printed.
    ttl = data.get("ttl", "inherit")
    return Link(
        name=entry["ifname"],
        vni=int(data.get("id", 0)),
        port=int(data.get("port", 0)),
        local=data.get("local", data.get("local6", "")),
        device=data.get("link", ""),
        remote=data.get("remote", data.get("remote6", data.get("group", data.get("group6", "")))),
        learning=on("learning"),
        ageing=int(data.get("ageing", 300)),
        ttl="auto" if ttl in (0, "auto") else str(ttl),
        tos="inherit" if tos == 1 else hex(tos) if tos else "0",
        df=data.get("df", "unset"),
        udp_checksum=on("udp_csum"),
        udp6_zero_checksum_tx=on("udp_zero_csum6_tx"),
        udp6_zero_checksum_rx=on("udp_zero_csum6_rx"),
        gbp=on("gbp"),
        proxy=on("proxy"),
        l2miss=on("l2miss"),
        l3miss=on("l3miss"),
        port_range=f"{ports['low']} {ports['high']}",
        limit=int(data.get("limit", 0)),
        external=on("external"),
        vnifilter=on("vnifilter"),
        mac=entry.get("address", ""),
        mtu=int(entry["mtu"]),
        up="UP" in entry.get("flags", ()),
        bridge=entry.get("master", ""),
        gpe=on("gpe"),
        rsc=on("rsc"),
        remcsum_tx=on("remcsum_tx"),
        remcsum_rx=on("remcsum_rx"),
        label=data.get("label", "0"),
    )


def _membership(bridge: str) -> str:
    return f"master {bridge}" if bridge else "nomaster"
