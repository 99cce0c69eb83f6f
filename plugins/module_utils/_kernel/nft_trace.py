# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Which firewall rule drops a packet, asked from the kernel's own trace.

For a moment a table of our own marks the packets between given addresses for tracing; the kernel then
reports each rule they meet (linux/netfilter/nf_tables.h, NFT_MSG_TRACE). Rules made through iptables-nft
are rules of nftables and are seen too.

Where this process is killed the table stays, but marks nothing any more: its addresses time out in the
kernel. The next run removes it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import capture

Run = Callable[..., "tuple[int, str, str]"]
TABLE = "binary_cluster_trace"
NETLINK_NETFILTER, NFNLGRP_NFTRACE, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 12, 9, 270, 1
NFNL_SUBSYS_NFTABLES, NFT_MSG_TRACE = 10, 17
TRACE_TABLE, TRACE_CHAIN, TRACE_RULE_HANDLE, TRACE_TYPE, TRACE_VERDICT, TRACE_POLICY = 1, 2, 3, 4, 5, 16
TRACE_ID, TRACE_NETWORK_HEADER = 6, 8
TYPE_POLICY, TYPE_RULE = 1, 3
VERDICT_CODE = 1
DROP = 0
FAMILIES = {1: "inet", 2: "ip", 5: "netdev", 7: "bridge", 10: "ip6"}


@dataclass(frozen=True)
class Dropped:
    """A rule, or a chain's policy (handle 0), that dropped a packet between two addresses."""

    source: str
    target: str
    family: str
    table: str
    chain: str
    handle: int


def attributes(data: bytes) -> dict[int, bytes]:
    """Netlink attributes by type (netlink(7))."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack("=HH", data[:4])
        if length < 4:
            break
        found[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


@dataclass(frozen=True)
class Step:
    """What one trace message says. ``header`` holds the packet's IP header, in its first message only."""

    packet: int
    header: bytes
    dropped: bool
    family: str
    table: str
    chain: str
    handle: int


def parse(message: bytes) -> Step | None:
    """A trace message; None for any other."""
    kind = struct.unpack("=H", message[4:6])[0]
    if kind != NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE:
        return None
    found = attributes(message[20:])
    step = _number(found, TRACE_TYPE)
    if step == TYPE_POLICY:
        verdict = _number(found, TRACE_POLICY)
    else:
        verdict = _number(attributes(found.get(TRACE_VERDICT, b"")), VERDICT_CODE)
    return Step(
        packet=_number(found, TRACE_ID),
        header=found.get(TRACE_NETWORK_HEADER, b""),
        dropped=verdict == DROP,
        family=FAMILIES.get(message[16], str(message[16])),
        table=found.get(TRACE_TABLE, b"").rstrip(b"\0").decode(),
        chain=found.get(TRACE_CHAIN, b"").rstrip(b"\0").decode(),
        handle=int.from_bytes(found.get(TRACE_RULE_HANDLE, b""), "big") if step == TYPE_RULE else 0,
    )


def _number(found: dict[int, bytes], kind: int) -> int:
    """A 32-bit attribute; -1 where it is missing, which is no verdict."""
    return int.from_bytes(found[kind], "big") if kind in found else -1


def addresses(header: bytes) -> tuple[str, str] | None:
    """Source and target of a packet, from its IP header; None where it is cut short."""
    found = capture.packet(header)
    return (found.source, found.target) if found else None


