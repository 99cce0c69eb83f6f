# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What a node itself sees of the way to the other nodes' pods; roles/verify/files/watch.py runs it there.

No pod is needed. Probed are the nodes, and those addresses of their pod networks that the kernels of the
nodes themselves have: that of the tunnel, the first, and that of the bridge, the second. Which pod network is whose
is read from the routing table while it is whole, and remembered. An address that never answered is none that has
to: there is no bridge before the first pod.

Networks filter ICMP, that of pods too where it goes without a tunnel: what answers no echo request is asked over TCP,
and a node that answered neither ever is silent only where its MAC is not known either. Where a router or one device
leads to the pods of several nodes, whose they are is not known, and only the nodes are asked.

A line for the journal with its priority (sd-daemon(3)) says what is wrong and what is whole again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import icmp, iproute

ERR, NOTICE, INFO = 3, 5, 6
FORWARDING = "/proc/sys/net/ipv4/ip_forward"


@dataclass(frozen=True)
class Peer:
    """Another node."""

    name: str
    address: str


@dataclass
class Known:
    """What is remembered of a peer: the network of its pods, and which addresses in it have answered."""

    subnet: str = ""
    answered: list[str] = field(default_factory=list)
    # Whether the node itself has.
    reached: bool = False


@dataclass(frozen=True)
class Tables:
    """What the kernel has: routes, neighbours and forwarding entries of tunnels, and whether it forwards."""

    routes: Mapping[str, Mapping[str, Any]]
    # MAC by device and address; node by device and MAC.
    neighbours: Mapping[tuple[str, str], str]
    fdb: Mapping[tuple[str, str], str]
    forwarding: bool
    network: str = ""
    # Routers that are meant to lead to other nodes' pods.
    routers: frozenset[str] = frozenset()

    def shared(self, subnet: str) -> bool:
        """Whether a route may lead to the pods of any node: by BGP or a router, or all pods through one device."""
        route = self.routes[subnet]
        gateway = route.get("gateway", "")
        by_router = bool(gateway) and (route.get("protocol") == "bird" or gateway in self.routers)
        return route.get("type", "unicast") == "unicast" and (by_router or (subnet == self.network and not gateway))

    def fault(self, peer: Peer, subnet: str) -> str:
        """What is wrong with the entries that lead to the pods of a node; empty where nothing is."""
        route = self.routes.get(subnet)
        if route is None or route.get("type", "unicast") != "unicast":
            return f"there is no route to {subnet}, the pods of {peer.name}"
        gateway, device = route.get("gateway", ""), route.get("dev", "")
        if gateway == peer.address or self.shared(subnet):
            return ""
        if not any(device == name for name, _mac in self.fdb):
            return (
                f"the route to {subnet}, the pods of {peer.name}, leads to {gateway or device}, not to {peer.address}"
            )
        mac = self.neighbours.get((device, gateway))
        if not mac:
            return f"{device} does not know the MAC of {gateway}, the tunnel of {peer.name}"
        node = self.fdb.get((device, mac))
        if node != peer.address:
            return f"{device} sends packets for {peer.name} to {node or 'nobody'}, not to {peer.address}"
        return ""


def read(kernel: iproute.IpRoute, network: str, routers: Iterable[str] = ()) -> Tables:
    """The kernel's tables, as far as pods are concerned."""
    pods = ipaddress.ip_network(network)
    inside = {
        route["dst"]: route
        for route in kernel.routes()
        if route["dst"] != "default" and ipaddress.ip_network(route["dst"]).subnet_of(pods)  # type: ignore[arg-type]
    }
    with open(FORWARDING, encoding="ascii") as stream:
        forwarding = stream.read().strip() == "1"
    return Tables(
        inside,
        {(one["dev"], one["dst"]): one.get("lladdr", "") for one in kernel.neighbours()},
        {(one["ifname"], one["mac"]): one["dst"] for one in kernel.fdb() if one.get("dst")},
        forwarding,
        network,
        frozenset(routers),
    )


def learn(tables: Tables, peers: Sequence[Peer], known: dict[str, Known]) -> None:
    """Remember the pod networks that whole entries lead to."""
    for peer in peers:
        found = [
            subnet
            for subnet, route in tables.routes.items()
            if not tables.fault(peer, subnet) and (route.get("gateway") == peer.address or not tables.shared(subnet))
        ]
        before = known.setdefault(peer.name, Known())
        if found and before.subnet not in found:
            known[peer.name] = Known(found[0], reached=before.reached)


