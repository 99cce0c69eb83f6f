# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands this balancer's addresses to another one before nginx or keepalived stops. Nothing but Python's own library.

VRRP leaves an address on no machine until the next one has waited for its turn, and connections that are
open then are lost. So this machine keeps each address on its loopback, where it goes on answering, until
another balancer announces it and the connections here have ended, or ``drain`` seconds have passed. The one
that takes over sends back here what belongs to no connection of its own (hand-over.nft); a datagram to the
port of the API asks it to.

usage: hand-over CONFIGURATION FILE [--stop | --back]

FILE is the tracked file that makes keepalived give the addresses up, by its name in ``directory``. Where no
other balancer takes them, keepalived gets them back; with --stop it does not, because a daemon stops anyway.
With --back this balancer takes part again.
Exit codes: 0 nothing is held here any more, 1 nobody took over, 3 the running keepalived does not track FILE.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

VRRP = 112
NOBODY, DEAF = 1, 3
STEP = 0.02
# Looks in a row that find no connection, after which none is thought to come any more.
QUIET = 15
# What the other balancers are told, by its length (hand-over.nft).
BEGIN, END = b"hand-over", b"over"
# Of /proc/net/tcp: what is over, or has not begun (TIME_WAIT, CLOSE, LISTEN).
NO_CONNECTION = ("06", "07", "0A")


@dataclass(frozen=True)
class Address:
    """A virtual address, the interface it lives on and its virtual router."""

    address: str
    interface: str
    router: int

    @property
    def prefixed(self) -> str:
        """As ``ip address`` wants it."""
        return f"{self.address}/{128 if ':' in self.address else 32}"


def hexadecimal(address: str) -> str:
    """An address as /proc/net/tcp and tcp6 write it: words of four bytes in the machine's order."""
    packed = ipaddress.ip_address(address).packed
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))


def connections(table: str, addresses: list[str]) -> int:
    """Connections of a table in the form of /proc/net/tcp that clients have to these addresses."""
    wanted = {hexadecimal(address) for address in addresses}
    lines = [line.split() for line in table.splitlines()[1:]]
    return sum(words[1].partition(":")[0] in wanted and words[3] not in NO_CONNECTION for words in lines)


def announced(packet: bytes) -> int | None:
    """Virtual router that a VRRP packet, with its IPv4 header, says its sender holds (RFC 5798); else None."""
    start = (packet[0] & 0x0F) * 4 if packet else 0
    if len(packet) < start + 3 or packet[start] & 0x0F != 1 or packet[start + 2] == 0:
        return None
    return packet[start + 1]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a program and take its output; a failure is the caller's to judge."""
    return subprocess.run(words, capture_output=True, text=True, check=False)


