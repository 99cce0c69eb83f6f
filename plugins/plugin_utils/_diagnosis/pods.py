# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Pods that are missing, detached, without an address of their own, or whose addresses are rewritten."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import calico as diagnosis_calico
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import Cause, End, site_command
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.path import Path, ip_version
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.absence import Absence, remedy


def of_pods(
    pods: Mapping[str, Mapping[str, Any]], absent: Mapping[str, Absence], family: int = 4
) -> list[tuple[Cause, frozenset[str]]]:
    """What is wrong before a packet of an IP version is sent, each with the nodes whose pairs it explains.

    ``pods`` are the probe pods by node, with ``ips``, ``network`` and ``configuration``; ``absent`` are the nodes
    without one, with the reason.
    """
    holders = by_family(pods).get(family, {})
    missing = [(_pod_missing(node, why), frozenset([node])) for node, why in absent.items()]
    return [*missing, *_shadowed(pods), *_without_address(family, pods, holders), *_duplicates(holders)]


def by_family(pods: Mapping[str, Mapping[str, Any]]) -> dict[int, dict[str, dict[str, Any]]]:
    """The pods by IP version, each with its address and subnet of that version; IPv4 where there is no pod."""
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for node, pod in pods.items():
        for one in pod["ips"]:
            found.setdefault(ipaddress.ip_address(one["address"]).version, {})[node] = {**pod, **one}
    return found or {4: {}}


def _without_address(
    family: int, pods: Mapping[str, Mapping[str, Any]], holders: Iterable[str]
) -> Iterator[tuple[Cause, frozenset[str]]]:
    """Nodes whose pod got no address of an IP version, though those of other nodes, the holders, did."""
    for node, pod in pods.items():
        if node not in holders:
            text = f"pods of {node} get no IPv{family} address, and those of other nodes do: {pod['configuration']}"
            yield Cause("pod-address-missing", node, f"{text} gives none", site_command(node)), frozenset([node])


def _pod_missing(node: str, why: Absence) -> Cause:
    if why.unreachable:
        return Cause("host-unreachable", node, f"{node} is {why}", remedy(node))
    known = diagnosis_calico.pod_missing(node, why.reason)
    return known or Cause("pod-missing", node, f"{node} has no probe pod: {why}", site_command(node))


def _shadowed(pods: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Cause, frozenset[str]]]:
    """Nodes whose pods join another network than those of most nodes, for the first file in the directory wins."""
    usual = Counter(pod["network"] for pod in pods.values()).most_common(1)
    for node, pod in pods.items():
        if pod["network"] != usual[0][0]:
            file = pod["configuration"]
            text = f"{file} is read first on {node}: its pods join {pod['network']}, and the others' {usual[0][0]}"
            yield Cause("cni-shadowed", node, text, f"mv {file} {file}.disabled"), frozenset([node])


def _duplicates(pods: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Cause, frozenset[str]]]:
    """Pods with the same address, or nodes whose pods are in the same subnet."""
    for key, code, what in (
        ("subnet", "duplicate-subnet", "pod network"),
        ("address", "duplicate-address", "pod address"),
    ):
        holders: dict[str, list[str]] = {}
        for node, pod in pods.items():
            if key != "subnet" or ipaddress.ip_network(pod["subnet"]).num_addresses > 1:
                holders.setdefault(str(pod[key]), []).append(node)
        doubled = {value: nodes for value, nodes in holders.items() if len(nodes) > 1}
        for value, nodes in doubled.items():
            text = f"{what} {value} is on {' and '.join(nodes)}"
            fix = f"give one of them another {what}, remove its bridge, and run site again"
            yield Cause(code, nodes[-1], text, fix), frozenset(nodes)
        if doubled:
            return  # the addresses follow from it


def rewritten(source: End, target: End, seen: str) -> Cause:
    """A source address that is not the pod's own when its packets arrive."""
    return Cause(
        "source-rewritten",
        source.node,
        f"packets of {source.node}'s pods arrive at {target.node} as if from {seen}: something on the way masquerades "
        "what stays in the cluster",
        "nft -a list ruleset | grep masquerade; iptables-save -t nat | grep MASQUERADE",
    )


def not_masqueraded(source: End, target: str) -> Cause:
    """A connection to the outside that left under the pod's own address, and that nobody answered."""
    return Cause(
        "not-masqueraded",
        source.node,
        f"packets of {source.node}'s pods leave for {target} under the pod's own address, to which nobody outside "
        "knows the way",
        f"{site_command(source.node)}    # with the backend's masquerading, as by default",
    )


def pod_is_gone(path: Path) -> Cause | None:
    """A pod whose namespace, interface or way out is missing."""
    for end, _other in path.both():
        pod = end.evidence.get("pod")
        if pod is None:
            return Cause(
                "pod-gone",
                end.node,
                f"{end.pod} has lost its network namespace or its interface",
                "attach it again: run verify once more, and look for what removed it",
            )
        if not pod["up"]:
            return Cause(
                "pod-link-down",
                end.node,
                f"the interface of {end.pod} is down",
                f"ip -n {end.pod} link set eth0 up",
            )
        if not pod["carrier"]:
            return Cause(
                "pod-link-down",
                end.node,
                f"{pod['peer']}, the other end of the interface of {end.pod}, is down",
                f"ip link set {pod['peer']} up",
            )
        detached = _pod_detached(end, pod["peer"])
        if detached:
            return detached
        if not pod["default_route" if path.family == 4 else "default_route_v6"]:
            return Cause(
                "pod-route-missing",
                end.node,
                f"{end.pod} has no {ip_version(path)}default route, so it reaches only what it has other routes to",
                "look at the CNI configuration: the bridge plugin needs isDefaultGateway",
            )
        unknown = diagnosis_calico.endpoint_unknown(end)
        if unknown:
            return unknown
    return None


def _pod_detached(end: End, peer: str) -> Cause | None:
    """The host's end of a pod's veth that is in no bridge, where the host does not route to the pod by it either."""
    link = end.evidence["links"].get(peer, {})
    route = end.evidence["route_to"].get(end.pod_address, {})
    device = route.get("dev", "")
    if end.evidence.get("calico") or link.get("kind") != "veth" or link["master"] or device == peer:
        return None
    text = f"{peer}, the other end of the interface of {end.pod}, is in no bridge"
    if route.get("dst") in (None, "default"):
        text = f"{text}, and {end.node} has no route to {end.subnet}: the bridge of its pods is gone"
        return Cause("pod-detached", end.node, text, f"{site_command(end.node)}    # and attach all its pods again")
    return Cause("pod-detached", end.node, text, f"ip link set {peer} master {device}")
