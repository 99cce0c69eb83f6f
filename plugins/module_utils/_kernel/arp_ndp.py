# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Ask a link which machines have an address, and collect all their answers (RFC 826, RFC 4861).

The kernel asks too, but believes one answer and remembers it; here nothing is remembered. The
question about an IPv4 address carries no sender (RFC 5227), so that nobody learns anything from it.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

BROADCAST = b"\xff" * 6
ARP, IPV6 = 0x0806, 0x86DD
ICMPV6 = 58
SOLICITATION, ADVERTISEMENT = 135, 136
TARGET_LINK_ADDRESS, SOURCE_LINK_ADDRESS = 2, 1


def who_has(address: str, interface: str, source: str = "", wait: float = 0.4) -> list[str]:
    """MAC addresses of the other machines on a link that say they have an address.

    ``source`` is an IPv6 address of the interface, which a question about one needs. An interface that is down
    gets no answer. Needs CAP_NET_RAW.
    """
    target = ipaddress.ip_address(address)
    protocol = ARP if target.version == 4 else IPV6
    found: dict[str, None] = {}
    with (
        contextlib.suppress(LinkDown),
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol)) as link,
    ):
        link.bind((interface, protocol))
        own = link.getsockname()[4]
        frame = request(own, target.packed) if target.version == 4 else solicitation(own, source, address)
        for _try in range(2):
            _send(link, frame)
            until = time.monotonic() + wait / 2
            while (left := until - time.monotonic()) > 0:
                if not select.select([link], [], [], left)[0]:
                    break
                answer = answered(link.recv(2048), target.packed)
                if answer and answer != own:
                    found[answer.hex(":")] = None
    return list(found)


def on_links(addresses: Sequence[str], links: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """MAC addresses of the other machines that answer for each address, on the links in whose network it is.

    ``links`` are by name, each with ``mac`` and ``addresses`` with their prefix length.
    """
    found: dict[str, list[str]] = {}
    for address in addresses:
        wanted = ipaddress.ip_address(address)
        for name, link in links.items():
            held = [ipaddress.ip_interface(one) for one in link["addresses"]]
            near = [one for one in held if wanted in one.network and one.network.prefixlen < one.max_prefixlen]
            local = [one for one in held if one.version == 6 and one.is_link_local]
            source = next((str(one.ip) for one in (*local, *near) if one.version == 6), "")
            if near and link["mac"] and (wanted.version == 4 or source):
                found.setdefault(address, []).extend(who_has(address, name, source))
    return found


class LinkDown(Exception):
    """The interface is down, so nobody can be asked."""


def _send(link: socket.socket, frame: bytes) -> None:
    try:
        link.send(frame)
    except OSError as error:
        if error.errno == errno.ENETDOWN:
            raise LinkDown from None
        raise


def request(own: bytes, target: bytes) -> bytes:
    """An Ethernet frame with an ARP probe."""
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    return BROADCAST + own + struct.pack("!H", ARP) + head + own + bytes(4) + bytes(6) + target


def solicitation(own: bytes, source: str, target: str) -> bytes:
    """An Ethernet frame with a neighbour solicitation, to the target's solicited-node group."""
    sender, wanted = ipaddress.IPv6Address(source).packed, ipaddress.IPv6Address(target).packed
    group = ipaddress.IPv6Address("ff02::1:ff00:0").packed[:13] + wanted[13:]
    body = struct.pack("!BBHI", SOLICITATION, 0, 0, 0) + wanted + bytes([SOURCE_LINK_ADDRESS, 1]) + own
    checksum = _checksum(sender + group + struct.pack("!II", len(body), ICMPV6) + body)
    body = body[:2] + struct.pack("!H", checksum) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), ICMPV6, 255) + sender + group
    return b"\x33\x33" + group[12:] + own + struct.pack("!H", IPV6) + header + body


def answered(frame: bytes, target: bytes) -> bytes | None:
    """MAC address of the machine that says in this frame that it has the target."""
    if frame[12:14] == struct.pack("!H", ARP):
        operation, sender, address = frame[20:22], frame[22:28], frame[28:32]
        # A request of somebody who has the address tells as much as a reply.
        return sender if operation in (b"\0\1", b"\0\2") and address == target else None
    if len(frame) >= 78 and frame[20] == ICMPV6 and frame[54] == ADVERTISEMENT and frame[62:78] == target:
        option = frame[78:86]
        return option[2:8] if option[:2] == bytes([TARGET_LINK_ADDRESS, 1]) else frame[6:12]
    return None


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
