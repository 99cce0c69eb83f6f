# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What can be wrong with ``calico_policies``, told before the first host changes.

A host endpoint denies everything that no policy allows, but for the fail-safe ports. So whoever describes one
can shut out Ansible, and the nodes from etcd and from each other's BGP: that is refused here unless forced.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._calico import resources as calico_resources
from ansible_collections.binary_cluster.networking.plugins.module_utils._calico.resources import Resource
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import calico_selectors
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    Checks,
    Fault,
    Host,
    Inventory,
    etcd_port,
    integer,
)

VARIABLE = "calico_policies"
KINDS = ("GlobalNetworkPolicy", "NetworkPolicy", "HostEndpoint", "GlobalNetworkSet", "NetworkSet")
ACTIONS = ("Allow", "Deny", "Log", "Pass")
PROTOCOLS = ("TCP", "UDP", "ICMP", "ICMPv6", "SCTP", "UDPLite")
WITH_PORTS = ("TCP", "UDP", "SCTP", "6", "17", "132")
LOOPBACK = ("127.0.0.1",)
DIRECTIONS = {"Ingress": "ingress", "Egress": "egress"}
PORT = re.compile(r"([0-9]{1,5})(?::([0-9]{1,5}))?")
PORT_NAME = re.compile(r"[a-zA-Z0-9_.-]*[a-zA-Z_.-][a-zA-Z0-9_.-]*")
FAIL_SAFE = re.compile(r"(tcp|udp|sctp):(?:(?:net:)?([0-9a-fA-F.:\[\]]+/[0-9]+):)?([0-9]{1,5})")
# What Felix lets pass whatever the policies say, unless told otherwise (felix, config_params.go).
COMMON_FAIL_SAFE = ["tcp:179", "tcp:2379", "tcp:2380", "tcp:5473", "tcp:6443", "tcp:6666", "tcp:6667"]
FAIL_SAFES = {
    "calico_failsafe_inbound": ["tcp:22", "udp:68", *COMMON_FAIL_SAFE],
    "calico_failsafe_outbound": ["udp:53", "udp:67", *COMMON_FAIL_SAFE],
}

# Fields of a spec: None for a value, a mapping for fields within, a list for items of one kind.
_ICMP = {"type": None, "code": None}
_ENTITY = {
    "nets": None,
    "notNets": None,
    "selector": None,
    "notSelector": None,
    "namespaceSelector": None,
    "ports": None,
    "notPorts": None,
}
_RULE = {
    "action": None,
    "protocol": None,
    "notProtocol": None,
    "ipVersion": None,
    "icmp": _ICMP,
    "notICMP": _ICMP,
    "source": _ENTITY,
    "destination": _ENTITY,
    "metadata": {"annotations": None},
}
_POLICY = {"order": None, "selector": None, "types": None, "ingress": [_RULE], "egress": [_RULE]}
FIELDS: dict[str, Any] = {
    "NetworkPolicy": _POLICY,
    "GlobalNetworkPolicy": {
        **_POLICY,
        "doNotTrack": None,
        "preDNAT": None,
        "applyOnForward": None,
        "namespaceSelector": None,
    },
    "HostEndpoint": {
        "node": None,
        "interfaceName": None,
        "expectedIPs": None,
        "profiles": None,
        "ports": [{"name": None, "protocol": None, "port": None}],
    },
    "GlobalNetworkSet": {"nets": None},
    "NetworkSet": {"nets": None},
}

CHECKS = Checks("calico")


def _read(inventory: Inventory) -> tuple[dict[str, Resource], list[calico_resources.ResourceError]]:
    """The resources by their places, and the faults of those that cannot be read."""
    told = inventory.value(VARIABLE)
    found, places, faults = calico_resources.read(told if isinstance(told, list) else [], where=VARIABLE, kinds=KINDS)
    return {places[key]: resource for key, resource in found.items()}, faults


# --- how they are written --------------------------------------------------------------


@CHECKS
def resources_can_be_read(inventory: Inventory) -> Iterator[Fault]:
    for error in _read(inventory)[1]:
        yield Fault(error.place, error.value, error.remedy)


@CHECKS
def specs_are_sound(inventory: Inventory) -> Iterator[Fault]:
    for place, resource in _read(inventory)[0].items():
        where = f"{place}.spec"
        unknown = list(_unknown(resource.spec, FIELDS[resource.key.kind], where))
        yield from unknown
        if not unknown:
            yield from _spec(resource, where)


