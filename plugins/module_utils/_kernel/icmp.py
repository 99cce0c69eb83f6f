# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""ICMP echo from Python, to many addresses at once, without a ping program (RFC 792, RFC 4443)."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import socket
import struct
import time
from collections.abc import Sequence

ECHO_REQUEST = {4: 8, 6: 128}
ECHO_REPLY = {4: 0, 6: 129}


def packet(family: int, identifier: int, sequence: int, size: int = 8) -> bytes:
    """An echo request with ``size`` bytes after its header."""
    head = struct.pack("!BBHHH", ECHO_REQUEST[family], 0, 0, identifier, sequence)
    body = bytes(size)
    if family == 6:  # the kernel fills in the checksum of ICMPv6
        return head + body
    total = sum(struct.unpack(f"!{(len(head + body) + 1) // 2}H", head + body + b"\0" * (len(body) % 2)))
    total = (total >> 16) + (total & 0xFFFF)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return head[:2] + struct.pack("!H", checksum) + head[4:] + body


def reply(family: int, data: bytes) -> tuple[int, int] | None:
    """Identifier and sequence of an echo reply; None for any other packet."""
    if family == 4:
        data = data[(data[0] & 0x0F) * 4 :]  # a raw IPv4 socket delivers the IP header too
    if len(data) < 8 or data[0] != ECHO_REPLY[family]:
        return None
    identifier, sequence = struct.unpack("!HH", data[4:8])
    return identifier, sequence


def raw_socket(family: int) -> socket.socket:
    """A raw ICMP socket. Needs CAP_NET_RAW."""
    if family == 4:
        made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    else:
        made = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    made.setblocking(False)
    return made


def silent(addresses: Sequence[str], tries: int = 3, wait: float = 0.5) -> list[str]:
    """Those of the addresses that answer none of ``tries`` echo requests, ``wait`` seconds apart."""
    identifier = os.getpid() & 0xFFFF
    numbered = dict(enumerate(addresses))
    families = {number: ipaddress.ip_address(address).version for number, address in numbered.items()}
    sockets = {family: raw_socket(family) for family in set(families.values())}
    try:
        for _try in range(tries):
            for number, address in numbered.items():
                with contextlib.suppress(OSError):
                    sockets[families[number]].sendto(packet(families[number], identifier, number), (address, 0))
            until = time.monotonic() + wait
            while numbered and time.monotonic() < until:
                ready, _w, _x = select.select(list(sockets.values()), [], [], max(0.0, until - time.monotonic()))
                for family, one in sockets.items():
                    if one not in ready:
                        continue
                    answer = reply(family, one.recv(2048))
                    if answer and answer[0] == identifier:
                        numbered.pop(answer[1], None)
            if not numbered:
                break
    finally:
        for one in sockets.values():
            one.close()
    return list(numbered.values())
