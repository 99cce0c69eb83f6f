# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Probes from inside a network namespace to many targets at once.

All targets and protocols are probed side by side, so a run takes as long as its slowest timeout
and not as many as it has pairs. A probe is tried again, by rule, before it counts as failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import inspect
import ipaddress
import json
import os
import socket
import statistics
import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._dns import messages as dns_messages
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import icmp
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import responder
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

# From pod to pod: ICMP echo, a TCP connection, a datagram, a small and a large answer over HTTP, and the largest
# packet. From a pod to the node of another (node), to its own node (own), both by ICMP echo, and to itself
# (hairpin); from the node to the pods of others (host).
BETWEEN = ("icmp", "tcp", "udp", "http", "bulk", "mtu")
WITHIN = ("own", "hairpin")
# Beyond the pods: names of the DNS server, and TCP connections to addresses.
BEYOND = ("vip", "outside")
PROTOCOLS = (*BETWEEN, "node", "host", *WITHIN, "dns", *BEYOND)
# Probes that wait for their answer at the same time. What is not answered in PATIENCE seconds makes room for the next:
# where nothing answers, the time is that of one probe's tries and not of their number.
WIDTH, PATIENCE = 16, 0.2
# Slow is what takes so much longer than usual, and long enough that a pod would notice.
SLOW_FACTOR, SLOW_MS = 5, 10.0
# Of IP and ICMP headers together, by IP version.
HEADERS = {4: 28, 6: 48}
SMALLEST = {4: 576, 6: 1280}
# The same of IP and TCP without options, what timestamps take beside them, and where struct tcp_info has both.
TCP_HEADERS, TCP_TIMESTAMPS = {4: 40, 6: 60}, 12
TCPI_OPT_TIMESTAMPS, TCPI_RCV_MSS = 1, 20
# socket(7): the kernel tells when it got a packet.
SO_TIMESTAMPNS, TIMESPEC = 35, struct.Struct("@ll")
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER = 10, 23
# Always with DF set, and without believing what the kernel thinks the path carries (ip(7)).
PMTUDISC_PROBE = 3
CLONE_NEWNET = 0x40000000
# What answers in the pods, while they are probed.
PROGRAMS = "/run/binary_cluster"
RESPONDER = f"{PROGRAMS}/responder.py"


@dataclass(frozen=True)
class Target:
    """A pod to probe at one of its addresses, and its node's address of the same IP version, if it has one."""

    name: str
    address: str
    port: int
    node: str = ""

    @property
    def family(self) -> int:
        """4 or 6."""
        return ipaddress.ip_address(self.address).version


@dataclass(frozen=True)
class Question:
    """A name to ask for. Its ``values`` are all it may have; none means any, or that it must not exist."""

    name: str
    type: str = "A"
    values: tuple[str, ...] = ()
    exists: bool = True


@dataclass(frozen=True)
class Names:
    """What to ask of a DNS server, over UDP and TCP."""

    server: str
    port: int = 53
    questions: tuple[Question, ...] = ()


@dataclass
class Outcome:
    """What one probe found. ``cause`` is None where it went well; times in milliseconds.

    ``family`` is the IP version of the address that was probed, 4 or 6. The target of ``dns`` and ``dns-tcp`` is the
    name that was asked for, that of ``vip`` and ``outside`` is ``address:port``. ``source`` is the probing pod, and
    empty for the node.
    """

    target: str
    protocol: str
    family: int
    source: str = ""
    ok: bool = False
    rtt_ms: float | None = None
    mtu: int | None = None
    cause: str | None = None
    tries: int = 1
    source_seen: str | None = None
    # Of bulk, bytes of the largest packet that came.
    packet: int | None = None


# A target, and what to probe it with.
Probe = tuple[Target, str]


class ProbeError(TaskError):
    """The namespace cannot be entered."""


def enter(namespace: str) -> None:
    """Move this thread into a network namespace (setns(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor = os.open(namespace, os.O_RDONLY)
    except OSError as error:
        raise ProbeError(f"{namespace}: {error.strerror}") from error
    try:
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise ProbeError(f"{namespace}: {os.strerror(code)}")
    finally:
        os.close(descriptor)


def install_responder() -> None:
    """Write the program that answers in pods, readable by the account it runs under whatever the umask."""
    os.makedirs(PROGRAMS, exist_ok=True)
    os.chmod(PROGRAMS, 0o755)
    with open(RESPONDER, "w", encoding="utf-8") as stream:
        stream.write(inspect.getsource(responder))
    os.chmod(RESPONDER, 0o644)


def remove_responder() -> None:
    """Remove that program, and its directory if nothing else is in it."""
    with contextlib.suppress(OSError):
        os.unlink(RESPONDER)
        os.rmdir(PROGRAMS)


def interface_mtu(interface: str) -> int:
    """MTU of an interface of the namespace this thread is in (netdevice(7), SIOCGIFMTU)."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            answer = fcntl.ioctl(one, 0x8921, struct.pack("16si12x", interface.encode(), 0))
        except OSError as error:
            raise ProbeError(f"its pod has lost {interface}: {error.strerror}") from error
    return int(struct.unpack("16si12x", answer)[1])


