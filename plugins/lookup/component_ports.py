# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: component_ports
short_description: Ports that a component uses between hosts
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Roles declare the ports that their daemons listen on in C(meta/component.yml). This lookup returns those that are
    used between hosts, with the values that the host's variables give them.
options:
  _terms:
    description: Names of components.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
---
- name: Show the ports of etcd
  ansible.builtin.debug:
    msg: "{{ query('binary_cluster.networking.component_ports', 'etcd') }}"
"""

RETURN = r"""
_value:
  description: A C(protocol) and its C(ports), for each protocol of each component.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components import declarations
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components.variables import HostVariables


class LookupModule(LookupBase):
    """The whole of the lookup component_ports."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        self.set_options(var_options=variables, direct=kwargs)
        every, found = declarations.declared(), []
        for term in terms:
            if term not in every:
                raise AnsibleLookupError(f"{term}: there is no such component; known are {', '.join(every)}")
            found += self._ports(every[term], HostVariables(variables or {}, self._templar))
        return found

    def _ports(self, component: declarations.Component, given: HostVariables) -> list[dict[str, Any]]:
        """What is used between the hosts of a component, by protocol."""
        by_protocol: dict[str, list[int]] = {}
        for port in component.ports:
            if port.between_hosts and component.holds(port.where, given):
                value = given.get(port.variable, given.get(port.follows, component.port_default(port)))
                by_protocol.setdefault(port.protocol, []).append(int(value))
        return [{"protocol": protocol, "ports": ports} for protocol, ports in by_protocol.items()]
