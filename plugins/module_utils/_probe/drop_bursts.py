# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Packets of a diagnosis, sent in bursts whose sizes tell between which pods they go.

The kernel's tracepoints tell the size of a packet and not its addresses. So that a packet is known by its size on all
nodes, and in a tunnel, sizes are apart by a number that no tunnel's header is a multiple of.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import netns
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import icmp, trace_instance
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import engine

COUNT = 8  # packets in a burst
PAUSE = 0.001  # seconds between them
BUDGET = 2.0  # seconds for all bursts: a node that has lost all others need not try them all
SMALL, LARGE = ("icmp", "udp", "tcp"), "large"
SMALLEST, STRIDE = 110, 11
# Small packets of this many numbers fit into the least that IPv6 has to carry.
NUMBERS = 33
# Large ones are smaller than what the pods' interface carries by so much at most, and never as large: pods' own are.
SPREAD = 10
UDP_HEADER, TCP_HEADER = 8, 20
TCP_SYN = 0x02


@dataclass(frozen=True)
class Flow:
    """What a burst goes as, and from which pod to which; an empty target stands for any."""

    kind: str
    source: str
    target: str


def numbers(pods: Iterable[str]) -> dict[tuple[str, str], int]:
    """A number for each pair of pods; where they are too many, one for each source, and the target is empty."""
    ordered = sorted(set(pods))
    pairs = [
        (source, target)
        for source in ordered
        for target in ordered
        if source != target and version(source) == version(target)
    ]
    if len(pairs) <= NUMBERS:
        return {pair: number for number, pair in enumerate(pairs)}
    return {(source, ""): number % NUMBERS for number, source in enumerate(ordered)}


def version(address: str) -> int:
    """IP version of an address."""
    return ipaddress.ip_address(address).version


def sizes(pods: Iterable[str], mtu: int) -> dict[int, list[Flow]]:
    """What packets of a size may be, of those whose size no tunnel's header has changed."""
    found: dict[int, list[Flow]] = {}
    for (source, target), number in numbers(pods).items():
        for place, kind in enumerate(SMALL):
            size = SMALLEST + STRIDE * (len(SMALL) * number + place)
            found.setdefault(size, []).append(Flow(kind, source, target))
        found.setdefault(mtu - 1 - number % SPREAD, []).append(Flow(LARGE, source, target))
    return found


def checksum(data: bytes) -> int:
    """The checksum of the Internet (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return int(~total & 0xFFFF)


def syn(source: str, target: str, ports: tuple[int, int], size: int) -> bytes:
    """The beginning of a TCP connection, with ``size`` bytes of header and data."""
    head = struct.pack("!HHIIBBHHH", *ports, 1, 0, TCP_HEADER // 4 << 4, TCP_SYN, 1024, 0, 0)
    body = head + bytes(size - TCP_HEADER)
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    length = struct.pack("!II", size, socket.IPPROTO_TCP)
    return body[:16] + struct.pack("!H", checksum(addresses + length + body)) + body[18:]


class Bursts(threading.Thread):
    """Sends from the pod to each target, one after the other, and marks in the trace what it sends."""

    def __init__(
        self, pod: str, targets: Sequence[engine.Target], known: dict[int, list[Flow]], own: Iterable[str]
    ) -> None:
        super().__init__()
        self.pod, self.targets = pod, targets
        self.sources = {version(address): address for address in own}
        self.size_of = {flow: size for size, flows in known.items() for flow in flows}
        self.instance: trace_instance.Instance | None = None
        # How often the kernel refused to send, by what and where to, with the number of the error.
        self.refused: dict[tuple[str, str, int], int] = {}

    def run(self) -> None:
        try:
            engine.enter(netns.path("name", self.pod, ":"))
        except engine.ProbeError:
            return
        until = time.monotonic() + BUDGET
        for target in self.targets:
            if time.monotonic() > until:
                return
            source = self.sources.get(target.family)
            for kind in (*SMALL, LARGE) if source else ():
                flow = Flow(kind, source or "", target.address)
                size = self.size_of.get(flow) or self.size_of.get(Flow(kind, flow.source, ""))
                if size:
                    self._burst(flow, target, size)

    def _burst(self, flow: Flow, target: engine.Target, size: int) -> None:
        mark = self.instance.mark if self.instance else lambda _text: None
        header = 20 if target.family == 4 else 40
        with self._socket(flow.kind, target.family) as one:
            for number in range(COUNT):
                try:
                    mark(f"{flow.kind} {target.address}\n")
                    one.sendto(*self._packet(flow, target, size - header, number))
                except OSError as error:
                    key = (flow.kind, target.address, error.errno or errno.EIO)
                    self.refused[key] = self.refused.get(key, 0) + 1
                finally:
                    mark("sent\n")
                time.sleep(PAUSE)

    def _packet(self, flow: Flow, target: engine.Target, size: int, number: int) -> tuple[bytes, tuple[str, int]]:
        """What a socket is given for a packet with ``size`` bytes behind its IP header, and where to."""
        if flow.kind == "udp":
            return b"\n" + bytes(size - UDP_HEADER - 1), (target.address, target.port)
        if flow.kind == "tcp":
            ports = (49152 + (os.getpid() * COUNT + number) % 16384, target.port)
            return syn(flow.source, target.address, ports, size), (target.address, 0)
        return icmp.packet(target.family, (os.getpid() ^ 0x5555) & 0xFFFF, number, size - 8), (target.address, 0)

    @staticmethod
    def _socket(kind: str, family: int) -> socket.socket:
        """A socket for a burst, which sends what the interface carries whatever the kernel thinks of the path."""
        internet = socket.AF_INET if family == 4 else socket.AF_INET6
        if kind == "udp":
            made = socket.socket(internet, socket.SOCK_DGRAM)
        elif kind == "tcp":
            made = socket.socket(internet, socket.SOCK_RAW, socket.IPPROTO_TCP)
        else:
            made = icmp.raw_socket(family)
        level = socket.IPPROTO_IP if family == 4 else socket.IPPROTO_IPV6
        option = engine.IP_MTU_DISCOVER if family == 4 else engine.IPV6_MTU_DISCOVER
        made.setsockopt(level, option, engine.PMTUDISC_PROBE)
        return made
