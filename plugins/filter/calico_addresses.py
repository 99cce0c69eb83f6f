# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: calico_addresses
short_description: Nodes with the address and the interface that Calico uses
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - The address is what a node's C(calico_address) selects, or the one at which the other hosts reach it.
  - Interfaces come from the facts of M(binary_cluster.networking.host_facts). It is an error where no interface, or
    more than one, is selected, or the host does not have the address.
positional: hostvars
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
"""

EXAMPLES = r"""
---
- name: Show the addresses
  ansible.builtin.debug:
    msg: "{{ groups['nodes'] | binary_cluster.networking.calico_addresses(hostvars) }}"
"""

RETURN = r"""
_value:
  description: >-
    By name, the C(address). Where there are facts of the node, also the C(interface) with its C(mtu), the
    address with the length of its prefix as C(cidr), and its C(network).
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.binary_cluster.networking.plugins.filter.node_addresses import node_address
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import calico_address
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import facts as run_facts


def calico_addresses(names: Sequence[str], hostvars: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each node uses, by name."""
    found = {}
    for name in names:
        variables = hostvars[name]
        facts = run_facts.collected(variables)
        selection = str(variables.get("calico_address") or "")
        try:
            found[name] = calico_address.select(selection, facts, partial(node_address, name, variables))
        except ValueError as error:
            raise AnsibleFilterError(f"calico_address: {selection}: {error} [{name}]") from error
    return found


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"calico_addresses": calico_addresses}