def candidates(subnet: str) -> list[str]:
    """Addresses of a pod network that its node may have."""
    return [str(address) for address, _number in zip(ipaddress.ip_network(subnet), range(2))] if subnet else []


def judge(
    tables: Tables,
    peers: Sequence[Peer],
    known: Mapping[str, Known],
    silent: frozenset[str],
    near: frozenset[str] = frozenset(),
) -> dict[str, str]:
    """What is wrong, by node; ``""`` stands for this node. ``near`` are addresses whose MAC the kernel knows."""
    faults = {} if tables.forwarding else {"": "IPv4 forwarding is off: sysctl -w net.ipv4.ip_forward=1"}
    # One that leads to a node itself says nothing of the others' pods, even if it came by BGP.
    nodes = {peer.address for peer in peers}
    unknown = any(tables.shared(name) and route.get("gateway") not in nodes for name, route in tables.routes.items())
    for peer in peers:
        own = known[peer.name]
        wrong = tables.fault(peer, own.subnet) if own.subnet else f"no route leads to the pods of {peer.name}"
        filtered = peer.address in near and not own.reached
        # Where the network filters ICMP, the node itself never answers, and its pods do.
        if peer.address in silent and silent.issuperset(candidates(own.subnet)) and not filtered:
            faults[peer.name] = f"{peer.name} ({peer.address}) does not answer, pods or not"
        elif wrong and (own.subnet or not unknown):
            faults[peer.name] = wrong
        elif own.answered and silent.issuperset(own.answered):
            faults[peer.name] = (
                f"{' and '.join(own.answered)} in the pod network of {peer.name} do not answer, though {peer.address} "
                "does, and this node's entries are right: a firewall drops what pods send, or it goes wrong there"
            )
    return faults


def over_tcp(
    peers: Sequence[Peer], known: Mapping[str, Known], silent: Iterable[str], ports: Sequence[int]
) -> set[str]:
    """Addresses that answer no echo request and answer over TCP, of those that have to."""
    quiet, asked = set(silent), []
    for peer in peers:
        own = known[peer.name]
        # Of pods those that have answered, or where the node is silent as well, those that may.
        pods = own.answered or (candidates(own.subnet) if peer.address in quiet else [])
        asked += [peer.address] if peer.address in quiet else []
        asked += pods if quiet.issuperset(pods) else []
    if not asked:
        return set()
    # Most networks answer echo requests, and this runs all the time.
    from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import tcp_answers

    return set(tcp_answers.tcp_answers(asked, ports))


def watch(configuration: Mapping[str, Any], state: Mapping[str, Any], run: iproute.Run) -> tuple[dict[str, Any], str]:
    """Look once; return what to keep, and lines for the journal."""
    peers = [Peer(**one) for one in configuration["peers"]]
    known = {peer.name: Known(**state.get("known", {}).get(peer.name, {})) for peer in peers}
    kernel = iproute.IpRoute(run)
    tables = read(kernel, configuration["network"], configuration["routers"])
    learn(tables, peers, known)
    asked = [address for one in known.values() for address in candidates(one.subnet)]
    no_echo = icmp.silent([*(peer.address for peer in peers), *asked])
    silent = frozenset(no_echo) - over_tcp(peers, known, no_echo, configuration["ports"])
    mute = [peer for peer in peers if peer.address in silent]
    near = frozenset(one["dst"] for one in kernel.neighbours() if one.get("lladdr")) if mute else frozenset()
    faults = judge(tables, peers, known, silent, near)
    for peer in peers:
        one = known[peer.name]
        one.answered += [a for a in candidates(one.subnet) if a not in silent and a not in one.answered]
        one.reached = one.reached or peer.address not in silent
    before: Mapping[str, str] = state.get("faults", {})
    lines = [f"<{ERR}>{fault}" for fault in faults.values()]
    lines += [f"<{NOTICE}>whole again; it was: {was}" for name, was in before.items() if name not in faults]
    filtered = [peer.name for peer in peers if peer.address in no_echo and peer.name not in faults]
    if filtered:
        lines.append(f"<{INFO}>ICMP is filtered, which is no fault: no echo reply from {', '.join(filtered)}")
    if not faults:
        lines.append(f"<{INFO}>all paths to {len(peers)} other nodes and their pods pass")
    return {"known": {name: vars(one) for name, one in known.items()}, "faults": faults}, "\n".join(lines)
