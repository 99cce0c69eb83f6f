# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The table of nftables that keeps others out of what the nodes of a cluster use between themselves.

A tunnel of the kernel takes packets out for anybody who sends one to its port, and etcd talks to everybody who
has a certificate. The table has three parts:

- What arrives for the host itself at a closed port is accepted from members alone. Tunnels take their packets out
  after this hook, so nothing of a stranger's packet gets further.
- What a pod sends to a closed port of a member is dropped where it is forwarded, before masquerading would give it
  a member's address.
- What a pod sends under an address that the host would not send back to it by the same interface is dropped.

All policies are accept: what the table is not about, it does not touch.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import masquerade

FAMILY, TABLE = "inet", "binary_cluster"
# Chains that drop what comes from others than members, and what pods send under other addresses than their own.
MEMBERS_ALONE, OWN_SOURCES = "closed", "sources"
# Before connection tracking, which has nothing to remember of what is dropped.
RAW = -300
# Before `filter`, so that nobody counts or logs what is dropped.
FILTER = -10
# By IP version, the words of nftables.
FAMILIES = {4: ("ip", "ipv4_addr"), 6: ("ip6", "ipv6_addr")}
PROTOCOLS = ("tcp", "udp")
INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,14}\*?")
MEMBERS = re.compile(r"(?P<head>\tset members(?P<version>[46]) \{\n\t\ttype \w+\n)(?P<elements>(?:\t\telements .*\n)?)")


@dataclass(frozen=True)
class Closed:
    """Ports of ``tcp`` or ``udp``, or an IP protocol by its number, which has none."""

    protocol: str
    ports: tuple[int, ...] = ()

    def match(self) -> str:
        """What matches a packet to them."""
        if self.protocol in PROTOCOLS:
            return f"{self.protocol} dport {{ {', '.join(map(str, self.ports))} }}"
        return f"meta l4proto {self.protocol}"


@dataclass(frozen=True)
class Allowed:
    """A network that may reach closed ports without being a member."""

    source: str
    closed: Closed

    def match(self) -> str:
        """What matches a packet from there."""
        return f"{FAMILIES[validation.version(self.source)][0]} saddr {self.source} {self.closed.match()}"


@dataclass(frozen=True)
class Table:
    """All of the table. ``between`` is what any member uses, ``closed`` what this host does.

    ``interfaces`` are those on which pods' packets come in, where a final ``*`` stands for any ending, and
    ``networks`` those that the pods' addresses are in.
    """

    members: tuple[str, ...]
    closed: tuple[Closed, ...]
    between: tuple[Closed, ...]
    allowed: tuple[Allowed, ...] = ()
    interfaces: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()

    def script(self) -> str:
        """The table as nft takes it, in place of the one that is there, in one transaction."""
        # Declared first, so that there is one to delete.
        lines = ["# Ansible managed", f"table {FAMILY} {TABLE}", f"delete table {FAMILY} {TABLE}"]
        lines.append(f"table {FAMILY} {TABLE} {{")
        for version in FAMILIES:
            lines += self._set(f"members{version}", version, _of(version, self.members), "")
        for version in FAMILIES:
            lines += self._set(f"pods{version}", version, _of(version, self.networks), "\t\tflags interval\n")
        lines += [*self._pods(), *self._input(), *self._forward(), "}"]
        return "\n".join(lines) + "\n"

    @staticmethod
    def _set(name: str, version: int, elements: Sequence[str], flags: str) -> list[str]:
        lines = [f"\tset {name} {{", f"\t\ttype {FAMILIES[version][1]}"]
        lines += flags.splitlines()
        if elements:
            lines.append(_elements(elements))
        return [*lines, "\t}"]

    def _pods(self) -> list[str]:
        """Pods' packets keep to their own addresses."""
        if not self.interfaces:
            return []
        lines = _chain("from_pods", "prerouting", RAW)
        lines += [f'\t\tiifname "{name}" jump {OWN_SOURCES}' for name in self.interfaces]
        # Neighbours are found by addresses of the link.
        own = ["\t\tip6 saddr { ::, fe80::/10 } return", "\t\tfib saddr . iif oif missing counter drop"]
        return [f"\tchain {OWN_SOURCES} {{", *own, "\t}", *lines, "\t}"]

    def _input(self) -> list[str]:
        """Members alone reach this host's closed ports."""
        if not self.closed:
            return []
        chain = [
            f"\tchain {MEMBERS_ALONE} {{",
            *(f"\t\t{w} saddr @members{v} accept" for v, (w, _kind) in FAMILIES.items()),
        ]
        chain += ["\t\tct state established,related accept"]
        chain += [f"\t\t{one.match()} accept" for one in self.allowed]
        lines = [*_chain("to_host", "input", FILTER), '\t\tiif "lo" accept']
        lines += [f"\t\t{one.match()} jump {MEMBERS_ALONE}" for one in self.closed]
        return [*chain, "\t\tcounter drop", "\t}", *lines, "\t}"]

    def _forward(self) -> list[str]:
        """Pods reach no member's closed ports."""
        if not self.between or not self.networks:
            return []
        chain = ["\tchain members {", *(f"\t\t{one.match()} counter drop" for one in self.between), "\t}"]
        lines = _chain("through_host", "forward", FILTER)
        for version, (word, _kind) in FAMILIES.items():
            lines.append(f"\t\t{word} daddr @members{version} {word} saddr @pods{version} jump members")
        return [*chain, *lines, "\t}"]


