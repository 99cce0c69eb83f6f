# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Judges the whole inventory before the first host changes
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Checks the variables of all roles against their argument_specs, and the networks, addresses, ports,
    clocks and machines of all hosts against each other. Reports all faults at once, each with the
    variable, its value and what would be right.
  - Uses what M(binary_cluster.networking.host_facts) found, where it ran.
  - With O(role), judges the values of the variables that the hosts of the play have for that role, and nothing that
    needs facts, groups or other variables. Each role begins with it.
  - An action plugin. It runs on the controller only.
extends_documentation_fragment:
  - binary_cluster.networking._attributes.CONTROLLER
options:
  role:
    description: The one role to judge the variables of. Mutually exclusive with O(roles).
    type: str
  all_hosts:
    description: Whether O(role) needs all hosts of the play at once. With it, a play with C(serial) is refused.
    type: bool
    default: false
  roles:
    description: Roles that will run, with the group each runs on.
    type: dict
  artifacts:
    description:
      - Artifacts in the controller's cache, as M(binary_cluster.networking.binary_cache) returns them. CoreDNS among
        them is asked for its plugins; without it, what raw parts of the Corefile name is not judged here.
    type: dict
    default: {}
"""

EXAMPLES = r"""
---
- name: Check the inventory
  binary_cluster.networking.preflight:
    roles:
      etcd: etcd
      flannel: nodes
  run_once: true

- name: Check the variables of the role
  binary_cluster.networking.preflight:
    role: etcd
  run_once: true
"""

RETURN = r"""
hosts:
  description: Hosts that were judged.
  returned: success
  type: list
  elements: str
"""
