# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: components
short_description: What roles declare of their groups, binaries and packages
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Roles declare on which group they run and which binaries and packages they need. Playbooks and other roles read it
    with this lookup, so that a new network backend needs no change to them.
  - Which components a cluster has depends on its groups, on C(cluster_network), and on variables such as
    C(cluster_etcd_endpoints), with which others run one. C(etcd) is there for a network backend or a CoreDNS that
    needs it. Components without hosts are returned where preflight refuses an inventory without them.
options:
  _terms:
    description: Names of components. Without one, all are returned.
    type: list
    elements: str
  in_use:
    description: Whether only those are returned that the cluster has, and not all of the collection.
    type: bool
    default: true
  firewall:
    description: Whether network backends are returned with what role C(cluster_firewall) needs to know of them.
    type: bool
    default: false
"""

EXAMPLES = r"""
---
- name: Show the binaries of this host
  ansible.builtin.debug:
    msg: >-
      {{ query('binary_cluster.networking.components') | selectattr('hosts', 'contains', inventory_hostname)
         | map(attribute='binaries') | flatten | unique }}
"""

RETURN = r"""
_value:
  description: >-
    Of each component its C(name), its C(group), the C(hosts) of that group, whether it is a network backend
    (C(network)), the components that it C(needs), the names of its C(binaries), those of the C(packages) that it
    needs with the variables of the host, C(all_packages) that it may need, and C(links), a regular expression of the
    names of all links that it makes. With O(firewall) a network backend has C(firewall), with the protocols and ports
    that members of the cluster alone may use (C(closed)), who else takes part in these (C(allowed)), C(interfaces) by
    which packets of pods come in, and C(networks) of the pods. They are sorted by group, in the order in which hosts of
    these groups are in a play.
  type: list
  elements: dict
"""

import dataclasses
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components import declarations
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components.variables import HostVariables


class LookupModule(LookupBase):
    """The whole of the lookup components."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        self.set_options(var_options=variables, direct=kwargs)
        every, groups = declarations.declared(), (variables or {}).get("groups", {})
        if unknown := [term for term in terms if term not in every]:
            raise AnsibleLookupError(f"{unknown[0]}: there is no such component; known are {', '.join(every)}")
        given = HostVariables(variables or {}, self._templar)
        found = declarations.in_use(groups, given) if self.get_option("in_use") else every.values()
        return [
            {
                "name": component.name,
                "group": component.group,
                "hosts": list(groups.get(component.group, ())),
                "network": component.network,
                "needs": list(component.needs),
                "binaries": list(component.binaries),
                "packages": [one.name for one in component.packages if component.holds(one.where, given)],
                "all_packages": [one.name for one in component.packages],
                "links": component.links,
                **self._firewall(component, given),
            }
            for component in found
            if not terms or component.name in terms
        ]

    def _firewall(self, component: declarations.Component, given: HostVariables) -> dict[str, Any]:
        """What a network backend uses between nodes, where that is asked for: it depends on variables."""
        if not self.get_option("firewall") or not component.firewall:
            return {}
        needed = dataclasses.asdict(component.firewall(given.get))
        # Templates add lists to each other, and no tuple to a list.
        return {"firewall": {name: list(values) for name, values in needed.items()}}