def _unknown(held: Any, fields: Any, place: str) -> Iterator[Fault]:
    if isinstance(fields, list):
        if not isinstance(held, list):
            yield Fault(place, held, "give a list")
            return
        for number, one in enumerate(held):
            yield from _unknown(one, fields[0], f"{place}[{number}]")
    elif fields is not None:
        if not isinstance(held, Mapping):
            yield Fault(place, held, f"give fields such as {', '.join(list(fields)[:3])}")
            return
        for name, value in held.items():
            if name in fields:
                if value is not None:
                    yield from _unknown(value, fields[name], f"{place}.{name}")
                continue
            near = difflib.get_close_matches(str(name), fields, 1)
            remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(fields)}"
            yield Fault(f"{place}.{name}", value, f"not a field; {remedy}")


def _spec(resource: Resource, place: str) -> Iterator[Fault]:
    spec = resource.spec
    if resource.key.kind == "HostEndpoint":
        if not spec.get("node"):
            yield Fault(f"{place}.node", spec.get("node"), "give the name of the node")
        if not spec.get("interfaceName") and not spec.get("expectedIPs"):
            yield Fault(f"{place}.interfaceName", None, "give an interface, '*' for all, or expectedIPs")
    elif resource.key.kind in calico_resources.POLICIES:
        yield from _policy(resource, place)
    else:
        yield from _nets(spec.get("nets"), f"{place}.nets")


def _policy(resource: Resource, place: str) -> Iterator[Fault]:
    spec = resource.spec
    if not spec.get("selector"):
        remedy = "say which endpoints it is for; all() is all of them"
        if resource.key.kind == "GlobalNetworkPolicy":
            remedy += ", host endpoints as well"
        yield Fault(f"{place}.selector", spec.get("selector"), remedy)
    yield from _selector(spec.get("selector"), f"{place}.selector")
    order = spec.get("order")
    if order is None:
        remedy = "without one it is asked last; give a number, the lowest is asked first"
        yield Fault(f"{place}.order", None, remedy, warning=True)
    elif isinstance(order, bool) or not isinstance(order, (int, float)):
        yield Fault(f"{place}.order", order, "give a number; the policy with the lowest is asked first")
    for number, direction in enumerate(spec.get("types") or ()):
        if direction not in DIRECTIONS:
            yield Fault(f"{place}.types[{number}]", direction, f"one of {', '.join(DIRECTIONS)}")
    for name in DIRECTIONS.values():
        for number, rule in enumerate(spec.get(name) or ()):
            yield from _rule(rule, f"{place}.{name}[{number}]")


def _rule(rule: Mapping[str, Any], place: str) -> Iterator[Fault]:
    action = rule.get("action")
    if action not in ACTIONS:
        near = difflib.get_close_matches(str(action or "").capitalize(), ACTIONS, 1)
        remedy = f"did you mean {near[0]}?" if near else f"one of {', '.join(ACTIONS)}"
        yield Fault(f"{place}.action", action, remedy)
    for name in ("protocol", "notProtocol"):
        protocol = rule.get(name)
        if protocol is not None and protocol not in PROTOCOLS and not 1 <= _number(protocol) <= 255:
            yield Fault(f"{place}.{name}", protocol, f"one of {', '.join(PROTOCOLS)}, or a number from 1 to 255")
    for side in ("source", "destination"):
        entity, where = rule.get(side) or {}, f"{place}.{side}"
        for name in ("selector", "notSelector", "namespaceSelector"):
            yield from _selector(entity.get(name), f"{where}.{name}")
        for name in ("nets", "notNets"):
            yield from _nets(entity.get(name), f"{where}.{name}")
        for name in ("ports", "notPorts"):
            if entity.get(name) and str(rule.get("protocol")) not in WITH_PORTS:
                remedy = f"ports need the rule's protocol, one of {', '.join(WITH_PORTS[:3])}"
                yield Fault(f"{where}.{name}", entity[name], remedy)
            for number, port in enumerate(entity.get(name) or ()):
                if _range(port) is None and not PORT_NAME.fullmatch(str(port)):
                    yield Fault(f"{where}.{name}[{number}]", port, "give a port such as 80, or a range such as 80:90")


def _selector(text: Any, place: str) -> Iterator[Fault]:
    try:
        calico_selectors.parse(str(text or ""))
    except calico_selectors.SelectorError as error:
        yield Fault(place, text, f"{error}; write it like role == 'web' && !has(test)")


def _nets(nets: Any, place: str) -> Iterator[Fault]:
    for number, net in enumerate(nets or ()):
        try:
            if "/" not in str(net):
                raise ValueError("its length is missing")
            ipaddress.ip_network(str(net))
        except ValueError as error:
            yield Fault(f"{place}[{number}]", net, f"not a network such as 192.0.2.0/24: {error}")


def _number(value: Any) -> int:
    return int(value) if str(value).isascii() and str(value).isdigit() else -1


