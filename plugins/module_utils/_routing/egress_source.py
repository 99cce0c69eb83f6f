# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Under which address a pod's TCP connections leave the host.

The first packet of a connection is seen twice: as it comes from the pod, and as it leaves. Masquerading
replaces its address and maybe its port, and keeps its sequence number. That tells the two for one packet.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import capture

SO_ATTACH_FILTER = 26
SYN, ACK = 0x02, 0x10
# So that only few packets wait to be read. Classic BPF (socket(7), linux/filter.h): IPv4, TCP, the first fragment,
# with SYN and without ACK.
FILTER = (
    (0x28, 0, 0, 0xFFFFF000),  # the EtherType
    (0x15, 0, 8, capture.ETH_P_IP),
    (0x30, 0, 0, 9),  # the protocol
    (0x15, 0, 6, socket.IPPROTO_TCP),
    (0x28, 0, 0, 6),  # the fragment's offset
    (0x45, 4, 0, 0x1FFF),
    (0xB1, 0, 0, 0),  # the header's length
    (0x50, 0, 0, 13),  # the flags
    (0x54, 0, 0, SYN | ACK),
    (0x15, 1, 0, SYN),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0x100),
)


@dataclass(frozen=True)
class Opening:
    """The first packet of a TCP connection, as seen on an interface. ``target`` is address:port."""

    source: str
    target: str
    sequence: int
    outgoing: bool


def opening(data: bytes, kind: int) -> Opening | None:
    """What a captured packet opens; ``kind`` is sll_pkttype of packet(7)."""
    packet = capture.ipv4(data)
    if packet is None or packet.protocol != socket.IPPROTO_TCP or packet.fragment or len(packet.payload) < 14:
        return None
    if packet.payload[13] & (SYN | ACK) != SYN:
        return None
    port, sequence = struct.unpack("!HI", packet.payload[2:8])
    return Opening(packet.source, f"{packet.target}:{port}", sequence, kind == capture.OUTGOING)


def sources(openings: Iterable[Opening], pod: str) -> dict[str, str]:
    """Addresses under which a pod's connections left, by target. What never left is not there."""
    seen = list(openings)
    own = {one.sequence for one in seen if one.source == pod and not one.outgoing}
    return {one.target: one.source for one in seen if one.outgoing and one.sequence in own}


class Departures:
    """Sees the beginnings of TCP connections on all interfaces of the namespace it is made in (packet(7))."""

    def __init__(self) -> None:
        program = b"".join(struct.pack("HBBI", *instruction) for instruction in FILTER)
        held = ctypes.create_string_buffer(program, len(program))
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(capture.ETH_P_ALL))
        self.socket.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(FILTER), ctypes.addressof(held))
        )
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.setblocking(False)

    def __enter__(self) -> Departures:
        return self

    def __exit__(self, *_error: Any) -> None:
        self.socket.close()

    def sources(self, pod: str) -> dict[str, str]:
        """Addresses under which a pod's connections left so far, by target."""
        found: list[Opening] = []
        while True:
            try:
                data, address = self.socket.recvfrom(256)
            except BlockingIOError:
                return sources(found, pod)
            one = opening(data, address[2])
            if one:
                found.append(one)
