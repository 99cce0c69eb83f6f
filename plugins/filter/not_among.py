# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: not_among
short_description: Why a role cannot work on a host that is not among those it knows
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Roles take the hosts of a cluster from a variable, whose default is a group of the inventory. A play for other hosts
    is refused with a sentence that says which variable to set.
positional: host, variable, group, groups
options:
  _input:
    description: Names of hosts, as a list or as the keys of a dictionary.
    type: raw
    required: true
  host:
    description: Name of the host that must be among them.
    type: str
    required: true
  variable:
    description: Name of the variable that the names come from.
    type: str
    required: true
  group:
    description: Group that the default of the variable takes.
    type: str
    required: true
  groups:
    description: Groups of the host, the variable C(group_names).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
---
- name: Refuse a host that is not a node
  ansible.builtin.assert:
    that: not missing
    fail_msg: "{{ missing | first }}"
  vars:
    nodes: "{{ groups['nodes'] | default([]) }}"
    missing: >-
      {{ nodes | binary_cluster.networking.not_among(inventory_hostname, 'flannel_nodes', 'nodes', group_names) }}
"""

RETURN = r"""
_value:
  description: A sentence, or nothing where the host is among them.
  type: list
  elements: str
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any


def not_among(names: Collection[str], host: str, variable: str, group: str, groups: Sequence[str]) -> list[str]:
    """A sentence where ``host`` is not among ``names``, which come from ``variable``, or by default from ``group``."""
    if host in names:
        return []
    own = next(iter(groups), "ungrouped")
    return [
        f"{variable}: {host} is not in it. Put all its hosts into the group {group}, or set {variable} for all of "
        f"them, as from groups['{own}']."
    ]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"not_among": not_among}
