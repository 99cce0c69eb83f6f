# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: node_addresses
short_description: Addresses of hosts on the underlay, by name
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - The address at which the other hosts reach a host is C(cluster_node_address) where that is set,
    else C(ansible_host) or the name itself where they are addresses.
positional: hostvars
options:
  _input:
    description: Names of hosts, such as a group.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  strict:
    description: Whether a host without an address is an error. Otherwise it is left out.
    type: bool
    default: true
"""

EXAMPLES = r"""
---
- name: Show the addresses of the members of etcd
  ansible.builtin.debug:
    msg: "{{ groups['etcd'] | binary_cluster.networking.node_addresses(hostvars) }}"
"""

RETURN = r"""
_value:
  description: Address by name, in the order of the names.
  type: dict
"""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError


def node_address(name: str, variables: Mapping[str, Any]) -> str:
    """Address of one host on the underlay. Raises AnsibleFilterError where none can be told."""
    told = variables.get("cluster_node_address")
    for value in (told,) if told else (variables.get("ansible_host"), name):
        try:
            return str(ipaddress.ip_address(str(value)))
        except ValueError:
            continue
    if told:
        raise AnsibleFilterError(f"cluster_node_address: {told}: not an address; {name} is not reached at it")
    raise AnsibleFilterError(
        f"cluster_node_address: not set for {name}, and neither ansible_host nor its name is an address: "
        "set it to the address at which the other hosts reach it"
    )


def node_addresses(names: Sequence[str], hostvars: Mapping[str, Any], strict: bool = True) -> dict[str, str]:
    """Addresses of hosts on the underlay, by name."""
    found = {}
    for name in names:
        try:
            found[name] = node_address(name, hostvars[name])
        except AnsibleFilterError:
            if strict:
                raise
    return found


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"node_addresses": node_addresses}