def _range(port: Any) -> tuple[int, int] | None:
    """First and last port; None for what is neither a port nor a range."""
    match = PORT.fullmatch(str(port))
    if not match:
        return None
    first, last = int(match.group(1)), int(match.group(2) or match.group(1))
    return (first, last) if 1 <= first <= last <= 65535 else None


# --- who would be shut out -------------------------------------------------------------


@dataclass(frozen=True)
class Flow:
    """A connection over TCP that must stay. ``peers`` are the addresses of the other side; empty for any."""

    meaning: str
    port: int
    inbound: bool
    peers: tuple[str, ...] = ()


@CHECKS
def fail_safe_ports_are_legal(inventory: Inventory) -> Iterator[Fault]:
    for variable in FAIL_SAFES:
        for number, port in enumerate(inventory.value(variable) or ()):
            if not FAIL_SAFE.fullmatch(str(port)):
                yield Fault(f"{variable}[{number}]", port, "give it like tcp:22 or tcp:192.0.2.0/24:22")


@CHECKS
def nobody_is_shut_out(inventory: Inventory) -> Iterator[Fault]:
    if inventory.value("calico_policies_force", False) is True:
        return
    resources = _read(inventory)[0]
    policies = sorted(
        ((place, one) for place, one in resources.items() if one.key.kind == "GlobalNetworkPolicy"),
        key=lambda pair: (_order(pair[1]), pair[1].key.name),
    )
    for place, endpoint in resources.items():
        host = inventory.hosts.get(str(endpoint.spec.get("node", "")))
        if endpoint.key.kind != "HostEndpoint" or host is None or not _on_the_way(endpoint, host):
            continue
        for flow in _flows(inventory, host, everywhere=endpoint.spec.get("interfaceName") == "*"):
            reason = _cut(endpoint, policies, flow, inventory)
            if reason:
                variable = "calico_failsafe_inbound" if flow.inbound else "calico_failsafe_outbound"
                narrow = "name an interface instead of '*', " if flow.peers == LOOPBACK else ""
                remedy = (
                    f"would cut {flow.meaning} (tcp/{flow.port}): {reason}; {narrow}allow it in a policy of the lowest "
                    f"order, put tcp:{flow.port} into {variable}, or set calico_policies_force: true"
                )
                yield Fault(place, endpoint.key, remedy, (host.name,))


def _order(policy: Resource) -> float:
    order = policy.spec.get("order")
    return float(order) if isinstance(order, (int, float)) else float("inf")


def _on_the_way(endpoint: Resource, host: Host) -> bool:
    """Whether connections to the host's own address may meet the endpoint; they do where nothing tells otherwise."""
    interface, expected = endpoint.spec.get("interfaceName"), endpoint.spec.get("expectedIPs") or ()
    if interface == "*":
        return True
    if not interface:
        return host.address in map(str, expected)
    links = host.facts.get("interfaces", {})
    holding = [name for name, link in links.items() if host.address in {one.split("/")[0] for one in link["addresses"]}]
    return not holding or interface in holding


def _flows(inventory: Inventory, host: Host, everywhere: bool) -> Iterator[Flow]:
    """Connections that must stay. An endpoint of all interfaces is asked on loopback, too."""
    yield Flow("Ansible's connection", host.port, inbound=True)
    if everywhere:
        health = integer(inventory.value("calico_health_port", 9099)) or 0
        for inbound in (True, False):
            yield Flow(
                "the host's own processes from each other, such as Felix' health", health, inbound, ("127.0.0.1",)
            )
    client, peer = etcd_port(inventory) or 0, integer(inventory.value("etcd_peer_port", 2380)) or 0
    members = [one.name for one in inventory.members("etcd")]
    nodes = tuple(
        one.address for one in inventory.members("nodes") if (everywhere or one.name != host.name) and one.address
    )
    others = tuple(one.address for one in inventory.members("etcd") if one.name != host.name and one.address)
    if host.name in members:
        if nodes:
            yield Flow("the nodes from etcd", client, inbound=True, peers=nodes)
        if others:
            yield Flow("etcd's members from each other", peer, inbound=True, peers=others)
            yield Flow("etcd's members from each other", peer, inbound=False, peers=others)
    if others:
        yield Flow("the node from etcd", client, inbound=False, peers=others)
    if nodes and inventory.value("calico_encapsulation", "vxlan") not in ("vxlan", "vxlan_cross_subnet"):
        yield Flow("BGP between the nodes", 179, inbound=True, peers=nodes)
        yield Flow("BGP between the nodes", 179, inbound=False, peers=nodes)


