# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Which of a host's addresses Calico uses.

The words are those of Calico's IP_AUTODETECTION_METHOD, but nothing is guessed: what selects none or two is
an error, and the address is one that the host has.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.links import is_own


def select(selection: str, facts: Mapping[str, Any], usual: Callable[[], str]) -> dict[str, Any]:
    """``{"address", "interface", "mtu", "cidr", "network"}`` of a host; the address alone where there are no facts.

    ``selection`` is empty, an address, ``interface=EXPRESSION`` or ``can-reach=ADDRESS``; ``usual`` gives the
    address at which other hosts reach this one. Raises ValueError with what would be right.
    """
    kind, equals, wanted = selection.partition("=")
    if not equals:
        address = selection or usual()
        try:
            ipaddress.IPv4Address(address)
        except ValueError:
            raise ValueError("give an IPv4 address, interface=EXPRESSION or can-reach=ADDRESS") from None
        return _on_host(address, facts) if facts else {"address": address}
    if not facts:
        raise ValueError(
            "the host is not in this run, and its interfaces are not known; run it for all nodes, or give an address"
        )
    if kind == "interface":
        return _on_host(_of_interface(wanted, facts), facts)
    if kind == "can-reach":
        source = facts.get("sources", {}).get(wanted)
        if not source:
            raise ValueError(f"the host has no route to {wanted}")
        return _on_host(source, facts)
    raise ValueError(f"{kind} is no way to select; give an IPv4 address, interface=EXPRESSION or can-reach=ADDRESS")


def _of_interface(expression: str, facts: Mapping[str, Any]) -> str:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    names = [name for name in facts["interfaces"] if pattern.fullmatch(name)]
    if len(names) != 1:
        there = ", ".join(name for name in facts["interfaces"] if not is_own(name))
        raise ValueError(f"matches {' and '.join(names) or 'no interface'}; it must match one of {there}")
    held = [ipaddress.ip_interface(address) for address in facts["interfaces"][names[0]]["addresses"]]
    addresses = [str(one.ip) for one in held if one.version == 4]
    if len(addresses) != 1:
        raise ValueError(f"{names[0]} has {' and '.join(addresses) or 'no IPv4 address'}; give the address")
    return addresses[0]


def _on_host(address: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    for name, link in facts["interfaces"].items():
        for held in link["addresses"]:
            if held.split("/")[0] == address:
                network = str(ipaddress.ip_interface(held).network)
                return {"address": address, "interface": name, "mtu": link["mtu"], "cidr": held, "network": network}
    raise ValueError("on none of the host's interfaces")
