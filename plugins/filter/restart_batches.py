# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: restart_batches
short_description: Hosts whose daemon is due to be restarted, in batches
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Hosts are due where the result that they registered has a C(due) that is not empty. There is no batch where no host
    is due.
positional: hostvars, names, size
options:
  _input:
    description: Names of all hosts that have the daemon, those included that are not due or not in the run.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  names:
    description: Names of the variables that were registered. A host is due where one of them says so.
    type: list
    elements: str
    required: true
  size:
    description: How many hosts a batch has, as a number, or as a percentage of all hosts, which is rounded up.
    type: str
    required: true
"""

EXAMPLES = r"""
---
- name: Restart the daemon
  ansible.builtin.include_tasks: restart.yml
  loop: "{{ groups['nodes'] | binary_cluster.networking.restart_batches(hostvars, ['__flannel_node'], '25%') }}"
  when: inventory_hostname in item
"""

RETURN = r"""
_value:
  description: The batches.
  type: list
  elements: list
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.batches import batch_size


def restart_batches(
    hosts: Sequence[str], hostvars: Mapping[str, Any], names: Sequence[str], size: Any
) -> list[list[str]]:
    """Hosts that are due, a list for each batch."""
    try:
        count = batch_size(size, len(hosts))
    except ValueError as error:
        raise AnsibleFilterError(f"cluster_max_unavailable: {error}") from None
    due = [
        host
        for host in hosts
        if host in hostvars and any((hostvars[host].get(name) or {}).get("due") for name in names)
    ]
    return [due[start : start + count] for start in range(0, len(due), count)]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"restart_batches": restart_batches}
