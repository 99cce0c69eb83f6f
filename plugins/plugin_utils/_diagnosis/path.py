# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""The path of packets from one pod to another, of whose probes some failed."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import End

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
PROTOCOLS = {"icmp": ICMP, "mtu": ICMP, "tcp": TCP, "http": TCP, "bulk": TCP, "udp": UDP}


@dataclass(frozen=True)
class Path:
    """The way from one pod to another, of whose probes some failed."""

    source: End
    target: End
    failed: tuple[str, ...]
    passed: tuple[str, ...]
    # Largest packet that arrived, where that was measured; None where none did.
    mtu: int | None = None
    # All nodes with a pod: what most of them have is what is meant.
    ends: tuple[End, ...] = ()

    @property
    def family(self) -> int:
        """IP version of the pods' addresses."""
        return ipaddress.ip_address(self.source.pod_address).version

    def both(self) -> Iterator[tuple[End, End]]:
        """Each end with its opposite: what goes must also come back."""
        yield self.source, self.target
        yield self.target, self.source

    def seen(self, on: End, way: str, start: End | None = None) -> list[Mapping[str, Any]]:
        """Sightings on a node of packets of the failed protocols that started at an end."""
        begin = start or self.source
        finish = self.target if begin is self.source else self.source
        wanted = {PROTOCOLS[protocol] for protocol in self.failed if protocol in PROTOCOLS}
        if self.family == 6 and ICMP in wanted:
            wanted.add(ICMPV6)
        return [
            one
            for one in on.evidence.get("sightings", ())
            if one["source"] == begin.pod_address
            and one["target"] == finish.pod_address
            and one["way"] == way
            and one["protocol"] in wanted
        ]


# Probes whose packets are small.
SMALL = frozenset({"icmp", "tcp", "udp", "http"})


def ip_version(path: Path) -> str:
    """Which IP version it is about, where it is not the usual one."""
    return "IPv6 " if path.family == 6 else ""


def holds(end: End, address: str) -> bool:
    return any(has_address(link, address) for link in end.evidence.get("links", {}).values())


def has_address(link: Mapping[str, Any], address: str) -> bool:
    return any(held.partition("/")[0] == address for held in link.get("addresses", ()))


def near(end: End, other: End) -> bool:
    """Whether the other node is in a network of this one, so that no router is needed."""
    address = ipaddress.ip_address(other.address)
    held = (text for link in end.evidence.get("links", {}).values() for text in link.get("addresses", ()))
    return any(address in ipaddress.ip_interface(text).network for text in held)
