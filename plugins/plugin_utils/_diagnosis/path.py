# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Why packets from one pod do not reach another, told from what both nodes know and saw.

Rules in the order in which one fault explains the others: a dead daemon explains a missing route, a missing
route explains that nothing leaves. Facts come before sightings, since they are certain. Every cause says on
which node, what is wrong, and a line that a person can paste to mend it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._firewall.closed_ports import (
    FAMILY,
    MEMBERS_ALONE,
    OWN_SOURCES,
    TABLE,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import HEADERS
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import (
    calico as diagnosis_calico,
    drops as diagnosis_drops,
    underlay as diagnosis_underlay,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import Cause, End
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.absence import Absence, remedy

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
PROTOCOLS = {"icmp": ICMP, "mtu": ICMP, "tcp": TCP, "http": TCP, "bulk": TCP, "udp": UDP}
# By IP version, what switches forwarding: where the evidence has it, and the files that set it; its sysctl, and what
# tells a line of such a file.
FORWARDING = {
    4: ("ip_forward", "forwarding_files", "net.ipv4.ip_forward", "ip_forward"),
    6: ("ipv6_forward", "ipv6_forwarding_files", "net.ipv6.conf.all.forwarding", "ipv6.*forwarding"),
}


@dataclass(frozen=True)
class Path:
    """The way from one pod to another, of whose probes some failed."""

    source: End
    target: End
    failed: tuple[str, ...]
    passed: tuple[str, ...]
    # Largest packet that arrived, where that was measured; None where none did.
    mtu: int | None = None
    # All nodes with a pod: what most of them have is what is meant.
    ends: tuple[End, ...] = ()

    @property
    def family(self) -> int:
        """IP version of the pods' addresses."""
        return ipaddress.ip_address(self.source.pod_address).version

    def both(self) -> Iterator[tuple[End, End]]:
        """Each end with its opposite: what goes must also come back."""
        yield self.source, self.target
        yield self.target, self.source

    def seen(self, on: End, way: str, start: End | None = None) -> list[Mapping[str, Any]]:
        """Sightings on a node of packets of the failed protocols that started at an end."""
        begin = start or self.source
        finish = self.target if begin is self.source else self.source
        wanted = {PROTOCOLS[protocol] for protocol in self.failed if protocol in PROTOCOLS}
        if self.family == 6 and ICMP in wanted:
            wanted.add(ICMPV6)
        return [
            one
            for one in on.evidence.get("sightings", ())
            if one["source"] == begin.pod_address
            and one["target"] == finish.pod_address
            and one["way"] == way
            and one["protocol"] in wanted
        ]


Rule = Callable[[Path], "Cause | None"]
WRAPPED = "the tunnel's packets"
UNEXPLAINED = "unexplained"
# Probes whose packets are small.
SMALL = frozenset({"icmp", "tcp", "udp", "http"})


def of_probes(path: Path, alike: Collection[str]) -> dict[str, Cause]:
    """The cause of each failed probe; those are left out of which the evidence tells none.

    ``alike`` are the failed ones that fail between the pods that the evidence is about, too.
    """
    found: dict[str, Cause] = {}
    filtered = filtered_echo(path)
    if filtered:
        found = dict.fromkeys(filtered[1], filtered[0])
    left = tuple(protocol for protocol in path.failed if protocol not in found)
    # Of what fails between a pod and a node alone, or within a node, packets between pods say nothing.
    between_pods = path.source.node != path.target.node and any(one in PROTOCOLS and one in alike for one in left)
    cause = diagnose(dataclasses.replace(path, failed=left), between_pods) if left else None
    told = {**found, **dict.fromkeys(left, cause)} if cause else found
    return with_drops(path, told, [protocol for protocol in left if protocol in alike])


def with_drops(path: Path, told: dict[str, Cause], failed: Sequence[str]) -> dict[str, Cause]:
    """The causes of failed probes with what the kernel was seen to drop, which is the cause where there is none."""
    measured = diagnosis_drops.measured(path.source, path.target, failed)
    missing = diagnosis_drops.unknown(path.source, path.target)
    found = dict(told)
    for protocol, cause in told.items():
        if cause.code == UNEXPLAINED and missing:
            found[protocol] = dataclasses.replace(cause, measured=missing)
    if not measured:
        return found
    kernel, explained, reason = measured
    for protocol in explained:
        rule = told.get(protocol)
        known = rule and rule.code != UNEXPLAINED
        found[protocol] = diagnosis_drops.beside(rule, kernel, reason) if rule and known else kernel
    return found


def diagnose(path: Path, between_pods: bool = True) -> Cause | None:
    """The first cause that the evidence supports; None where it supports none.

    Of what fails between a pod and a node alone, packets between pods say nothing.
    """
    for rule in RULES if between_pods else (pod_is_gone, firewall_drops):
        found = rule(path)
        if found:
            return found
    return None


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
            yield Cause("pod-address-missing", node, f"{text} gives none", _site(node)), frozenset([node])


def _pod_missing(node: str, why: Absence) -> Cause:
    if why.unreachable:
        return Cause("host-unreachable", node, f"{node} is {why}", remedy(node))
    known = diagnosis_calico.pod_missing(node, why.reason)
    return known or Cause("pod-missing", node, f"{node} has no probe pod: {why}", _site(node))


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
        f"{_site(source.node)}    # with the backend's masquerading, as by default",
    )


# --- the pods themselves ---------------------------------------------------------------


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
                f"{end.pod} has no {_of(path)}default route, so it reaches only what it has other routes to",
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
        return Cause("pod-detached", end.node, text, f"{_site(end.node)}    # and attach all its pods again")
    return Cause("pod-detached", end.node, text, f"ip link set {peer} master {device}")


def _of(path: Path) -> str:
    """Which IP version it is about, where it is not the usual one."""
    return "IPv6 " if path.family == 6 else ""


# --- daemons and what they should have made --------------------------------------------


def _dead_daemon(end: End) -> Cause | None:
    for unit in end.evidence.get("units", ()):
        if not unit["active"]:
            last = f"; its last words: {unit['last']}" if unit["last"] else ""
            return Cause(
                "daemon-down", end.node, f"{unit['name']} does not run{last}", f"systemctl start {unit['name']}"
            )
    return None


def _lease_missing(holder: End, asker: End) -> Cause | None:
    """Whether etcd has no lease of a node, so that the others know nothing of it."""
    leases = asker.evidence.get("leases")
    if leases is None or any(lease["address"] == holder.address for lease in leases):
        return None
    return Cause(
        "lease-missing",
        holder.node,
        f"etcd has no lease of {holder.subnet} for {holder.address}, so no other node knows the way there",
        "systemctl restart flanneld",
    )


def routes_are_wrong(path: Path) -> Cause | None:
    """A missing or wrong entry on the way there or back: route, neighbour, FDB entry, tunnel."""
    found = [(fault, end, other) for end, other in path.both() if (fault := _entry_fault(end, other, path.ends))]
    # Without a tunnel's device there are no routes through it either.
    for fault, end, other in sorted(found, key=lambda one: one[0].code != "tunnel-missing"):
        # What should have made the entry, or held it, may be the reason, on either side.
        deeper = _tunnel_down(end) or _dead_daemon(end) or _lease_missing(other, end) or _dead_daemon(other)
        return deeper or diagnosis_calico.route_missing(end, other) or fault
    return None


def _tunnel_down(end: End) -> Cause | None:
    """A tunnel's device that is down: the kernel drops the routes through it."""
    for name, link in end.evidence.get("links", {}).items():
        if link["kind"] in HEADERS and not link["up"]:
            return Cause("tunnel-down", end.node, f"{name} is down", f"ip link set {name} up && {_rebuild(end)}")
    return None


def _rebuild(end: End) -> str:
    """What makes a node's entries anew."""
    if any(unit["name"] == "flanneld" for unit in end.evidence.get("units", ())):
        return "systemctl restart flanneld"
    return _site(end.node)


def _site(node: str) -> str:
    return f"ansible-playbook binary_cluster.networking.site --limit {node}"


def _entry_fault(end: End, other: End, ends: Sequence[End]) -> Cause | None:
    """The first entry of a node that does not lead to the other one's pods."""
    route = end.evidence.get("route_to", {}).get(other.pod_address, {})
    kind = route.get("type", "unicast")
    if "error" in route or kind != "unicast" or route.get("dst") == "default":
        told = route.get("error") or ("only the default route" if kind == "unicast" else f"{kind} {route['dst']}")
        text = f"{end.node} has no route to {other.subnet}, the pods of {other.node}: {told}"
        return Cause("route-missing", end.node, text, _rebuild(end))
    device, gateway = route.get("dev", ""), route.get("gateway", "")
    link = end.evidence.get("links", {}).get(device, {})
    if link.get("kind") == "vxlan":
        return _tunnel_fault(end, other, device, gateway or other.pod_address, ends)
    # BIRD takes the way to the node that the underlay has, which may lead through a router.
    by_router = route.get("protocol") == "bird" or gateway in end.evidence.get("routers", ())
    foreign = gateway != other.address and not _holds(other, gateway) and not by_router
    if gateway and foreign:
        text = f"{end.node} sends packets for {other.subnet} to {gateway}, which is not {other.node} ({other.address})"
        return Cause("route-wrong", end.node, text, f"ip route del {route.get('dst')} via {gateway} && {_rebuild(end)}")
    return None


def _holds(end: End, address: str) -> bool:
    return any(_has(link, address) for link in end.evidence.get("links", {}).values())


def _has(link: Mapping[str, Any], address: str) -> bool:
    return any(held.partition("/")[0] == address for held in link.get("addresses", ()))


def _tunnel_fault(end: End, other: End, device: str, hop: str, ends: Sequence[End]) -> Cause | None:
    """What is wrong with a VXLAN device's own tables, compared with the device at the other end."""
    here = end.evidence["links"][device]
    there = _tunnel_at(other, hop, device)
    mac = end.evidence["neighbours"].get(device, {}).get(hop, "")
    if not mac:
        fix = f"ip neigh replace {hop} lladdr {there[1]['mac']} dev {device} nud permanent" if there else _rebuild(end)
        return Cause(
            "neighbour-missing", end.node, f"{device} does not know the MAC of {hop}, the VTEP of {other.node}", fix
        )
    if there is None:
        return Cause(
            "tunnel-missing",
            other.node,
            f"{other.node} has no VXLAN device with the address {hop}",
            _rebuild(other),
        )
    name, peer = there
    for key, what in (("vni", "VNI"), ("port", "UDP port")):
        if here[key] != peer[key]:
            usual = Counter(link[key] for one in ends if (link := one.evidence.get("links", {}).get(device)))
            odd, odd_device, value = (other, name, peer) if usual[here[key]] > usual[peer[key]] else (end, device, here)
            meant = here if value is peer else peer
            return Cause(
                f"{key}-mismatch",
                odd.node,
                f"{odd_device} of {odd.node} has {what} {value[key]}, and on the other nodes it has {meant[key]}",
                f"ip link delete {odd_device} && {_rebuild(odd)}",
            )
    if mac != peer["mac"]:
        return Cause(
            "vtep-mac-mismatch",
            end.node,
            f"{device} takes {mac} for the VTEP of {other.node}, and that has {peer['mac']}",
            f"ip neigh replace {hop} lladdr {peer['mac']} dev {device} nud permanent",
        )
    place = end.evidence["fdb"].get(device, {}).get(mac, "")
    fix = f"bridge fdb replace {mac} dev {device} dst {other.address} self permanent"
    if not place:
        return Cause("fdb-missing", end.node, f"{device} does not know where {mac}, the VTEP of {other.node}, is", fix)
    if place != other.address and not _holds(other, place):
        return Cause(
            "fdb-wrong", end.node, f"{device} sends packets for {other.node} to {place}, not {other.address}", fix
        )
    return None


def _tunnel_at(end: End, hop: str, name: str) -> tuple[str, Mapping[str, Any]] | None:
    """The VXLAN device at the far end: that with the address, or else of the same name."""
    links = end.evidence.get("links", {})
    for device, link in links.items():
        if link["kind"] == "vxlan" and any(held.partition("/")[0] == hop for held in link["addresses"]):
            return device, link
    link = links.get(name)
    return (name, link) if link and link["kind"] == "vxlan" else None


# --- what the kernel refuses -----------------------------------------------------------


def forwarding_is_off(path: Path) -> Cause | None:
    name, files_of, sysctl, word = FORWARDING[path.family]
    for end, _other in path.both():
        if end.evidence.get(name) == "0":
            files = end.evidence.get(files_of, ())
            text, fix = f"IPv{path.family} forwarding is off on {end.node}", f"sysctl -w {sysctl}=1"
            if files:
                text += f", and {files[0]} switches it off at every boot"
                return Cause("forwarding-reset", end.node, text, f"sed -i '/{word}/d' {files[0]} && {fix}")
            return Cause("forwarding-off", end.node, text, fix)
        off = [
            name for name, value in end.evidence.get("forwarding", {}).items() if value == "0" and _carries(end, name)
        ]
        # That of an interface counts for IPv4 alone (ip-sysctl.rst of the kernel).
        if off and path.family == 4:
            return Cause(
                "forwarding-off",
                end.node,
                f"IPv4 forwarding is off on {off[0]} of {end.node}",
                f"sysctl -w net.ipv4.conf.{off[0]}.forwarding=1",
            )
    return None


def _carries(end: End, name: str) -> bool:
    """Whether an interface is on the way of pods' packets."""
    ways = {route.get("dev") for route in end.evidence.get("route_to", {}).values()}
    return name in ways or any(one["interface"] == name for one in end.evidence.get("sightings", ()))


def _kind_of_packet(path: Path, ends: set[str]) -> str:
    """What packets with these two addresses are called; empty for those that are not the path's."""
    if ends == {path.source.pod_address, path.target.pod_address}:
        return "pods' packets"
    if ends == {path.source.address, path.target.address}:
        return WRAPPED
    to_node = {"node", "own"} & set(path.failed) and ends == {path.source.pod_address, path.target.address}
    # A node sends from whichever address it has on the way there.
    sender = ends - {path.target.pod_address}
    from_node = "host" in path.failed and len(sender) == 1 < len(ends) and _holds(path.source, *sender)
    return "packets between pods and nodes" if to_node or from_node else ""


def firewall_drops(path: Path) -> Cause | None:
    """A rule or a policy that the kernel's trace caught dropping these packets, wrapped or not."""
    seen = [(end, one) for end, _other in path.both() for one in end.evidence.get("dropped", ())]
    # What is dropped on the way there explains the pair better than what is on the way back.
    begin = (path.source.pod_address, path.source.address)
    for end, one in sorted(seen, key=lambda pair: pair[1]["source"] not in begin):
        what = _kind_of_packet(path, {one["source"], one["target"]})
        if not what:
            continue
        told = diagnosis_calico.dropped(end, one["chain"]) or _cluster_firewall(path, end, one)
        if told:
            return told
        where = f"chain {one['chain']} of table {one['family']} {one['table']}"
        chain = f"{one['family']} {one['table']} {one['chain']}"
        code = "tunnel-blocked" if what == WRAPPED else "firewall"
        if one["handle"]:
            text = f"the rule '{one['rule']}' in {where} drops {what}"
            return Cause(code, end.node, text, f"nft delete rule {chain} handle {one['handle']}")
        text = f"the policy of {where} drops {what}"
        return Cause(code, end.node, text, f"nft 'add chain {chain} {{ policy accept; }}'")
    return None


def _cluster_firewall(path: Path, end: End, drop: Mapping[str, Any]) -> Cause | None:
    """A packet that the cluster's own firewall drops; None where another one does.

    It is right unless it is out of date, so it is brought up to date and not opened.
    """
    if (drop["family"], drop["table"]) != (FAMILY, TABLE):
        return None
    source = drop["source"]
    if drop["chain"] == MEMBERS_ALONE:
        sender = next((one.node for one in (path.source, path.target) if one.address == source), "")
        who = f"{sender} ({source})" if sender else source
        text = f"the firewall of {end.node} does not know {who} as a member of the cluster, and drops its packets"
        return Cause("not-a-member", end.node, text, _site(end.node))
    if drop["chain"] == OWN_SOURCES:
        route = end.evidence.get("route_to", {}).get(source, {})
        back = f"leads through {route['dev']}" if route.get("dev") else "is missing"
        text = (
            f"the firewall of {end.node} drops packets of pods under {source}: the route of {end.node} back to that "
            f"address {back}, and not to the interface that they come in on"
        )
        return Cause("source-not-own", end.node, text, f"ip route get {source}; {_rebuild(end)}")
    return None


def path_filter_drops(path: Path) -> Cause | None:
    """Strict reverse path filtering, where the way back leads elsewhere. The kernel has it for IPv4 alone."""
    if path.family == 6:
        return None
    for end, other in path.both():
        came = path.seen(end, "in", other if other is path.source else path.target)
        left = path.seen(end, "out", other if other is path.source else path.target)
        inner = {one["interface"] for one in came if not one["wrapping"]}
        if left or not inner:
            continue
        back = end.evidence.get("route_to", {}).get(other.pod_address, {}).get("dev")
        for name in inner:
            if end.evidence.get("rp_filter", {}).get(name) == 1 and back != name:
                return Cause(
                    "rp-filter",
                    end.node,
                    f"packets of {other.node}'s pods come in on {name} of {end.node}, the way back is {back}, and "
                    "strict reverse path filtering drops them",
                    f"sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{name}.rp_filter=2",
                )
    return None


# --- the way between the nodes ---------------------------------------------------------


def underlay_is_broken(path: Path) -> Cause | None:
    # What pods get answered went over it.
    if pods_pass(path) or not diagnosis_underlay.silent(path.source, path.target):
        return None
    return diagnosis_underlay.unreachable(path.source, path.target)


def pods_pass(path: Path) -> bool:
    """Whether something between the two pods was answered."""
    return not set(PROTOCOLS).isdisjoint(path.passed)


def filtered_echo(path: Path) -> tuple[Cause, frozenset[str]] | None:
    """ICMP that is filtered between two nodes, and those of the failed probes that fail for it.

    They are the ones that go as ICMP from node to node, without a tunnel. None where there are none, or where a
    rule of the nodes themselves explains them.
    """
    bare = {"icmp", "mtu", "host"} if _is_lost(dataclasses.replace(path, failed=("icmp",))) else set()
    explained = frozenset(path.failed) & {"node", *bare}
    cause = diagnosis_underlay.icmp_filtered(path.source, path.target, pods_pass(path)) if explained else None
    if not cause:
        return None
    nearer = pod_is_gone(path) or firewall_drops(dataclasses.replace(path, failed=tuple(explained)))
    return (cause, explained) if not nearer or nearer.code == "tunnel-blocked" else None


def _is_lost(path: Path) -> bool:
    """Whether pods' packets leave one node on its own interface, without a tunnel, and never come to the other."""
    for end, other in path.both():
        left, links = path.seen(end, "out", end), end.evidence.get("links", {})
        at_node = any(_has(links.get(one["interface"], {}), end.address) for one in left)
        if at_node and not any(one["wrapping"] for one in left) and not path.seen(other, "in", end):
            return ipaddress.ip_address(end.address).version == path.family
    return False


def lost_on_the_way(path: Path) -> Cause | None:
    """Wrapped packets that left one node and never came to the other; any, where the nodes answer nothing but ARP."""
    nothing_passes = not pods_pass(path) and diagnosis_underlay.only_mac(path.source, path.target)
    if nothing_passes and _is_lost(path):
        return diagnosis_underlay.unreachable(path.source, path.target)
    for end, other in path.both():
        left = [one for one in path.seen(end, "out", end) if one["wrapping"]]
        came = [one for one in path.seen(other, "in", end) if one["wrapping"]]
        if left and not came:
            if nothing_passes:
                return diagnosis_underlay.unreachable(end, other)
            one = left[0]
            name = {"vxlan": f"UDP {one['port']}", "udp": f"UDP {one['port']}", "ipip": "IPIP (IP protocol 4)"}.get(
                one["wrapping"], one["wrapping"].upper()
            )
            return Cause(
                "tunnel-lost",
                end.node,
                f"{name} leaves {end.node} and does not arrive at {other.node}, "
                f"{diagnosis_underlay.though(end, other)}: something between them blocks it",
                f"allow {name} from {end.address} to {other.address} in the firewalls between them",
            )
    return None


def not_taken_out(path: Path) -> Cause | None:
    """Wrapped packets that arrive and are not unwrapped."""
    for end, other in path.both():
        came = [one for one in path.seen(other, "in", end) if one["wrapping"]]
        inner = [one for one in path.seen(other, "in", end) if not one["wrapping"]]
        foreign = [one for one in path.seen(other, "other", end) if not one["wrapping"]]
        if not came or inner:
            continue
        if foreign:
            return Cause(
                "vtep-mac-mismatch",
                end.node,
                f"packets reach {foreign[0]['interface']} of {other.node} under a MAC that is not its own",
                _rebuild(end),
            )
        if other.evidence.get("checksum_errors", {}).get("host"):
            return _checksum(other, "the tunnel's")
        dead = _dead_daemon(other)
        if dead:
            return dead
        if came[0]["wrapping"] == "vxlan" and not any(
            (link["vni"], link["port"]) == (came[0]["vni"], came[0]["port"])
            for link in other.evidence.get("links", {}).values()
        ):
            return Cause(
                "tunnel-missing",
                other.node,
                f"{other.node} has no VXLAN device with VNI {came[0]['vni']} on UDP port {came[0]['port']}",
                _rebuild(other),
            )
        return Cause(
            "tunnel-blocked",
            other.node,
            f"{came[0]['wrapping']} packets arrive at {came[0]['interface']} of {other.node} and are not taken out: a "
            "firewall that cannot be traced drops them",
            "iptables-legacy-save | grep DROP",
        )
    return None


def checksums_are_wrong(path: Path) -> Cause | None:
    for end, _other in path.both():
        if end.evidence.get("checksum_errors", {}).get("pod"):
            return _checksum(end, "the pods'")
    return None


def _checksum(end: End, whose: str) -> Cause:
    devices = [name for name, link in end.evidence.get("links", {}).items() if link["kind"] == "vxlan"]
    device = devices[0] if devices else "eth0"
    return Cause(
        "checksum",
        end.node,
        f"{whose} packets arrive at {end.node} with wrong checksums, which a faulty checksum offload makes",
        f"ethtool -K {device} tx-checksum-ip-generic off    # on every node",
    )


# --- size ------------------------------------------------------------------------------


def packets_are_too_large(path: Path) -> Cause | None:
    """A link on the way that carries less than the pods' interfaces promise."""
    if not set(path.failed) <= {"mtu", "bulk"} or SMALL.isdisjoint(path.passed):
        return None
    for end, other in path.both():
        pod = end.evidence.get("pod")
        if not pod:
            continue
        device = end.evidence.get("route_to", {}).get(other.pod_address, {}).get("dev", "")
        link = end.evidence.get("links", {}).get(device)
        if link and link["mtu"] < pod["mtu"]:
            return Cause(
                "mtu",
                end.node,
                f"{device} of {end.node} carries {link['mtu']} bytes, and pods send {pod['mtu']}: the larger vanish",
                f"ip link set {device} mtu {pod['mtu']}",
            )
        if link and link["kind"] in HEADERS:
            underlay = next(
                ((name, one) for name, one in end.evidence["links"].items() if _has(one, end.address)),
                None,
            )
            needed = link["mtu"] + HEADERS[link["kind"]]
            if underlay and underlay[1]["mtu"] < needed:
                return Cause(
                    "mtu",
                    end.node,
                    f"{underlay[0]} of {end.node} carries {underlay[1]['mtu']} bytes, and {device} needs {needed} with "
                    "its header",
                    f"ip link set {underlay[0]} mtu {needed}",
                )
    if path.mtu is None:
        return None
    over_tcp = [end.evidence.get("tcp_packets", {}).get(other.pod_address, 0) for end, other in path.both()]
    if min(over_tcp) > path.mtu:
        return diagnosis_underlay.large_icmp_filtered(path.source, path.target, path.mtu, min(over_tcp))
    # An answer that is too large is lost like a request: one cause for both directions.
    first, second = sorted((path.source.node, path.target.node))
    return Cause(
        "mtu",
        first,
        f"something between {first} and {second} carries pods' packets of {path.mtu} bytes at most",
        f"set the backend's MTU to {path.mtu} (flannel_mtu: {path.mtu}), or mend the link between the machines",
    )


# --- last resorts ----------------------------------------------------------------------


def daemon_is_down(path: Path) -> Cause | None:
    for end, _other in path.both():
        dead = _dead_daemon(end)
        if dead:
            return dead
    return None


def last_seen(path: Path) -> Cause | None:
    """Where the packets were last seen, where nothing explains it."""
    for on, start, where in (
        (path.source, path.source, "never left its pod's interface"),
        (path.target, path.source, "never came to"),
    ):
        if not path.seen(on, "in", start) and not path.seen(on, "out", start):
            return Cause(
                UNEXPLAINED,
                on.node,
                f"packets from {path.source.pod} {where if on is path.source else f'{where} {on.node}'}",
                f"tcpdump -ni any host {path.source.pod_address} and host {path.target.pod_address}",
            )
    return None


RULES: tuple[Rule, ...] = (
    pod_is_gone,
    underlay_is_broken,
    routes_are_wrong,
    forwarding_is_off,
    firewall_drops,
    path_filter_drops,
    packets_are_too_large,
    lost_on_the_way,
    checksums_are_wrong,
    not_taken_out,
    daemon_is_down,
    last_seen,
)