def explain(error: BaseException) -> str:
    """A failed probe in words."""
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return "no answer"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__


def arrival(ancillary: Iterable[tuple[int, int, bytes]]) -> float:
    """When the kernel got a packet, in seconds since 1970: this process may read it late.

    Where no socket asked for that before, the kernel begins a moment after it was asked, and until then tells when the
    packet was read.
    """
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMESPEC.unpack(data)
            return float(seconds + nanoseconds / 1e9)
    return time.time()


class Echoes:
    """ICMP echo to many addresses through one raw socket a family."""

    def __init__(self) -> None:
        self.identifier = os.getpid() & 0xFFFF
        self.sequence = 0
        self.waiting: dict[tuple[int, int], asyncio.Future[float]] = {}
        self.sockets: dict[int, socket.socket] = {}

    def socket_of(self, family: int) -> socket.socket:
        """The raw socket of a family, listened to from its first use."""
        if family not in self.sockets:
            made = icmp.raw_socket(family)
            level = socket.IPPROTO_IP if family == 4 else socket.IPPROTO_IPV6
            option = IP_MTU_DISCOVER if family == 4 else IPV6_MTU_DISCOVER
            made.setsockopt(level, option, PMTUDISC_PROBE)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self.sockets[family] = made
            asyncio.get_running_loop().add_reader(made, self._receive, family, made)
        return self.sockets[family]

    def _receive(self, family: int, one: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data, more, _flags, _sender = one.recvmsg(65536, socket.CMSG_SPACE(TIMESPEC.size))
                answer = icmp.reply(family, data)
                if answer and answer[0] == self.identifier:
                    future = self.waiting.pop((family, answer[1]), None)
                    if future and not future.done():
                        future.set_result(arrival(more))

    async def echo(self, address: str, timeout: float, size: int) -> float:
        """Seconds until the answer to an echo request with ``size`` bytes of data."""
        family = ipaddress.ip_address(address).version
        one = self.socket_of(family)
        self.sequence = (self.sequence + 1) & 0xFFFF
        key = (family, self.sequence)
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.waiting[key] = future
        sent = time.time()
        try:
            one.sendto(icmp.packet(family, self.identifier, key[1], size), (address, 0))
            return max(0.0, await asyncio.wait_for(future, timeout) - sent)
        finally:
            self.waiting.pop(key, None)

    def close(self) -> None:
        for one in self.sockets.values():
            asyncio.get_running_loop().remove_reader(one)
            one.close()


async def largest(echoes: Echoes, address: str, mtu: int, timeout: float) -> int:
    """Largest packet, headers included, that arrives unfragmented; 0 where none does.

    Most paths carry the interface's MTU, which takes one packet to see. Where they do not, sixteen
    sizes at once narrow the gap sixteenfold a round.
    """
    family = ipaddress.ip_address(address).version
    overhead = HEADERS[family]

    async def passes(size: int) -> bool:
        for _try in range(2):
            try:
                await echoes.echo(address, timeout, size - overhead)
                return True
            except (OSError, asyncio.TimeoutError) as error:
                if isinstance(error, OSError) and error.errno == errno.EMSGSIZE:
                    return False
        return False

    if await passes(mtu):
        return mtu
    low, high = 0, mtu  # low passes, high does not
    sizes = [SMALLEST[family], *range(SMALLEST[family], mtu, max(1, (mtu - SMALLEST[family]) // 15))]
    while True:
        results = await asyncio.gather(*(passes(size) for size in sizes))
        for size, passed in zip(sizes, results):
            if passed:
                low = max(low, size)
        high = min([high, *(size for size, passed in zip(sizes, results) if not passed and size > low)])
        if low == 0 or high - low <= 1:
            return low
        sizes = list(range(low + 1, high, max(1, (high - low) // 16)))


async def connect(target: Target, _echoes: Echoes) -> str | None:
    """Open a TCP connection."""
    _reader, writer = await asyncio.open_connection(target.address, target.port)
    writer.close()
    return None


async def _get(target: Target, path: bytes) -> tuple[bytes, int]:
    """The body of an answer, and the size of the largest packet in which it came."""
    reader, writer = await asyncio.open_connection(target.address, target.port)
    try:
        host = f"[{target.address}]" if target.family == 6 else target.address
        writer.write(b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path, host.encode()))
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ValueError(f"answered {head.splitlines()[0].decode()}")
        body = await reader.read()
        return body, largest_packet(writer.get_extra_info("socket"), target.family)
    finally:
        writer.close()


def largest_packet(one: socket.socket, family: int) -> int:
    """Bytes of the largest packet that came over a TCP connection, headers included (linux/tcp.h, struct tcp_info)."""
    told = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 24)
    timestamps = TCP_TIMESTAMPS if told[5] & TCPI_OPT_TIMESTAMPS else 0
    return int(struct.unpack_from("=I", told, TCPI_RCV_MSS)[0]) + timestamps + TCP_HEADERS[family]


async def fetch(target: Target, _echoes: Echoes) -> str | None:
    """Fetch over HTTP; return the address the pod saw. The answer must be that pod's own."""
    return _source(target, (await _get(target, b"/"))[0])


async def fetch_bulk(target: Target) -> int:
    """Fetch much over HTTP, which must arrive whole and unspoiled; return the bytes of the largest packet."""
    found, packet = await _get(target, b"/bulk")
    if found != responder.BULK:
        raise ValueError(f"{len(found)} of {len(responder.BULK)} bytes arrived, or other bytes than were sent")
    return packet


class Datagram(asyncio.DatagramProtocol):
    """Waits for one datagram."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _addr: Any) -> None:
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def datagram(target: Target, _echoes: Echoes) -> str | None:
    """Send a datagram; return the address the pod saw."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Datagram, remote_addr=(target.address, target.port))
    try:
        transport.sendto(b"probe\n")
        data = await protocol.answer
        return _source(target, data.partition(b"\n")[2])
    finally:
        transport.close()


def _source(target: Target, said: bytes) -> str:
    answer = json.loads(said)
    if answer["pod"] != target.name:
        raise ValueError(f"{answer['pod']} answered at the address of {target.name}")
    return str(answer["source"])


async def ask(names: Names, asked: bytes, over_tcp: bool) -> bytes:
    """Send a query; return the message that came back."""
    if not over_tcp:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Datagram, remote_addr=(names.server, names.port))
        try:
            transport.sendto(asked)
            return await protocol.answer
        finally:
            transport.close()
    reader, writer = await asyncio.open_connection(names.server, names.port)
    try:
        writer.write(len(asked).to_bytes(2, "big") + asked)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    finally:
        writer.close()


def fault(question: Question, told: dns_messages.Answer) -> str | None:
    """What is wrong with an answer; None where nothing is."""
    if told.rcode != ("NOERROR" if question.exists else "NXDOMAIN"):
        if not question.exists and told.values:
            return f"exists, with {', '.join(told.values)}; there is to be no such name"
        return {"NXDOMAIN": "no such name", "REFUSED": "refused: the server has no zone for it"}.get(
            told.rcode, told.rcode
        )
    if question.exists and not told.values:
        return f"has no {question.type} record"
    if question.values and set(told.values) != set(question.values):
        return f"answered {', '.join(told.values)}, not {', '.join(question.values)}"
    return None


async def resolve(names: Names, question: Question, over_tcp: bool, timeout: float, tries: int) -> Outcome:
    """Ask for a name, again before it counts as failed."""
    family = ipaddress.ip_address(names.server).version
    outcome = Outcome(question.name, "dns-tcp" if over_tcp else "dns", family)
    for attempt in range(1, tries + 1):
        outcome.tries = attempt
        asked = dns_messages.question(question.name, question.type)
        began = time.monotonic()
        try:
            told = dns_messages.answer(await asyncio.wait_for(ask(names, asked, over_tcp), timeout), asked)
            outcome.cause = fault(question, told)
        except (OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
            outcome.cause = f"{explain(error)} from {names.server}"
        if outcome.cause is None:
            outcome.ok, outcome.rtt_ms = True, round((time.monotonic() - began) * 1000, 3)
            break
    return outcome


EXCHANGES: dict[str, Callable[[Target, Echoes], Awaitable[str | None]]] = {
    **dict.fromkeys(("tcp", *BEYOND), connect),
    "udp": datagram,
    **dict.fromkeys(("http", "hairpin"), fetch),
}


async def exchange(target: Target, protocol: str, echoes: Echoes, timeout: float, tries: int) -> Outcome:
    """One probe, tried again before it counts as failed."""
    outcome = Outcome(target.name, protocol, target.family)
    for attempt in range(1, tries + 1):
        outcome.tries = attempt
        began = time.monotonic()
        try:
            if protocol in ("icmp", "node", "own", "host"):
                address = target.node if protocol in ("node", "own") else target.address
                elapsed = await echoes.echo(address, timeout, 56)
            elif protocol == "bulk":
                outcome.packet = await asyncio.wait_for(fetch_bulk(target), timeout)
                elapsed = time.monotonic() - began
            else:
                asked = EXCHANGES[protocol](target, echoes)
                outcome.source_seen = await asyncio.wait_for(asked, timeout)
                elapsed = time.monotonic() - began
        except (OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
            outcome.cause = explain(error)
        else:
            outcome.ok, outcome.cause, outcome.rtt_ms = True, None, round(elapsed * 1000, 3)
            break
    return outcome


async def path_mtu(target: Target, echoes: Echoes, mtu: int, timeout: float) -> Outcome:
    """Whether packets as large as the interface allows arrive unfragmented."""
    found = await largest(echoes, target.address, mtu, timeout)
    if found >= mtu:
        return Outcome(target.name, "mtu", target.family, ok=True, mtu=found)
    cause = f"packets over {found} bytes do not arrive; the interface has MTU {mtu}" if found else "no answer"
    return Outcome(target.name, "mtu", target.family, mtu=found or None, cause=cause)


def plan(source: str, siblings: Sequence[str], targets: Sequence[Target], protocols: Sequence[str]) -> list[Probe]:
    """What a pod is to probe: itself, the pods of its own node, its ``siblings``, and those of other nodes.

    A node is probed where its address is told.
    """
    found: list[Probe] = []
    for target in targets:
        if target.name == source:
            fitting: tuple[str, ...] = WITHIN
        else:
            fitting = BETWEEN if target.name in siblings else (*BETWEEN, "node")
        left_out = () if target.node else ("node", "own")
        found += [(target, protocol) for protocol in protocols if protocol in fitting and protocol not in left_out]
    return found


async def probe(probes: Sequence[Probe], names: Names | None, mtu: int, timeout: float, tries: int) -> list[Outcome]:
    """Make all probes, and ask for all names, at once as far as this process keeps up with the answers."""
    echoes = Echoes()
    slots = asyncio.Semaphore(WIDTH)

    async def paced(one: Awaitable[Outcome]) -> Outcome:
        async with slots:
            begun = asyncio.ensure_future(one)
            await asyncio.wait([begun], timeout=PATIENCE)
        return await begun

    running = [
        path_mtu(target, echoes, mtu, timeout)
        if protocol == "mtu"
        else exchange(target, protocol, echoes, timeout, tries)
        for target, protocol in probes
    ]
    if names:
        running += [
            resolve(names, question, over_tcp, timeout, tries)
            for question in names.questions
            for over_tcp in (False, True)
        ]
    try:
        found = list(await asyncio.gather(*map(paced, running)))
        # What the machines' own business delayed is not slow: it is seen a second time, and the better time counts.
        usual = usual_times((outcome.protocol, outcome.rtt_ms) for outcome in found)
        slow = [number for number in range(len(probes)) if slower(found[number].rtt_ms, usual[found[number].protocol])]
        more = await asyncio.gather(*(paced(exchange(*probes[number], echoes, timeout, 1)) for number in slow))
        for number, outcome in zip(slow, more):
            found[number].rtt_ms = min(time for time in (found[number].rtt_ms, outcome.rtt_ms) if time is not None)
        return found
    finally:
        echoes.close()


def usual_times(measured: Iterable[tuple[str, float | None]]) -> dict[str, float | None]:
    """Median of the times of each protocol, in milliseconds; None where nothing was answered."""
    times: dict[str, list[float]] = {}
    for protocol, time_ms in measured:
        times.setdefault(protocol, []).extend([] if time_ms is None else [time_ms])
    return {protocol: statistics.median(found) if found else None for protocol, found in times.items()}


def slower(time_ms: float | None, usual_ms: float | None) -> bool:
    """Whether an answer took much longer than is usual."""
    return time_ms is not None and usual_ms is not None and time_ms > max(SLOW_MS, SLOW_FACTOR * usual_ms)


def probe_from(
    namespace: str, interface: str, probes: Sequence[Probe], names: Names | None, timeout: float, tries: int
) -> list[Outcome]:
    """Enter a namespace and probe from it. The calling thread stays there."""
    enter(namespace)
    return probe_here(interface, probes, names, timeout, tries)


def probe_here(
    interface: str, probes: Sequence[Probe], names: Names | None, timeout: float, tries: int
) -> list[Outcome]:
    """Probe from the namespace this thread is in."""
    return asyncio.run(probe(probes, names, interface_mtu(interface), timeout, tries))


def probe_from_host(targets: Sequence[Target], timeout: float, tries: int) -> list[Outcome]:
    """Probe pods from the host itself."""
    return asyncio.run(probe([(target, "host") for target in targets], None, 0, timeout, tries))
