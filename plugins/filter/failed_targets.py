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
    with the pods that its own did not reach, or whose nodes it did not, its own pod and itself among them. Of several
    pods on a node the first stands for all.
positional: ready, addresses
options:
  _input:
    description: Results of O(binary_cluster.networking.pod_probe#module:state=probed), by node.
    type: dict
    required: true
  ready:
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
- name: Show the nodes to ask
  ansible.builtin.debug:
    msg: "{{ probed | binary_cluster.networking.failed_targets(ready, addresses) }}"
"""

RETURN = r"""
_value:
  description:
    - Pods by node, as P(binary_cluster.networking.probe_targets#filter) tells them; none of a node that is only the
      target of failed pairs.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.filter.probe_targets import probe_targets
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation


def failed_targets(
    probed: Mapping[str, Mapping[str, Any]], ready: Mapping[str, Mapping[str, Any]], addresses: Mapping[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """Nodes of failed pairs, each with the pods that its own did not reach, or whose nodes it did not."""
    first = {node: {"pods": found["pods"][:1]} for node, found in ready.items() if found.get("pods")}
    node_of = {found["pods"][0]["name"]: node for node, found in first.items()}
    targets = {(one["name"], validation.version(one["address"])): one for one in probe_targets(first, addresses)}
    asked: dict[str, dict[str, dict[str, Any]]] = {}  # by node and address
    for source, found in probed.items():
        for outcome in found.get("outcomes", ()):
            target = targets.get((outcome["target"], outcome["family"]))
            if target and not outcome["ok"] and outcome["source"] in ("", *node_of):
                asked.setdefault(node_of[target["name"]], {})
                asked.setdefault(source, {})[target["address"]] = target
    return {node: list(found.values()) for node, found in asked.items()}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"failed_targets": failed_targets}
