# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: peer_links
short_description: MAC addresses of the other hosts on the link of a host
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - The MAC of each other host, from the facts that M(binary_cluster.networking.host_facts) found there. It is empty
    where the host is not in the run, and where it is not in the network of the host's own address, because a router
    sends its packets then.
positional: own, hostvars
options:
  _input:
    description: Addresses by name of the host.
    type: dict
    required: true
  own:
    description: Address of the host itself.
    type: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
"""

EXAMPLES = r"""
---
- name: Show the MAC of each other balancer
  ansible.builtin.debug:
    msg: "{{ api_load_balancer_members | binary_cluster.networking.peer_links('192.0.2.11', hostvars) }}"
"""

RETURN = r"""
_value:
  description: The other hosts, each with C(address) and C(mac), in the order of their names.
  type: list
  elements: dict
  sample: [{"address": "192.0.2.12", "mac": "02:42:c0:00:02:0c"}]
"""

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import facts as run_facts


def held(
    variables: Mapping[str, Any], address: str
) -> tuple[str, ipaddress.IPv4Network | ipaddress.IPv6Network] | None:
    """MAC of the interface that has an address, and the address's network; None where that is not known."""
    facts = run_facts.collected(variables)
    for link in (facts.get("interfaces") or {}).values():
        for text in link["addresses"]:
            interface = ipaddress.ip_interface(text)
            if str(interface.ip) == address:
                return link["mac"], interface.network
    return None


def peer_links(members: Mapping[str, str], own: str, hostvars: Mapping[str, Any]) -> list[dict[str, str]]:
    """The other members, each with its MAC where this host sees it on its link."""
    here = next((held(hostvars[name], own) for name, address in members.items() if address == own), None)
    found = []
    for name, address in members.items():
        if address == own:
            continue
        there = held(hostvars[name], address) if name in hostvars else None
        near = here and there and ipaddress.ip_address(address) in here[1]
        found.append({"address": address, "mac": there[0] if near and there else ""})
    return found


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"peer_links": peer_links}
