# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What a VXLAN device holds: addresses, FDB entries and neighbours, and whose they are.

The kernel lets a neighbour carry a protocol number (NDA_PROTOCOL), which tells its owner. An FDB
entry has no such mark; there the owner is told by what it looks like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ZERO = "00:00:00:00:00:00"


@dataclass(frozen=True)
class Address:
    """An address of a device, as ``192.0.2.1/24``."""

    device: str
    address: str

    program = "ip"

    @property
    def family(self) -> int:
        return 6 if ":" in self.address else 4

    @property
    def link_local(self) -> bool:
        return self.address.startswith("fe80:")

    def put(self, before: Address | None) -> list[str]:
        # Duplicates of a VTEP's address are looked for in the inventory, not on the wire.
        return [f"address replace {self.address} dev {self.device}{' nodad' if self.family == 6 else ''}"]

    def drop(self) -> list[str]:
        return [f"address delete {self.address} dev {self.device}"]

    def text(self) -> str:
        return f"address {self.address} dev {self.device}"


@dataclass(frozen=True)
class Fdb:
    """An FDB entry: frames to this MAC go to the VTEP at ``destination``; with the zero MAC, flooded ones.

    ``extra`` holds the words of what an entry of this collection never has: port, VNI or interface
    of its own, or a flag of a control plane.
    """

    device: str
    mac: str
    destination: str
    state: str = "permanent"
    extra: str = ""

    program = "bridge"

    @property
    def flood(self) -> bool:
        return self.mac == ZERO

    @property
    def key(self) -> tuple[str, ...]:
        """A MAC has one destination, the zero MAC has any number of them."""
        return (self.mac, self.destination, self.extra) if self.flood else (self.mac,)

    @property
    def ours(self) -> bool:
        """Whether it looks like one that this collection made.

        The kernel keeps the state once for all entries of a MAC, so that of a flooded destination
        says nothing about it.
        """
        return not self.extra and (self.flood or self.state == "permanent")

    def put(self, before: Fdb | None) -> list[str]:
        return [f"fdb {'append' if self.flood else 'replace'} {self._words()} self {self.state}"]

    def drop(self) -> list[str]:
        return [f"fdb delete {self._words()} self"]

    def text(self) -> str:
        state = f" {self.state}" if self.state != "permanent" else ""
        return f"fdb {self._words()}{state}"

    def _words(self) -> str:
        destination = f" dst {self.destination}" if self.destination else ""
        return f"{self.mac} dev {self.device}{destination}{f' {self.extra}' if self.extra else ''}"


@dataclass(frozen=True)
class Neighbour:
    """A configured neighbour: ``address`` has this MAC. Learned ones are no configuration."""

    device: str
    address: str
    mac: str
    protocol: str = "0"
    state: str = "permanent"

    program = "ip"

    def put(self, before: Neighbour | None) -> list[str]:
        protocol = f" protocol {self.protocol}" if self.protocol != "0" else ""
        line = f"neighbour replace {self.address} lladdr {self.mac} dev {self.device} nud {self.state}{protocol}"
        # The kernel does not take a protocol away again.
        return [*(before.drop() if before and not protocol and before.protocol != "0" else []), line]

    def drop(self) -> list[str]:
        return [f"neighbour delete {self.address} dev {self.device}"]

    def text(self) -> str:
        return f"neighbour {self.address} lladdr {self.mac} dev {self.device} protocol {self.protocol}"


def addresses_from_json(link: Mapping[str, Any]) -> list[Address]:
    """Configured addresses of a link, from the JSON of `ip`, in the kernel's order."""
    return [
        Address(link["ifname"], f"{entry['local']}/{entry['prefixlen']}")
        for entry in link.get("addr_info", ())
        if "local" in entry and "address" not in entry and not entry.get("dynamic")
    ]


def fdb_from_json(entry: Mapping[str, Any], device: str) -> Fdb | None:
    """An FDB entry from the JSON of `bridge`; None where it was learned or belongs to a bridge."""
    flags = list(entry.get("flags", ()))
    if "self" not in flags or not entry.get("state"):
        return None
    flags.remove("self")
    extra = [f"{word} {entry[key]}" for key, word in OWN.items() if key in entry]
    return Fdb(
        device=device,
        mac=entry["mac"],
        destination=entry.get("dst", ""),
        state=entry["state"],
        extra=" ".join([*extra, *(flag for flag in flags if flag in FLAGS)]),
    )


# Keys of `bridge -json fdb`, and the words that set them.
OWN = {"port": "port", "vni": "vni", "src_vni": "src_vni", "viaIf": "via", "viaIfIndex": "via", "nhid": "nhid"}
FLAGS = ("router", "extern_learn", "sticky")


def neighbour_from_json(entry: Mapping[str, Any], device: str, protocols: Mapping[str, str]) -> Neighbour | None:
    """A neighbour from the JSON of `ip`; None where the kernel learned it."""
    state = (entry.get("state") or ["NONE"])[0].lower()
    # A NOARP entry of a multicast group is the kernel's own.
    if state != "permanent" or "lladdr" not in entry:
        return None
    protocol = str(entry.get("protocol", "0"))
    return Neighbour(device, entry["dst"], entry["lladdr"], protocols.get(protocol, protocol), state)
