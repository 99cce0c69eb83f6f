# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: installed_components
short_description: Components that have something on a host
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Which components of the collection the names in a host's install record belong to.
options:
  _input:
    description: Names in the install record, as M(binary_cluster.networking.host_facts) returns them.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
---
- name: Show the components that are installed
  ansible.builtin.debug:
    msg: "{{ ['binary-etcd', 'flanneld', 'packages'] | binary_cluster.networking.installed_components }}"
"""

RETURN = r"""
_value:
  description: Names of the components.
  type: list
  elements: str
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components import declarations


def installed_components(owners: Iterable[str]) -> list[str]:
    """Names of the components that have something in the install record."""
    names = [str(owner) for owner in owners]
    return [
        component.name
        for component in declarations.declared().values()
        if any(re.fullmatch(pattern, name) for pattern in component.records for name in names)
    ]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"installed_components": installed_components}
