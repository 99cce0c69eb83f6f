# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_backends
short_description: Declarations of the network backends
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Every network backend is a role, and declares which binaries and packages its nodes need, whether it keeps its state
    in etcd, and which links it makes. Playbooks read that here, so that a new backend needs no change to them.
  - What depends on variables is there for backends that are named. The variables are read from the host that the lookup
    is evaluated for.
options:
  _terms:
    description: Names of backends. Without any, all of them are returned.
    type: list
    elements: str
"""

EXAMPLES = r"""
---
- name: Remove all network backends
  ansible.builtin.include_role:
    name: "binary_cluster.networking.{{ item }}"
    tasks_from: uninstall.yml
  loop: "{{ lookup('binary_cluster.networking.network_backends').keys() | sort }}"

- name: Install the binaries and packages of the network backend
  ansible.builtin.import_role:
    name: binary_cluster.networking.binaries
  vars:
    backend: "{{ lookup('binary_cluster.networking.network_backends', cluster_network)[cluster_network] }}"
    binaries_install: "{{ backend.binaries }}"
    binaries_packages: "{{ backend.packages }}"
"""

RETURN = r"""
_raw:
  description: One dict, with a declaration by the name of each backend, which is that of its role.
  type: list
  elements: dict
  contains:
    binaries:
      description: Artifacts of role C(binaries) that a node needs.
      type: list
      elements: str
    packages:
      description: Sets of distribution packages of role C(binaries) that a node needs.
      type: list
      elements: str
      returned: with a name
    firewall:
      description:
        - What role C(cluster_firewall) needs to know. C(closed) has the protocols and ports that members of the cluster
          alone may use, C(allowed) who else takes part in these, C(interfaces) by which packets of pods come in, and
          C(networks) those of the pods.
      type: dict
      returned: with a name
    etcd:
      description: Whether the backend keeps its state in etcd.
      type: bool
    links:
      description: Regular expression of the names of all links that the backend makes. Empty where it makes none.
      type: str
"""

import dataclasses
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import declared


class LookupModule(LookupBase):
    """Lookup binary_cluster.networking.network_backends."""

    def run(self, terms: Any, variables: Any = None, **kwargs: Any) -> list[Any]:
        self.set_options(var_options=variables, direct=kwargs)
        backends = declared()
        for name in terms:
            if name not in backends:
                raise AnsibleLookupError(f"{name} is not a network backend. Take one of {', '.join(backends)}.")

        def value(name: str, default: Any) -> Any:
            return self._templar.template(variables[name]) if name in (variables or {}) else default

        found: dict[str, dict[str, Any]] = {}
        for name in terms or backends:
            backend = backends[name]
            found[name] = {
                "binaries": list(backend.binaries),
                "etcd": bool(backend.etcd_endpoints),
                "links": backend.links,
            }
            if terms:
                found[name]["packages"] = list(backend.packages(value))
                found[name]["firewall"] = dataclasses.asdict(backend.firewall(value))
        return [found]
