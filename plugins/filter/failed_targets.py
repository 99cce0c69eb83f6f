# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: failed_targets
short_description: Which nodes have to say something about the pairs that failed
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - From the results of M(binary_cluster.networking.pod_probe) on all nodes, the nodes of the pairs that failed, each
    with the addresses of pods its own probe pod did not reach. Of several pods on a node the first stands for all.
positional: ready
options:
  _input:
    description: Results of O(binary_cluster.networking.pod_probe#module:state=probed), by node.
    type: dict
    required: true
  ready:
    description: Results of O(binary_cluster.networking.pod_probe#module:state=ready), by node.
    type: dict
    required: true
"""

EXAMPLES = r"""
---
- name: The nodes to ask are known
  ansible.builtin.debug:
    msg: "{{ probed | binary_cluster.networking.failed_targets(ready) }}"
"""

RETURN = r"""
_value:
  description: Pods (name, address, port) by node; a node that is only the target of a failed pair has none.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils import _spec


def failed_targets(
    probed: Mapping[str, Mapping[str, Any]], ready: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Nodes of failed pairs, each with the addresses of pods that its own did not reach."""
    pods = {found["pods"][0]["name"]: (node, found["pods"][0]) for node, found in ready.items() if "pods" in found}
    asked: dict[str, dict[str, dict[str, Any]]] = {}  # by node and address
    for source, found in probed.items():
        for outcome in found.get("outcomes", ()):
            first = outcome["source"] in ("", *pods)
            if outcome["ok"] or outcome["target"] not in pods or not first:
                continue
            node, pod = pods[outcome["target"]]
            if node == source:  # what fails inside of a node, nobody else has seen
                continue
            asked.setdefault(node, {})
            for address in (one["address"] for one in pod["ips"]):
                if _spec.version(address) == outcome["family"]:
                    target = {"name": pod["name"], "address": address, "port": pod["port"]}
                    asked.setdefault(source, {})[address] = target
    return {node: list(targets.values()) for node, targets in asked.items()}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"failed_targets": failed_targets}