class Tracer:
    """Collects what the kernel reports of dropped packets."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        self.socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTRACE)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.setblocking(False)
        self.headers: dict[int, bytes] = {}
        self.found: dict[Dropped, None] = {}

    def collect(self) -> None:
        """Take what has been reported since; does not block."""
        with contextlib.suppress(BlockingIOError, OSError):
            while True:
                data = self.socket.recv(65536)
                while len(data) >= 20:
                    length = struct.unpack("=I", data[:4])[0]
                    self._note(parse(data[:length]))
                    data = data[(length + 3) & ~3 :]

    def _note(self, step: Step | None) -> None:
        if step is None:
            return
        if step.header:
            self.headers[step.packet] = step.header
        header = self.headers.get(step.packet, b"")
        ends = addresses(header) if step.dropped else None
        if ends:
            self.found[Dropped(*ends, step.family, step.table, step.chain, step.handle)] = None


@contextlib.contextmanager
def tracing(
    run: Run, pods: Iterable[str], nodes: Iterable[str], ports: Iterable[int], seconds: float
) -> Iterator[Tracer | None]:
    """Trace packets from and to pods, and wrapped ones between nodes; None where there is no nft to ask.

    ``ports`` are the UDP ports of tunnels: nothing else between the nodes is traced. After ``seconds`` nothing is
    traced, even if this process is not there any more to end it.
    """
    try:
        code, _out, _err = run(["nft", "-f", "-"], data=_script(pods, nodes, ports, seconds))
    except OSError:
        code = 1
    if code != 0:
        yield None
        return
    tracer = Tracer()
    try:
        yield tracer
    finally:
        tracer.collect()
        tracer.socket.close()
        run(["nft", "delete", "table", "inet", TABLE])


def _script(pods: Iterable[str], nodes: Iterable[str], ports: Iterable[int], seconds: float) -> str:
    """The table that marks packets for tracing, as nft takes it."""
    wrapped = "ip saddr @nodes ip daddr @nodes"
    tunnels = ", ".join(str(port) for port in sorted(set(ports)))
    pods = sorted(set(pods))
    sets = {
        "nodes": ("ip", "ipv4_addr", sorted(set(nodes))),
        "pods": ("ip", "ipv4_addr", [pod for pod in pods if ":" not in pod]),
        "pods6": ("ip6", "ipv6_addr", [pod for pod in pods if ":" in pod]),
    }
    sets = {name: described for name, described in sets.items() if described[2]}
    rules = "".join(
        f"{word} {end} @{name} meta nftrace set 1\n"
        for name, (word, _type, _members) in sets.items()
        if name != "nodes"
        for end in ("saddr", "daddr")
    )
    rules += f"{wrapped} udp dport {{ {tunnels} }} meta nftrace set 1\n"
    rules += f"{wrapped} ip protocol {{ 4, 47 }} meta nftrace set 1\n"
    # Of a run that was killed one may be there.
    script = f"add table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n"
    for name, (_word, kind, members) in sets.items():
        script += f"set {name} {{ type {kind}; flags timeout; timeout {max(1, round(seconds))}s; "
        script += f"elements = {{ {', '.join(members)} }}; }}\n"
    for chain, hook in (("coming", "prerouting"), ("going", "output")):
        script += f"chain {chain} {{\ntype filter hook {hook} priority -400;\n{rules}}}\n"
    return f"{script}}}\n"


def sweep(run: Run) -> None:
    """Remove the table of a run that was killed."""
    with contextlib.suppress(OSError):
        code, out, _err = run(["nft", "list", "tables", "inet"])
        if code == 0 and f"table inet {TABLE}" in out.splitlines():
            run(["nft", "delete", "table", "inet", TABLE])


def words(run: Run, dropped: Dropped) -> str:
    """A rule as nft writes it; the policy for a chain's end."""
    if not dropped.handle:
        return "policy drop"
    command = ["nft", "--handle", "list", "chain", dropped.family, dropped.table, dropped.chain]
    _code, out, _err = run(command)
    for line in out.splitlines():
        rule, mark, handle = line.strip().partition(" # handle ")
        if mark and handle == str(dropped.handle):
            return rule
    return f"rule {dropped.handle}"


def hook_of(run: Run, dropped: Dropped) -> str:
    """Hook of a base chain; empty for a chain that others jump to."""
    command = ["nft", "--json", "list", "chain", dropped.family, dropped.table, dropped.chain]
    _code, out, _err = run(command)
    for entry in json.loads(out or "{}").get("nftables", ()):
        if "chain" in entry:
            return str(entry["chain"].get("hook", ""))
    return ""
