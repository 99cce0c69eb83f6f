# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: member_addresses
short_description: Source addresses of the cluster's hosts on the underlay
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - The address at which the other hosts reach each host, and the other IPv4 addresses of its interfaces where
    M(binary_cluster.networking.host_facts) has told them, for a host with several networks also sends from those.
  - Left out are addresses of loopback, of the link, of networks that are given, those that stand for themselves
    alone (C(/32)), such as one that moves between hosts, and those that more than one host has.
positional: hostvars
options:
  _input:
    description: Names of hosts, such as those of a group.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  without:
    description: Networks whose addresses are left out, such as those of pods and services.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
---
- name: Show who is a member
  ansible.builtin.debug:
    msg: "{{ groups['nodes'] | binary_cluster.networking.member_addresses(hostvars, [cluster_pod_cidr]) }}"
"""

RETURN = r"""
_value:
  description: Addresses, each once, in order.
  type: list
  elements: str
"""

import ipaddress
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.filter.node_addresses import node_addresses
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import facts as run_facts


def member_addresses(names: Sequence[str], hostvars: Mapping[str, Any], without: Sequence[str] = ()) -> list[str]:
    """Addresses that the hosts of the cluster send from."""
    hosts = list(dict.fromkeys(names))
    networks = [ipaddress.ip_network(network, strict=False) for network in without]
    held = Counter(address for name in hosts for address in _others(hostvars[name], networks))
    told = [ipaddress.ip_address(address) for address in node_addresses(hosts, hostvars, strict=False).values()]
    alone = [address for address, count in held.items() if count == 1]
    return [str(one) for one in sorted({*told, *alone}, key=lambda one: (one.version, one))]


def _others(variables: Mapping[str, Any], networks: Sequence[Any]) -> set[ipaddress.IPv4Address]:
    """IPv4 addresses of a host's interfaces, as far as its facts are known, without those that are no underlay's."""
    links = run_facts.collected(variables).get("interfaces", {})
    found = (ipaddress.ip_interface(address) for link in links.values() for address in link["addresses"])
    return {
        one.ip
        for one in found
        if isinstance(one, ipaddress.IPv4Interface)
        and one.network.prefixlen < one.max_prefixlen
        and not (one.is_loopback or one.is_link_local)
        and not any(one.ip in network for network in networks if network.version == 4)
    }


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"member_addresses": member_addresses}
