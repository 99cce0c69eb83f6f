# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Which function of the kernel drops a diagnosis' own packets, and for which reason (skb_drop_reason, Linux 5.17).

The kernel tells of every packet that it drops, and not whose it is. Those of a diagnosis are sent in bursts
(drop_bursts.py) and followed from interface to interface (drop_trace.py): known are the sizes, the task that sends and
the devices. What is dropped for one reason in one place counts only if most of a burst is: other traffic does not
look like that. Network namespaces have one kernel in common, so drops on other nodes may be seen, too; these are left
out: a packet is this node's own before it left, or once it came in.
"""

from __future__ import annotations

import contextlib
import errno
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import trace_instance
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import (
    drop_bursts,
    drop_trace,
    engine,
    neighbours,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe.drop_bursts import Flow

# Bytes that tunnels add to a packet, by kind of link: over IPv4, and over IPv6.
OVERHEADS = {"vxlan": (50, 70), "ipip": (20,), "sit": (20,), "gre": (24,), "gretap": (38,), "tun": (28,)}
# What becomes of packets that arrived: an answer nobody waits for any more, or one of a socket that was closed.
ENDS = frozenset({"QUEUE_PURGE", "SOCKET_CLOSE", "CONSUMED"})
ECHOES = frozenset({"icmp", drop_bursts.LARGE})
# Of a burst, so many have to be dropped in the same place.
CONCLUSIVE = drop_bursts.COUNT // 2


@dataclass(frozen=True)
class Place:
    """Where the packets of a node are seen: of its pod, and of the node itself."""

    pod: frozenset[str]  # addresses
    interface: str  # of the pod, within it
    peer: str  # its other end
    links: frozenset[str]
    underlay: frozenset[str]
    overheads: tuple[int, ...]


def place(evidence: Mapping[str, Any], nodes: Mapping[str, str], interface: str) -> Place:
    """What the evidence says of where packets pass; ``nodes`` are the addresses of all nodes."""
    links, pod = evidence["links"], evidence["pod"] or {}
    addresses = set(nodes.values())
    underlay = {
        name for name, link in links.items() if any(held.partition("/")[0] in addresses for held in link["addresses"])
    }
    # A bridge or bond has the address, and packets come in on what is in it.
    underlay |= {name for name, link in links.items() if link["master"] in underlay and link["kind"] != "veth"}
    overheads = {size for link in links.values() for size in OVERHEADS.get(link["kind"], ())}
    return Place(
        frozenset(pod.get("addresses", ())),
        interface,
        pod.get("peer", ""),
        frozenset(links),
        frozenset(underlay),
        (0, *sorted(overheads)),
    )


def filters(known: Mapping[int, Sequence[Flow]], overheads: Sequence[int]) -> dict[str, str]:
    """Which events to trace: packets of about the sizes of the bursts, and drops of what is IP."""
    large = [size for size, flows in known.items() if any(flow.kind == drop_bursts.LARGE for flow in flows)]
    small = [size for size in known if size not in large]
    most = max(overheads) + drop_trace.ETHERNET
    ranges = [(min(small), max(small) + most)] if small else []
    # Around the largest size is most of what a busy host carries, so what tunnels make of it is told exactly.
    for overhead in overheads if large else ():
        ranges += [(min(large) + overhead + more, max(large) + overhead + more) for more in (0, drop_trace.ETHERNET)]
    wanted = " || ".join(f"(len >= {low} && len <= {high})" for low, high in ranges)
    passed = {f"net/{event}": wanted for event in (drop_trace.QUEUE, drop_trace.RECEIVE)}
    return {**passed, trace_instance.DROP: "protocol == 2048 || protocol == 34525 || protocol == 33024"}


def flows(lost: drop_trace.Lost, known: Mapping[int, Sequence[Flow]], here: Place) -> list[Flow]:
    """Between which pods a packet went that this node dropped; none where it is not one of the diagnosis."""
    walk = lost.walk
    if not walk.steps:
        return [_marked(walk.sent, here)]
    received = [step for step in walk.steps if step.kind == drop_trace.RECEIVE]
    first = walk.steps[0]
    exits = first.kind == drop_trace.QUEUE and (received[0].device == here.peer if received else bool(walk.sent))
    possible = {walk.size} if first.kind == drop_trace.QUEUE else {walk.size - more for more in here.overheads}
    candidates = [flow for size in possible for flow in known.get(size, ())]
    if exits:
        mine = [flow for flow in candidates if flow.source in here.pod]
        if walk.sent and mine:
            return [_marked(walk.sent, here)]
        return [flow for flow in mine if flow.target and not _left(walk, here)]
    if not any(step.device in here.underlay for step in received):
        return []
    return [
        Flow(flow.kind, flow.source, own)
        for flow in candidates
        for own in sorted(here.pod)
        if flow.source not in here.pod and flow.target in ("", own)
        if drop_bursts.version(own) == drop_bursts.version(flow.source)
    ]


def _left(walk: drop_trace.Walk, here: Place) -> bool:
    """Whether a packet went out to another node and came in there, which is seen where both have one kernel."""
    gone = False
    for step in walk.steps:
        if gone and step.kind == drop_trace.RECEIVE:
            return True
        gone = gone or (step.kind == drop_trace.QUEUE and step.device in here.underlay and step is not walk.steps[0])
    return False


def _marked(text: str, here: Place) -> Flow:
    """The burst that a mark of our own in the trace is about."""
    kind, _space, target = text.partition(" ")
    own = (address for address in here.pod if drop_bursts.version(address) == drop_bursts.version(target))
    return Flow(kind, next(own, ""), target)


def findings(lost: Iterator[drop_trace.Lost], known: Mapping[int, Sequence[Flow]], here: Place) -> list[dict[str, Any]]:
    """What was dropped of most of a burst, once for each place and reason, with the sources it may have had."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for one in lost:
        if one.walk.sent and _left(one.walk, here):
            continue
        told = flows(one, known, here)
        # The kernel answers echo requests itself; without a socket are the answers.
        if not told or one.reason in ENDS or (one.reason == "NO_SOCKET" and told[0].kind in ECHOES):
            continue
        sources = tuple(sorted({flow.source for flow in told}))
        key = (sources, told[0].target, told[0].kind, one.reason, one.function, *_position(one.walk, here))
        counts[key] += 1
    return [{**finding(*key), "count": count} for key, count in counts.items() if count >= CONCLUSIVE]


