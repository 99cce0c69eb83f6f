# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pod_cidrs
short_description: Nodes with their addresses and the networks of their pods
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - A node keeps the network it has, whatever the order of the inventory and whoever joins or leaves. A new one takes
    the lowest that is free.
  - What nodes have comes from the facts of M(binary_cluster.networking.host_facts). A node that is not in the run
    keeps what another one knows of it; it is an error where none does.
positional: hostvars, network, length, network_v6
options:
  _input:
    description: Names of the nodes.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  network:
    description: Network of all pods.
    type: str
    required: true
  length:
    description: Prefix length of a node's part.
    type: int
    required: true
  network_v6:
    description:
      - IPv6 network of the pods, of which each node has the /64 that has the number of its part of O(network). Empty
        where pods have none.
    type: str
    default: ""
"""

EXAMPLES = r"""
---
- name: Show the networks of the nodes' pods
  ansible.builtin.debug:
    msg: "{{ groups['nodes'] | binary_cluster.networking.pod_cidrs(hostvars, '10.244.0.0/16', 24) }}"
"""

RETURN = r"""
_value:
  description: Nodes in the order of the names, each with C(name), C(address), C(pod_cidr) and C(pod_cidr_v6).
  type: list
  elements: dict
"""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.binary_cluster.networking.plugins.filter.node_addresses import node_addresses
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import pod_cidrs as backends_pod_cidrs
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import facts as run_facts


def pod_cidrs(
    names: Sequence[str], hostvars: Mapping[str, Any], network: str, length: int, network_v6: str = ""
) -> list[dict[str, str]]:
    """Nodes with their addresses and the networks of their pods. Raises AnsibleFilterError."""
    facts = {name: run_facts.collected(hostvars[name]) for name in names}
    addresses = node_addresses(names, hostvars)
    try:
        whole = ipaddress.IPv4Network(network)
        found = backends_pod_cidrs.pod_cidrs(names, facts, whole, int(length))
        whole_v6 = ipaddress.IPv6Network(network_v6) if network_v6 else None
        found_v6 = {
            name: backends_pod_cidrs.derived_v6(part, whole, whole_v6) if whole_v6 else ""
            for name, part in found.items()
        }
    except (ValueError, backends_pod_cidrs.PodCidrError) as error:
        raise AnsibleFilterError(f"pod CIDRs: {error}") from error
    return [
        {"name": name, "address": addresses[name], "pod_cidr": found[name], "pod_cidr_v6": found_v6[name]}
        for name in names
    ]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"pod_cidrs": pod_cidrs}
