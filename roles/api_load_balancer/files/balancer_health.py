# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells keepalived whether this balancer should hold an address. Nothing but Python's own library.

Two signals, each a file that keepalived tracks:

``backends``  1 where another balancer would serve better: it gets an answer from a backend through
              its listener and this one does not; or this machine is cut off. When nobody gets an
              answer the addresses stay where they are.
``<id>``      what to add to the priority of a virtual router. A machine that was frozen comes back
              believing that it holds the address. VRRP then gives it to the higher priority; so
              the one that took over from a silent machine takes a priority above that one's.

usage: health CONFIGURATION                 run
       health CONFIGURATION ADDRESS...      say which of these answer through the port, and exit 1
                                            where one does not
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

VRRP = 112
ETH_P_IP, PACKET_OUTGOING = 0x0800, 4
SO_ATTACH_FILTER = 26
ETHERNET = 1
# Seconds until a sender that is no balancer is named again, and how many are in that time.
AGAIN, MOST_NAMED = 60.0, 20
HIGHEST = 254  # 255 is for the owner of an address


@dataclass(frozen=True)
class View:
    """What can be seen from here. ``reached`` are machines that speak TCP at all."""

    own: bool
    peers_answer: tuple[bool, ...] = ()
    peers_reached: tuple[bool, ...] = ()
    witnesses_reached: tuple[bool, ...] = ()


def reason_to_yield(view: View) -> str:
    """Why another balancer should hold the addresses; empty where this one may."""
    if view.own:
        return ""
    if any(view.peers_answer):
        return "no backend answers here, and one does through another balancer"
    alone = bool(view.peers_reached) and not any(view.peers_reached)
    if alone and 2 * sum(view.witnesses_reached) < len(view.witnesses_reached):
        return "cut off: no other balancer can be reached, and less than half of the backends"
    return ""


def raised(base: int, heard: int) -> int:
    """What to add to a base priority to be above the one that was last heard from another machine.

    Priority 0 is a machine's farewell: it knows that it holds the address no more.
    """
    return max(0, min(HIGHEST, heard + 1) - base) if heard else 0


def advertised(packet: bytes) -> tuple[int, int] | None:
    """Virtual router and priority of a VRRP packet with its IPv4 header (RFC 5798, RFC 3768)."""
    start = (packet[0] & 0x0F) * 4 if packet else 0
    if len(packet) < start + 3 or packet[start] & 0x0F != 1:
        return None
    return packet[start + 1], packet[start + 2]


def reason_to_distrust(frame: bytes, peers: dict[str, str]) -> str:
    """Why a VRRP packet, with its Ethernet header, is no balancer's; empty where it is one's.

    ``peers`` has the MAC of each other balancer by its address; an empty one is not known.
    """
    source, mac = socket.inet_ntoa(frame[26:30]), frame[6:12].hex(":")
    told = advertised(frame[14:])
    router = f"virtual router {told[0]}, priority {told[1]}" if told else "not an advertisement"
    if source not in peers:
        return f"VRRP from {source} ({mac}), which is no balancer: {router}"
    if peers[source] and mac != peers[source]:
        return f"VRRP from {source}, but with MAC {mac} instead of {peers[source]}: {router}"
    return ""