def finding(
    sources: Sequence[str],
    target: str,
    kind: str,
    reason: str,
    function: str,
    interface: str,
    way: str,
    in_pod: bool,
    count: int = 0,
    neighbour: str = "",
) -> dict[str, Any]:
    """A drop as the evidence has it.

    ``sources`` are the pods of which one sent it, ``kind`` is what it went as (empty for anything), ``interface`` the
    one that it passed last, if any, and ``way`` in or out. Without a function the kernel did not tell, or did not send.
    """
    return {
        "sources": list(sources),
        "target": target,
        "kind": kind,
        "reason": reason,
        "function": function,
        "interface": interface,
        "way": way,
        "in_pod": in_pod,
        "count": count,
        "neighbour": neighbour,
    }


def _position(walk: drop_trace.Walk, here: Place) -> tuple[str, str, bool]:
    """The interface that a packet passed last, which way, and whether that was in the pod."""
    if not walk.steps:
        return "", "", True
    last = walk.steps[-1]
    entered = last.device == here.interface and any(
        (step.kind, step.device) == (drop_trace.QUEUE, here.peer) for step in walk.steps
    )
    never_left = all(step.kind == drop_trace.QUEUE for step in walk.steps) and walk.steps[0] is last
    return last.device, "in" if last.kind == drop_trace.RECEIVE else "out", entered or never_left


class KernelDrops:
    """The drops of one diagnosis; ``unavailable`` says why the kernel cannot tell, where it cannot."""

    def __init__(self, bursts: drop_bursts.Bursts, known: Mapping[int, Sequence[Flow]], here: Place) -> None:
        self.bursts, self.known, self.here = bursts, known, here
        self.unavailable = ""

    def start(self) -> None:
        """Send the bursts, while other packets are sent."""
        self.bursts.start()

    def result(self, run: neighbours.Run, routes: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        """Wait until all is sent, and return what was dropped: once, at the end of the time of watching.

        ``routes`` are those to the pods, by address.
        """
        self.bursts.join()
        dropped: list[dict[str, Any]] = []
        if self.bursts.instance:
            try:
                text = self.bursts.instance.read()
            except OSError as error:
                self.unavailable = f"the kernel's trace cannot be read: {error.strerror}"
            else:
                seen = drop_trace.lost(drop_trace.events(text), self.here.underlay)
                dropped = findings(seen, self.known, self.here)
        # Where something waits for a neighbour is known better than where it came in before.
        waiting = {(one["sources"][0], one["target"]): one for one in self._waiting(run, routes)}
        dropped = [
            one
            for one in dropped
            if not (
                one["reason"].startswith("NEIGH_") and any((sent, one["target"]) in waiting for sent in one["sources"])
            )
        ]
        dropped += list(self._refused(dropped))
        explained = {(source, one["target"]) for one in dropped for source in one["sources"]}
        dropped += [one for pair, one in waiting.items() if pair not in explained]
        return {"unavailable": self.unavailable, "found": dropped}

    def _refused(self, dropped: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """What the kernel did not even begin to send, where no drop explains it."""
        explained = {(one["kind"], one["target"]) for one in dropped}
        for (kind, target, number), count in self.bursts.refused.items():
            if count >= CONCLUSIVE and (kind, target) not in explained:
                source = self.bursts.sources[drop_bursts.version(target)]
                name = errno.errorcode.get(number, str(number))
                yield finding((source,), target, kind, name, "", "", "", True, count=count)

    def _waiting(self, run: neighbours.Run, routes: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, Any]]:
        """What waits for a neighbour that does not answer."""
        for own in self.bursts.sources.values():
            others = [one.address for one in self.bursts.targets if one.family == drop_bursts.version(own)]
            for one in neighbours.waiting(run, self.bursts.pod, own, others, routes):
                where = (one["interface"], "out", one["in_pod"])
                yield finding(
                    (one["source"],), one["target"], "", "NEIGH_FAILED", "", *where, neighbour=one["neighbour"]
                )


@contextlib.contextmanager
def tracing(
    pod: str,
    targets: Sequence[engine.Target],
    pods: Sequence[str],
    evidence: Mapping[str, Any],
    here: Place,
) -> Iterator[KernelDrops]:
    """Trace what the kernel drops, from the pods' packets, until it is left."""
    known = drop_bursts.sizes(pods, (evidence["pod"] or {}).get("mtu", 0)) if here.pod else {}
    own = sorted(here.pod.intersection(pods))
    drops = KernelDrops(drop_bursts.Bursts(pod, targets, known, own), known, here)
    if not own:
        drops.unavailable = "the pod is gone, and what the kernel drops of its packets with it"
        yield drops
        return
    with contextlib.ExitStack() as stack:
        try:
            instance = stack.enter_context(trace_instance.instance())
            instance.enable(filters(known, here.overheads))
            drops.bursts.instance = instance
        except (trace_instance.TraceError, OSError) as error:
            drops.unavailable = str(error)
        yield drops
