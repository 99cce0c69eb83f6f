# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Where packets between two pods are seen on a host: on which interface, which way, in what wrapping.

Reads every interface through one packet socket (packet(7)). Incoming packets are seen before the
firewall, outgoing ones after it, so the last place a packet is seen tells which step swallowed it.
Understands VXLAN (RFC 7348), GRE (RFC 2784), IP in IP (RFC 2003) and flannel's UDP tunnel.
"""

from __future__ import annotations

import ipaddress
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD
# sll_pkttype of packet(7).
HOST, OTHERHOST, OUTGOING = 0, 3, 4
FLANNEL_UDP_PORT = 8285


@dataclass(frozen=True)
class Sighting:
    """A packet between two pods, seen on an interface.

    ``way`` is ``in``, ``out`` or ``other`` (in, but for another MAC). ``wrapping`` is empty for the packet
    itself, else ``vxlan``, ``gre``, ``ipip`` or ``udp``, with the outer addresses, UDP port and VNI.
    """

    source: str
    target: str
    protocol: int
    interface: str
    way: str
    wrapping: str = ""
    outer_source: str = ""
    outer_target: str = ""
    port: int = 0
    vni: int = 0


@dataclass(frozen=True)
class Packet:
    """The addresses, protocol and payload of an IP packet."""

    source: str
    target: str
    protocol: int
    payload: bytes
    fragment: bool


def ipv4(data: bytes) -> Packet | None:
    """Parse an IPv4 packet; None for anything else."""
    if len(data) < 20 or data[0] >> 4 != 4:
        return None
    header = (data[0] & 0x0F) * 4
    offset = struct.unpack("!H", data[6:8])[0] & 0x1FFF
    return Packet(
        str(ipaddress.IPv4Address(data[12:16])),
        str(ipaddress.IPv4Address(data[16:20])),
        data[9],
        data[header:],
        offset != 0,
    )


def ipv6(data: bytes) -> Packet | None:
    """Parse an IPv6 packet; None for anything else. Of extension headers it knows that of a fragment (RFC 8200)."""
    if len(data) < 40 or data[0] >> 4 != 6:
        return None
    protocol, start, offset = data[6], 40, 0
    if protocol == socket.IPPROTO_FRAGMENT and len(data) >= 48:
        protocol, start, offset = data[40], 48, struct.unpack("!H", data[42:44])[0] >> 3
    source, target = (str(ipaddress.IPv6Address(data[place : place + 16])) for place in (8, 24))
    return Packet(source, target, protocol, data[start:], offset != 0)


def packet(data: bytes) -> Packet | None:
    """Parse an IP packet; None for anything else."""
    return ipv4(data) or ipv6(data)


def unwrap(outer: Packet, vxlan_ports: Iterable[int]) -> tuple[str, int, int, Packet] | None:
    """The packet inside a packet, as ``(wrapping, UDP port, VNI, inner)``; None where there is none."""
    if outer.fragment:
        return None
    body = outer.payload
    if outer.protocol == socket.IPPROTO_IPIP:
        inner = ipv4(body)
        return ("ipip", 0, 0, inner) if inner else None
    if outer.protocol == socket.IPPROTO_GRE and len(body) >= 4:
        flags, kind = struct.unpack("!HH", body[:4])
        # Checksum, key and sequence number are optional, four bytes each.
        start = 4 + 4 * sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000))
        inner = _ethernet(body[start:]) if kind == 0x6558 else packet(body[start:])
        return ("gre", 0, 0, inner) if inner else None
    if outer.protocol == socket.IPPROTO_UDP and len(body) >= 16:
        port = struct.unpack("!H", body[2:4])[0]
        if port in vxlan_ports:
            vni = int.from_bytes(body[12:15], "big")
            inner = _ethernet(body[16:])
            return ("vxlan", port, vni, inner) if inner else None
        if port == FLANNEL_UDP_PORT:
            inner = ipv4(body[8:])
            return ("udp", port, 0, inner) if inner else None
    return None


def _ethernet(frame: bytes) -> Packet | None:
    if len(frame) < 14 or struct.unpack("!H", frame[12:14])[0] not in (ETH_P_IP, ETH_P_IPV6):
        return None
    return packet(frame[14:])


def sighting(data: bytes, interface: str, kind: int, pods: frozenset[str], ports: Iterable[int]) -> Sighting | None:
    """What a captured packet says of two pods; None where it is about nobody we look for."""
    outer = packet(data)
    if outer is None:
        return None
    way = "out" if kind == OUTGOING else "other" if kind == OTHERHOST else "in"
    if outer.source in pods and outer.target in pods:
        return Sighting(outer.source, outer.target, outer.protocol, interface, way)
    wrapped = unwrap(outer, ports)
    if wrapped is None:
        return None
    wrapping, port, vni, inner = wrapped
    if inner.source not in pods or inner.target not in pods:
        return None
    return Sighting(
        inner.source,
        inner.target,
        inner.protocol,
        interface,
        way,
        wrapping,
        outer.source,
        outer.target,
        port,
        vni,
    )


def watch(pods: Iterable[str], ports: Iterable[int], until: float, meanwhile: Callable[[], None]) -> list[Sighting]:
    """All sightings of packets between the pods until a time on the monotonic clock.

    ``meanwhile`` is called again and again, and must not block: it sends what is to be seen.
    """
    wanted, ports = frozenset(pods), tuple(ports)
    seen: dict[Sighting, None] = {}
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        one.setblocking(False)
        while time.monotonic() < until:
            meanwhile()
            if not select.select([one], [], [], 0.05)[0]:
                continue
            for _count in range(2000):
                try:
                    data, address = one.recvfrom(256)
                except BlockingIOError:
                    break
                if address[1] not in (ETH_P_IP, ETH_P_IPV6):
                    continue
                found = sighting(data, address[0], address[2], wanted, ports)
                if found:
                    seen[found] = None
    return list(seen)