def table(
    members: Iterable[str],
    closed: Iterable[Mapping[str, Any]],
    between: Iterable[Mapping[str, Any]],
    allowed: Iterable[Mapping[str, Any]],
    interfaces: Iterable[str],
    networks: Iterable[str],
    faults: validation.Faults,
) -> Table:
    """The wanted table from a module's options; what is wrong with them goes to ``faults``."""
    listed, permitted, inside = list(members), list(allowed), list(networks)
    names = list(interfaces)
    kept_members, kept_networks, kept_allowed = [], [], []
    for number, member in enumerate(listed):
        with faults.noted():
            kept_members.append(validation.address(f"members[{number}]", member))
    for number, network in enumerate(inside):
        with faults.noted():
            kept_networks.append(validation.network(f"pod_networks[{number}]", network))
    for number, entry in enumerate(permitted):
        where = f"allowed[{number}]"
        with faults.noted():
            source = validation.network(f"{where}.source", entry["source"])
            kept_allowed += [Allowed(source, one) for one in _closed([entry], where, faults)]
    for number, name in enumerate(names):
        if not INTERFACE.fullmatch(name):
            faults.add(f"pod_interfaces[{number}]", f"{name}: not the name of an interface, or the beginning and a *")
    return Table(
        _sorted(kept_members),
        tuple(_closed(closed, "closed", faults)),
        tuple(_closed(between, "between", faults)),
        tuple(kept_allowed),
        tuple(names),
        masquerade.merged(kept_networks),
    )


def members_of(script: str) -> tuple[str, ...]:
    """The members in a script of this module's."""
    found = "".join(match["elements"] for match in MEMBERS.finditer(script))
    return _sorted(re.findall(r"[0-9a-f.:]{2,}", found.replace("elements", "")))


def with_members(script: str, members: Iterable[str]) -> str:
    """The script with further members."""
    every = _sorted([*members_of(script), *members])

    def replaced(match: re.Match[str]) -> str:
        own = _of(int(match["version"]), every)
        return match["head"] + (_elements(own) + "\n" if own else "")

    return MEMBERS.sub(replaced, script)


def _closed(entries: Iterable[Mapping[str, Any]], where: str, faults: validation.Faults) -> list[Closed]:
    """Ports by protocol, each protocol once and in order."""
    ports: dict[str, set[int]] = {}
    for entry in entries:
        protocol, wanted = str(entry["protocol"]), [int(port) for port in entry.get("ports") or ()]
        if protocol not in PROTOCOLS and not (protocol.isdigit() and 0 < int(protocol) < 256):
            faults.add(where, f"protocol {protocol}: tcp, udp, or the number of an IP protocol")
        elif (protocol in PROTOCOLS) != bool(wanted):
            faults.add(where, f"protocol {protocol}: tcp and udp need ports, and others have none")
        elif any(not 0 < port < 65536 for port in wanted):
            faults.add(where, f"ports {wanted}: each is 1 to 65535")
        else:
            ports.setdefault(protocol, set()).update(wanted)
    return [Closed(protocol, tuple(sorted(found))) for protocol, found in sorted(ports.items())]


def _chain(name: str, hook: str, priority: int) -> list[str]:
    return [f"\tchain {name} {{", f"\t\ttype filter hook {hook} priority {priority}; policy accept;"]


def _elements(elements: Iterable[str]) -> str:
    return f"\t\telements = {{ {', '.join(elements)} }}"


def _of(version: int, texts: Iterable[str]) -> list[str]:
    return [text for text in texts if validation.version(text) == version]


def _sorted(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(addresses), key=lambda one: (validation.version(one), ipaddress.ip_address(one))))