def vrrp_frames() -> socket.socket:
    """A socket that gets every VRRP packet that arrives, before any firewall, and nothing else."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
    # Take packets with protocol 112 in the IPv4 header: load the byte, compare, all of it or nothing.
    program = ((0x30, 0, 0, 23), (0x15, 0, 1, VRRP), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    link.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code)))
    link.setblocking(False)
    return link


def endpoint(text: str) -> tuple[str, int]:
    """Address and port of ``address:port`` or ``[address]:port``."""
    address, _colon, port = text.rpartition(":")
    return address.strip("[]"), int(port)


class Prober:
    """Asks for an answer of a backend, through a listener."""

    def __init__(self, probe: dict[str, Any]) -> None:
        self.timeout = float(probe["timeout"])
        self.kind, self.path = str(probe["kind"]), str(probe["path"])
        self.tls = ssl.create_default_context()
        # The question is whether a backend answers, not who it is: clients find that out.
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE

    async def answers(self, address: str, port: int) -> bool:
        """Whether a backend answers through the listener at this address."""
        try:
            ask = self._https if self.kind == "https" else self._stays_open
            return await asyncio.wait_for(ask(address, port), self.timeout + 0.5)
        except (OSError, asyncio.TimeoutError, ValueError):
            return False

    async def _https(self, address: str, port: int) -> bool:
        opening = asyncio.open_connection(address, port, ssl=self.tls, server_hostname=address)
        reader, writer = await asyncio.wait_for(opening, self.timeout)
        try:
            writer.write(f"GET {self.path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            status = await asyncio.wait_for(reader.readline(), self.timeout)
            # One that asks for a password is alive too.
            return status.startswith(b"HTTP/") and int(status.split()[1]) < 500
        finally:
            writer.transport.abort()

    async def _stays_open(self, address: str, port: int) -> bool:
        """A proxy that finds no backend closes the connection."""
        reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), self.timeout)
        try:
            return await asyncio.wait_for(reader.read(1), self.timeout) != b""
        except asyncio.TimeoutError:
            return True
        finally:
            writer.transport.abort()

    async def reached(self, address: str, port: int) -> bool:
        """Whether a machine answers at all, be it with a refusal."""
        try:
            _reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), self.timeout)
        except asyncio.TimeoutError:
            return False
        except OSError as error:
            return error.errno in (errno.ECONNREFUSED, errno.ECONNRESET)
        writer.transport.abort()
        return True


class Health:
    """Watches the backends and keepalived, and writes the files that keepalived tracks."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.directory = str(given["directory"])
        self.port = int(given["port"])
        self.interval = float(given["interval"])
        self.backends = int(given["backends"])
        self.peers = list(given["peers"])
        self.witnesses = [endpoint(text) for text in given["witnesses"]]
        self.priority = int(given["priority"])
        # Identifier of each virtual router, by keepalived's name for it.
        self.routers = {str(name): int(number) for name, number in given["routers"].items()}
        # Whether the one that took over keeps the addresses.
        self.keep = bool(given["keep"])
        self.notify = str(given["notify"])
        self.prober = Prober(given["probe"])
        # Priority that was last heard from another balancer, by virtual router.
        self.heard: dict[int, int] = {}
        self.told: list[subprocess.Popen[bytes]] = []
        self.links = {str(peer): str(mac) for peer, mac in given["links"].items()}
        # When senders that are no balancers were named, by what was said of them.
        self.named: dict[str, float] = {}

    async def look(self) -> View:
        """Look through the own listener; only where that fails, at everything else."""
        probe = self.prober
        if await probe.answers("127.0.0.1", self.port):
            return View(own=True)
        # The proxy chose one backend; give it the chance to choose each of the others.
        if any(await asyncio.gather(*(probe.answers("127.0.0.1", self.port) for _number in range(self.backends)))):
            return View(own=True)
        answers, reached, witnesses = await asyncio.gather(
            asyncio.gather(*(probe.answers(peer, self.port) for peer in self.peers)),
            asyncio.gather(*(probe.reached(peer, self.port) for peer in self.peers)),
            asyncio.gather(*(probe.reached(*witness) for witness in self.witnesses)),
        )
        return View(False, tuple(answers), tuple(reached), tuple(witnesses))

    async def watch(self) -> None:
        """Judge again and again. Yielding takes two verdicts, so that one lost packet moves nothing."""
        before, told = "", ""
        while True:
            reason = reason_to_yield(await self.look())
            if bool(reason) == bool(before) and bool(reason) != bool(told):
                told = reason
                self.write("backends", int(bool(reason)))
                print(f"yield: {reason}" if reason else "may hold the addresses", flush=True)
            doubt = bool(reason) != bool(before)
            before = reason
            await asyncio.sleep(min(0.1, self.interval) if doubt else self.interval)

    def hear(self, listener: socket.socket) -> None:
        """Take the advertisements of the other balancers."""
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, (address, _port) = listener.recvfrom(2048)
                told = advertised(packet)
                if told and address in self.peers:
                    self.heard[told[0]] = told[1]

    def distrust(self, frames: socket.socket) -> None:
        """Name the senders of VRRP that are no balancers: the firewall drops what they send, and says nothing."""
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, (link, _protocol, kind, hardware, _mac) = frames.recvfrom(256)
                if kind == PACKET_OUTGOING or link == "lo" or hardware != ETHERNET or len(frame) < 34:
                    continue
                reason, now = reason_to_distrust(frame, self.links), time.monotonic()
                self.named = {known: since for known, since in self.named.items() if now - since < AGAIN}
                # A sender can think of ever new things to say.
                if reason and reason not in self.named and len(self.named) < MOST_NAMED:
                    self.named[reason] = now
                    print(reason, flush=True)

    def notified(self, line: str) -> None:
        """Take a line of keepalived's: ``INSTANCE "name" STATE priority``."""
        words = line.split()
        if len(words) < 3 or words[0] != "INSTANCE":
            return
        name, state = words[1].strip('"'), words[2]
        router = self.routers.get(name)
        if router is None or state not in ("MASTER", "BACKUP", "FAULT", "STOP"):
            return
        if self.keep:
            heard = self.heard.get(router, 0) if state == "MASTER" else 0
            self.write(str(router), raised(self.priority, heard))
        if self.notify:
            self.tell(["INSTANCE", name, *words[2:4]])

    def tell(self, words: list[str]) -> None:
        """Run the program that wants to know of moves, without this one's privileges."""
        command = ["setpriv", "--ambient-caps=-all", "--inh-caps=-all", self.notify, *words]
        self.told = [process for process in self.told if process.poll() is None]
        try:
            self.told.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        except OSError as error:
            print(f"{self.notify}: {error}", flush=True)

    def write(self, name: str, value: int) -> None:
        """Write a tracked file."""
        with open(f"{self.directory}/{name}", "w", encoding="ascii") as stream:
            stream.write(f"{value}\n")

    def follow_keepalived(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read keepalived's notifications and the other balancers' advertisements as they come."""
        path = f"{self.directory}/notifications"
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        rest = b""

        def read() -> None:
            nonlocal rest
            # The last advertisement must be known before what keepalived made of the silence after it.
            self.hear(listener)
            with contextlib.suppress(BlockingIOError):
                *lines, rest = (rest + os.read(fifo, 65536)).split(b"\n")
                for line in lines:
                    self.notified(line.decode(errors="replace"))

        listener = socket.socket(socket.AF_INET, socket.SOCK_RAW, VRRP)
        listener.setblocking(False)
        loop.add_reader(listener.fileno(), self.hear, listener)
        loop.add_reader(fifo, read)
        frames = vrrp_frames()
        loop.add_reader(frames.fileno(), self.distrust, frames)

    async def run(self) -> None:
        """Run for ever."""
        if not self.keep:
            # What an earlier configuration took to keep the addresses.
            for number in self.routers.values():
                self.write(str(number), 0)
        self.follow_keepalived(asyncio.get_running_loop())
        await self.watch()


async def ask(health: Health, addresses: list[str]) -> int:
    """Say which addresses answer; the exit code says whether all do."""
    answers = await asyncio.gather(*(health.prober.answers(address, health.port) for address in addresses))
    for address, answer in zip(addresses, answers):
        print(f"{address} {'answers' if answer else 'does not answer'}")
    return 0 if all(answers) else 1


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as stream:
        health = Health(json.load(stream))
    if len(sys.argv) > 2:
        return asyncio.run(ask(health, sys.argv[2:]))
    asyncio.run(health.run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
