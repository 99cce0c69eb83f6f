# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Links of the host and whose they are: the install record is asked before one is removed.

A link is recorded before it is made, or before somebody makes it for us, as the CNI plugin does with the pods'
bridge. What stood there then decides at the end: a link that was not there is removed, one that was is left, and only
the addresses that it was given go.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import install_record
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

# Kinds of the record's entries: a link by its name, and ``<link> <address>`` for an address that pods' bridges got.
KIND = "links"
ADDRESSES = "addresses"

# What version 0.1.0 made and did not note, by the owner of the record that it left.
UNNOTED = {
    "flannel-node": re.compile(r"cni0|flannel[.-].*"),
    "host_routes": re.compile(r"cni0"),
    "vxlan_mesh": re.compile(r"cni0|vxlan-mesh"),
}

Links = Iterable[Mapping[str, Any]]


class LinkError(TaskError):
    """A link is somebody else's; the message says which, and what to do."""


def held(link: Mapping[str, Any]) -> list[str]:
    """Addresses of a link with their prefix length, without those that are good on it alone."""
    return [
        f"{one['local']}/{one['prefixlen']}"
        for one in link.get("addr_info", ())
        if "local" in one and one.get("scope") != "link"
    ]


def kind(link: Mapping[str, Any]) -> str:
    """Kind of a link, such as ``bridge``; empty for hardware."""
    return str(link.get("linkinfo", {}).get("info_kind", ""))


def made(ledger: Ledger, name: str) -> bool:
    """Whether the record's owner made a link: it is recorded, and was not there before."""
    return ledger.owns(KIND, name) and not ledger.before(KIND, name)


def record(ledger: Ledger, links: Links, name: str) -> None:
    """Note a link before it is made or used; of one that is there already, its addresses."""
    there = _find(links, name)
    ledger.record(KIND, name, {} if there is None else {"kind": kind(there) or "hardware", "addresses": held(there)})


def adopt(ledger: Ledger, names: Iterable[str]) -> None:
    """Take links that version 0.1.0 made for what they are, which is ours: its record has no entry of any link.

    The entries are written with the next change of the record.
    """
    if ledger.entries and KIND not in ledger.entries:
        own = UNNOTED.get(ledger.owner)
        adopted: dict[str, Any] = {name: {} for name in names if own and own.fullmatch(name)}
        if adopted:
            ledger.entries[KIND] = adopted


def refuse_foreign(ledger: Ledger, links: Links, name: str) -> None:
    """Raise LinkError where a link of this name is there, and the record does not have it."""
    if _find(links, name) is not None and not ledger.owns(KIND, name) and not elsewhere(ledger, name):
        raise LinkError(foreign_link(name))


def elsewhere(ledger: Ledger, name: str) -> bool:
    """Whether another network of this collection recorded a link: it goes with that one, before this one comes."""
    return str(recorded(ledger.directory, [name]).get(name, {}).get("owner", ledger.owner)) != ledger.owner


