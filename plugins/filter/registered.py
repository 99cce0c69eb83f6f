# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: registered
short_description: What hosts have registered under a name, by host
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Hosts that never came to the task, because they were unreachable or had failed before, are left out.
positional: hostvars, name
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  name:
    description: Name of the variable that was registered.
    type: str
    required: true
"""

EXAMPLES = r"""
---
- name: Show what the hosts found
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | binary_cluster.networking.registered(hostvars, 'found') }}"
"""

RETURN = r"""
_value:
  description: Results by host.
  type: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def registered(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Results of a task, by host."""
    return {host: hostvars[host][name] for host in hosts if name in hostvars[host]}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"registered": registered}