def _cut(endpoint: Resource, policies: Sequence[tuple[str, Resource]], flow: Flow, inventory: Inventory) -> str | None:
    """Why a flow would not certainly pass the endpoint; None where it does."""
    variable = "calico_failsafe_inbound" if flow.inbound else "calico_failsafe_outbound"
    told = inventory.value(variable)
    if _is_fail_safe(flow, FAIL_SAFES[variable] if told is None else told):
        return None
    direction = "Ingress" if flow.inbound else "Egress"
    asked = []
    for place, policy in policies:
        types = policy.spec.get("types") or calico_resources.default_types(policy.spec)
        if direction in types and not policy.spec.get("namespaceSelector") and _selects(policy, endpoint):
            asked.append((place, policy))
    # Rules before connection tracking and before DNAT are asked first; that one allows there is not enough.
    early = [pair for pair in asked if pair[1].spec.get("doNotTrack") or pair[1].spec.get("preDNAT")]
    for place, policy in early:
        denied = _verdict(policy, place, flow, DIRECTIONS[direction])
        if denied and denied[0] != "Allow":
            return f"{denied[1]} may deny it"
    late = [pair for pair in asked if pair not in early]
    for place, policy in late:
        verdict = _verdict(policy, place, flow, DIRECTIONS[direction])
        if verdict:
            return None if verdict[0] == "Allow" else f"{verdict[1]} may deny it"
    if not late and "projectcalico-default-allow" in (endpoint.spec.get("profiles") or ()):
        return None
    return "no policy certainly allows it, and the port is not fail-safe"


def _is_fail_safe(flow: Flow, ports: Sequence[Any]) -> bool:
    for port in ports:
        match = FAIL_SAFE.fullmatch(str(port))
        if match and match.group(1) == "tcp" and int(match.group(3)) == flow.port:
            net = (match.group(2) or "").replace("[", "").replace("]", "")
            if not net or (flow.peers and _within(flow.peers, [net])):
                return True
    return False


def _selects(policy: Resource, endpoint: Resource) -> bool:
    try:
        selector = calico_selectors.parse(str(policy.spec.get("selector") or ""))
    except calico_selectors.SelectorError:
        return False  # told elsewhere
    return selector({name: str(value) for name, value in endpoint.labels.items()})


def _verdict(policy: Resource, place: str, flow: Flow, direction: str) -> tuple[str, str] | None:
    """Action of the first rule that decides of the flow, and its place.

    That is a rule that denies where it may meet the flow, or one that allows where it certainly does.
    """
    for number, rule in enumerate(policy.spec.get(direction) or ()):
        action = rule.get("action")
        certain = _meets(rule, flow, certainly=True)
        if (action == "Allow" and certain) or (action == "Deny" and _meets(rule, flow, certainly=False)):
            return action, f"{place}.spec.{direction}[{number}]"
        if action == "Pass" and certain:
            return action, f"{place}.spec.{direction}[{number}]"
    return None


def _meets(rule: Mapping[str, Any], flow: Flow, certainly: bool) -> bool:
    """Whether a rule certainly, or else possibly, meets all, or else a part, of a flow."""
    unknown = not certainly
    protocol = rule.get("protocol")
    if protocol is not None and str(protocol) not in ("TCP", "6"):
        return False
    if rule.get("notProtocol") in ("TCP", 6, "6") or rule.get("icmp") or rule.get("ipVersion") == 6:
        return False
    source, destination = rule.get("source") or {}, rule.get("destination") or {}
    near, far = (destination, source) if flow.inbound else (source, destination)
    if destination.get("ports") and not _has_port(destination["ports"], flow.port, unknown):
        return False
    if destination.get("notPorts") and _has_port(destination["notPorts"], flow.port, not unknown):
        return False
    if far.get("nets"):
        if flow.peers:
            if not _within(flow.peers, far["nets"], every=certainly):
                return False
        elif certainly:
            return False
    # What labels, other sets and the own address come to is not known here.
    vague = ("selector", "notSelector", "namespaceSelector", "notNets")
    rest = [far.get(name) for name in vague] + [near.get(name) for name in (*vague, "nets")] + [rule.get("notICMP")]
    rest += [source.get("ports"), source.get("notPorts")]
    return unknown or not any(rest)


def _has_port(ports: Sequence[Any], port: int, unknown: bool) -> bool:
    """Whether a port is among ports; a name may stand for any."""
    for one in ports:
        pair = _range(one)
        if (pair is None and unknown) or (pair and pair[0] <= port <= pair[1]):
            return True
    return False


def _within(addresses: Sequence[str], nets: Sequence[Any], every: bool = True) -> bool:
    held = []
    for address in addresses:
        try:
            one = ipaddress.ip_address(address)
            held.append(any(one in ipaddress.ip_network(str(net), strict=False) for net in nets))
        except ValueError:
            return not every
    return all(held) if every else any(held)
