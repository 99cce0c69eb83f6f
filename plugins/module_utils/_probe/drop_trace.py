# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What a trace of the kernel says of each packet: where it passed, and where and why it was dropped.

Events of one packet have the address of its buffer (skbaddr) in common. The kernel uses a buffer again as soon as it is
free, and tells only the size of a packet; so a step continues a walk only where it fits, and begins another otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

QUEUE, RECEIVE, DROP, MARK = "net_dev_queue", "netif_receive_skb", "kfree_skb", "tracing_mark_write"
LINE = re.compile(
    r"^\s*.{1,16}?-(?P<pid>\d{1,10})\s+\[\d{1,5}\]\s+(?P<flags>\S+)\s+(?P<time>\d{1,12}\.\d{1,9}): "
    rf"(?P<event>{QUEUE}|{RECEIVE}|{DROP}|{MARK}): (?P<rest>.*)$"
)
PASSED = re.compile(r"^dev=(?P<device>\S{1,15}) skbaddr=(?P<address>[0-9a-fx]+) len=(?P<length>\d{1,9})\s*$")
DROPPED = re.compile(
    r"^skbaddr=(?P<address>[0-9a-fx]+) (?:rx_sk=\S+ )?protocol=\d+ location=(?P<place>\S+)(?: \[\S+\])? "
    r"reason: (?P<reason>[A-Za-z0-9_]+)\s*$"
)
FUNCTION = re.compile(r"^([A-Za-z_][A-Za-z0-9_.]*)(\+0x|$)")
ETHERNET = 14
# What a tunnel adds to a packet at most.
WRAPPING = 130
# Seconds a packet is on its way between two steps, and those it waits for a neighbour that does not answer.
STEP, NEIGHBOUR = 0.25, 5.0


@dataclass(frozen=True)
class Event:
    """A line of a trace. ``process`` tells whether a process was at it itself, and not the kernel for anybody."""

    kind: str
    pid: int
    process: bool
    time: float
    address: str = ""
    device: str = ""
    length: int = 0
    function: str = ""
    reason: str = ""
    text: str = ""


@dataclass
class Walk:
    """The steps of a packet; ``sent`` is the mark of our own under which it began, if it did."""

    sent: str
    steps: list[Event] = field(default_factory=list)

    def continued_by(self, event: Event, underlay: frozenset[str]) -> bool:
        """Whether a further step can be one of the same packet."""
        last = self.steps[-1]
        change = event.length - last.length
        if event.time - last.time > NEIGHBOUR:
            return False
        if event.kind == QUEUE:
            # What a process sends begins, and what goes out where it came in is an answer.
            answer = (last.kind, last.device) == (RECEIVE, event.device)
            return not event.process and not answer and -ETHERNET <= change <= WRAPPING
        if last.kind == QUEUE:
            # The other end of a veth. What an interface sends to another machine comes back as another packet.
            return change in (-ETHERNET, 0)
        return event.device not in underlay and -WRAPPING <= change <= 0

    @property
    def size(self) -> int:
        """Bytes of the IP packet that it began with."""
        first = self.steps[0]
        return first.length - (ETHERNET if first.kind == QUEUE else 0)


@dataclass(frozen=True)
class Lost:
    """A packet that was dropped. Without steps it was dropped before any interface, under a mark of our own."""

    walk: Walk
    function: str
    reason: str


def parse(line: str) -> Event | None:
    """An event of a trace; None for any other line."""
    found = LINE.match(line)
    if not found:
        return None
    kind, flags = found["event"], found["flags"]
    # The third flag tells of interrupts (trace/ftrace.rst of the kernel).
    process = len(flags) < 3 or flags[2] == "."
    head = (kind, int(found["pid"]), process, float(found["time"]))
    if kind == MARK:
        return Event(*head, text=found["rest"].strip())
    if kind == DROP:
        dropped = DROPPED.match(found["rest"])
        if not dropped:
            return None
        # Where the kernel hides the names of its functions there is an address, or nothing of use.
        function = FUNCTION.match(dropped["place"])
        name = function[1] if function else ""
        return Event(*head, address=dropped["address"], function=name, reason=dropped["reason"])
    passed = PASSED.match(found["rest"])
    if not passed:
        return None
    return Event(*head, address=passed["address"], device=passed["device"], length=int(passed["length"]))


def events(text: str) -> Iterator[Event]:
    """The events of a trace, in its order."""
    # Not splitlines(), which takes more for the end of a line than the kernel writes.
    for line in text.split("\n"):
        event = parse(line)
        if event:
            yield event


def lost(found: Iterable[Event], underlay: frozenset[str]) -> Iterator[Lost]:
    """The packets that were dropped. Packets from elsewhere come in on an interface of the underlay."""
    walks: dict[str, Walk] = {}
    own, mark = 0, ""
    for event in found:
        if event.kind == MARK:
            own, mark = event.pid, "" if event.text == "sent" else event.text
            continue
        sent = mark if event.pid == own and event.process else ""
        walk = walks.get(event.address)
        if event.kind == DROP:
            walks.pop(event.address, None)
            patience = NEIGHBOUR if event.reason.startswith("NEIGH") else STEP
            if sent and (walk is None or walk.sent != sent or event.time - walk.steps[-1].time > patience):
                yield Lost(Walk(sent), event.function, event.reason)
            elif walk and event.time - walk.steps[-1].time <= patience:
                yield Lost(walk, event.function, event.reason)
            continue
        if walk is None or not walk.continued_by(event, underlay):
            walk = walks[event.address] = Walk(sent)
        walk.steps.append(event)