class HandOver:
    """One hand-over of all that is held here."""

    def __init__(self, given: dict[str, Any], file: str) -> None:
        self.directory = str(given["directory"])
        self.file = file
        self.port, self.own = int(given["port"]), str(given["own"])
        self.peers = [str(peer) for peer in given["peers"]]
        self.addresses = [Address(**one) for one in given["addresses"]]
        self.drain = float(given["drain"])
        # Ten advertisements, and what a busy machine needs to look at them.
        self.patience = 2.0 + 10 * float(given["advert_interval"])

    def held(self) -> list[Address]:
        """Addresses that keepalived has put on their interfaces here."""
        links = {link.get("ifname"): link for link in json.loads(run("ip", "-json", "address", "show").stdout or "[]")}
        return [
            one
            for one in self.addresses
            if one.address in [entry.get("local") for entry in links.get(one.interface, {}).get("addr_info", ())]
        ]

    def write(self, value: int) -> None:
        """Write the tracked file, as the account that the directory belongs to: it could be a link to anything."""
        status = os.stat(self.directory)
        root = os.geteuid() == 0
        if root:
            os.setegid(status.st_gid)
            os.seteuid(status.st_uid)
        try:
            with open(f"{self.directory}/{self.file}", "w", encoding="ascii") as stream:
                stream.write(f"{value}\n")
        finally:
            if root:
                os.seteuid(0)
                os.setegid(0)

    @contextlib.contextmanager
    def kept(self, held: list[Address]) -> Iterator[None]:
        """Keep answering at the addresses. The kernel takes them away if this program cannot."""
        life = str(int(2 * self.patience + self.drain + 5))
        for one in held:
            run("ip", "address", "replace", one.prefixed, "dev", "lo", "valid_lft", life, "preferred_lft", life)
        self.notice(BEGIN)
        try:
            yield
        finally:
            for one in held:
                run("ip", "address", "delete", one.prefixed, "dev", "lo")
            self.speak("delete", [one.address for one in held])
            self.notice(END)

    def notice(self, words: bytes) -> None:
        """Ask the other balancers to send back what belongs to connections here, or to do so no more."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
            sender.bind((self.own, 0))
            for peer in self.peers * 2:
                sender.sendto(words, (peer, self.port))

    def until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Whether something comes true in time."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                return False
            time.sleep(STEP)
        return True

    def taken(self, listener: socket.socket, routers: set[int]) -> bool:
        """Wait until other balancers announce these virtual routers."""
        missing, end = set(routers), time.monotonic() + self.patience
        while missing and (left := end - time.monotonic()) > 0:
            if select.select([listener], [], [], left)[0]:
                packet, (sender, _port) = listener.recvfrom(2048)
                if sender in self.peers:
                    missing.discard(announced(packet) or 0)
        return not missing

    def speak(self, verb: str, addresses: list[str], life: str = "") -> None:
        """``add``: let this machine no more say on the link that it has the addresses. ``delete``: let it."""
        for address in addresses:
            if ":" not in address:
                run("nft", verb, "element", "arp", "api_load_balancer", "left", f"{{ {address}{life} }}")

    def open_here(self, held: list[Address]) -> int:
        """Connections that clients have to the addresses here."""
        found = 0
        for path in ("/proc/net/tcp", "/proc/net/tcp6"):
            with contextlib.suppress(OSError), open(path, encoding="ascii") as stream:
                wanted = [one.address for one in held if (":" in one.address) == path.endswith("6")]
                found += connections(stream.read(), wanted) if wanted else 0
        return found

    def ended(self, held: list[Address]) -> None:
        """Wait until the connections here have ended, or for as long as they are given."""
        # Looks are counted and not seconds: a busy machine may let this program wait for longer than it looks.
        end, quiet = time.monotonic() + self.drain, 0
        while quiet < QUIET and time.monotonic() < end:
            quiet = 0 if self.open_here(held) else quiet + 1
            time.sleep(STEP)

    def run(self, stops: bool) -> int:
        """Hand over. Returns the exit code."""
        held = self.held()
        if not held or not self.peers:
            self.write(1)
            return 0 if stops or not held else NOBODY
        with self.kept(held), socket.socket(socket.AF_INET, socket.SOCK_RAW, VRRP) as listener:
            self.write(1)
            if not self.until(lambda: not self.held(), self.patience):
                self.write(0)
                print("keepalived does not give the addresses up", flush=True)
                return DEAF
            if not self.taken(listener, {one.router for one in held}):
                names = ", ".join(one.address for one in held)
                print(f"no other balancer took {names} within {self.patience:.0f} s", flush=True)
                if not stops:
                    self.write(0)
                    self.until(lambda: len(self.held()) == len(held), self.patience)
                return NOBODY
            # The kernel forgets this again where this program cannot.
            self.speak("add", [one.address for one in held], f" timeout {int(self.drain) + 5}s")
            self.ended(held)
        return 0


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as stream:
        given = json.load(stream)
    stops = "--stop" in sys.argv
    one = HandOver(given, sys.argv[2])
    if "--back" in sys.argv:
        one.write(0)
        return 0
    code = one.run(stops)
    # A daemon that is being stopped stops, whatever became of the addresses.
    return 0 if stops else code


if __name__ == "__main__":
    sys.exit(main())
