# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: probe_targets
short_description: All pods that can be probed, with the addresses of their nodes
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - What M(binary_cluster.networking.pod_probe) takes as O(binary_cluster.networking.pod_probe#module:targets), each
    address of a pod by itself.
positional: addresses
options:
  _input:
    description: Results of O(binary_cluster.networking.pod_probe#module:state=ready), by node.
    type: dict
    required: true
  addresses:
    description: Addresses of the nodes, by name.
    type: dict
    required: true
"""

EXAMPLES = r"""
---
- name: Show the pods to probe
  ansible.builtin.debug:
    msg: "{{ ready | binary_cluster.networking.probe_targets({'node1': '192.0.2.21', 'node2': '192.0.2.22'}) }}"
"""

RETURN = r"""
_value:
  description: Name, address and port of each pod, and the address of its node if it is of the same IP version.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation


def probe_targets(ready: Mapping[str, Mapping[str, Any]], addresses: Mapping[str, str]) -> list[dict[str, Any]]:
    """The pods of all nodes that have any."""
    return [
        {
            "name": pod["name"],
            "address": one["address"],
            "port": pod["port"],
            "node": addresses[node]
            if validation.version(addresses[node]) == validation.version(one["address"])
            else "",
        }
        for node, found in ready.items()
        for pod in found.get("pods", ())
        for one in pod["ips"]
    ]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"probe_targets": probe_targets}