def recorded(directory: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Links by name, with the ``owner`` that recorded each and the ``own_addresses`` it was given.

    ``names`` are links that may be there without an entry, as version 0.1.0 left them. What damaged records hold is
    not known.
    """
    found: dict[str, dict[str, Any]] = {}
    for owner, ledger in install_record.all_of(directory):
        if not isinstance(ledger, Ledger):
            continue
        adopt(ledger, names)
        for name in ledger.names(KIND):
            own = [entry.partition(" ")[2] for entry in ledger.names(ADDRESSES) if entry.partition(" ")[0] == name]
            found[name] = {"owner": owner, "own_addresses": own}
    return found


def removal(ledger: Ledger, links: Links, keep: Sequence[str] = ()) -> list[str]:
    """Lines for `ip` that remove what the record shows as ours, but for the links to keep.

    A link that was there before keeps all but the addresses that were recorded.
    """
    there = {str(link["ifname"]): link for link in links}
    lines = []
    for name in ledger.names(KIND):
        if name in there and name not in keep:
            if made(ledger, name):
                lines.append(f"link delete dev {name}")
            else:
                lines += _address_lines(ledger, there[name], ())
    return lines


def removal_by_name(ledger: Ledger, links: Links, names: re.Pattern[str]) -> list[str]:
    """Lines that remove links which daemons and plugins made under names of their own; none without a record."""
    found = [str(link["ifname"]) for link in links if names.fullmatch(str(link["ifname"]))]
    return [f"link delete dev {name}" for name in found if ledger.entries]


def forget(ledger: Ledger, keep: Sequence[str] = (), addresses: Sequence[str] = ()) -> None:
    """Drop the record's entries of links, but for the links to keep, and of their addresses, but for these."""
    for name in ledger.names(ADDRESSES):
        link, _blank, address = name.partition(" ")
        if link not in keep or address not in addresses:
            ledger.forget(ADDRESSES, name)
    for name in ledger.names(KIND):
        if name not in keep:
            ledger.forget(KIND, name)


# --- the pods' bridge, which the CNI plugin makes with the first pod -------------------------------------------------


def judge_bridge(ledger: Ledger, links: Links, name: str, wanted: Sequence[str]) -> None:
    """Raise LinkError where the pods' bridge would be somebody else's link.

    ``wanted`` are the addresses it is to have, as far as they are known. A bridge without an address of IPv4, or with
    the wanted one, is taken as it is.
    """
    there = _find(links, name)
    if there is None or ledger.owns(KIND, name) or elsewhere(ledger, name):
        return
    if kind(there) != "bridge":
        raise LinkError(f"bridge: {name}: {OTHER_KIND}")
    foreign = [address for address in held(there) if ":" not in address and address not in wanted]
    if foreign:
        raise LinkError(f"bridge: {name}: {foreign_bridge(name, foreign)}")


OTHER_KIND = "a link of another kind has this name; choose another name for the pods' bridge"


def foreign_bridge(name: str, addresses: Iterable[str]) -> str:
    """What is wrong with a bridge that is somebody else's, and what to do."""
    return (
        f"a bridge that this collection did not make is there with {', '.join(addresses)}. Choose another name for the "
        "pods' bridge; or, once what uses it is stopped, have it used for the pods with "
        f"`ip address flush dev {name}`, or remove it with `ip link delete {name}`"
    )


def foreign_link(name: str) -> str:
    """What is wrong with a tunnel that is somebody else's, and what to do."""
    return (
        f"the link {name} is there, and this collection did not make it. Stop what made it, and remove it with "
        f"`ip link delete {name}`"
    )


def bridge_lines(ledger: Ledger, links: Links, name: str, wanted: Sequence[str], networks: Sequence[str]) -> list[str]:
    """Lines that take away what an earlier configuration left on the pods' bridge, or the bridge itself.

    ``wanted`` are the addresses it is to have, that of IPv4 first, and ``networks`` those of the pods. Raises LinkError
    where it has an address in these that is neither wanted nor recorded: its route competes with that to a node.
    """
    there = _find(links, name)
    if there is None or elsewhere(ledger, name):
        return []
    addresses = held(there)
    for address in competing(there, wanted, networks):
        if not ledger.owns(ADDRESSES, f"{name} {address}"):
            raise LinkError(f"bridge: {name}: {second_address(name, address, wanted[0])}")
    outdated = any(":" not in address for address in addresses) and wanted[0] not in addresses
    if outdated and made(ledger, name):
        return [f"link delete dev {name}"]
    return _address_lines(ledger, there, wanted)


def second_address(name: str, address: str, wanted: str) -> str:
    """What is wrong with a bridge that has an address besides its own, and what to do."""
    return (
        f"it has the address {address} besides {wanted}, and this collection did not give it. Packets for "
        f"{ipaddress.ip_interface(address).network} may end at this node; remove it with "
        f"`ip address delete {address} dev {name}`"
    )


def record_bridge(ledger: Ledger, links: Links, name: str, wanted: Sequence[str]) -> None:
    """Note the pods' bridge and the addresses that the CNI plugin gives it."""
    record(ledger, links, name)
    for address in wanted:
        ledger.record(ADDRESSES, f"{name} {address}", {})


def competing(link: Mapping[str, Any], wanted: Sequence[str], networks: Sequence[str]) -> list[str]:
    """Addresses of a bridge besides the wanted ones that bring a route into networks which is not the node's own."""
    own = [ipaddress.ip_interface(one).network for one in wanted]
    pods = [ipaddress.ip_network(network) for network in networks]
    found = []
    for address in held(link):
        network = ipaddress.ip_interface(address).network
        # Only networks of one IP version can be compared.
        near = any(network.version == one.version and network.overlaps(one) for one in pods)
        if address not in wanted and network not in own and near:
            found.append(address)
    return found


def _address_lines(ledger: Ledger, link: Mapping[str, Any], wanted: Sequence[str]) -> list[str]:
    name = str(link["ifname"])
    recorded = [address for address in held(link) if ledger.owns(ADDRESSES, f"{name} {address}")]
    return [f"address delete {address} dev {name}" for address in recorded if address not in wanted]


def _find(links: Links, name: str) -> Mapping[str, Any] | None:
    return next((link for link in links if link["ifname"] == name), None)
