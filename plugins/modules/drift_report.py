# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drift_report
short_description: What hosts differ in from the inventory
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Gathers what the roles of this collection registered, after they were run in check mode, shows it as a table,
    writes C(drift.json), and fails where a host differs, or was not reached.
  - C(playbooks/drift.yml) runs the roles in check mode and calls it.
  - An action plugin. It runs on the controller only.
extends_documentation_fragment:
  - binary_cluster.networking._attributes.CONTROLLER
options:
  hosts:
    description: Hosts that were to be compared.
    type: list
    elements: str
    required: true
  contacts:
    description:
      - Results of the first task that connected to the hosts, by host. Those where it failed are reported as
        unreachable, each with the reason and with what to do.
    type: dict
    default: {}
  started:
    description: When the comparison began, in ISO 8601.
    type: str
    required: true
  directory:
    description: Directory of the report, relative to where the playbook was called.
    type: path
    required: true
"""

EXAMPLES = r"""
---
- name: Report drift from the inventory
  binary_cluster.networking.drift_report:
    hosts: "{{ ansible_play_hosts_all }}"
    started: "{{ now(utc=true).isoformat(timespec='seconds') }}"
    directory: report
  run_once: true
  become: false
"""

RETURN = r"""
report:
  description: Verdict, start and hosts.
  returned: success
  type: dict
text:
  description:
    - The differences and the report's path, for a terminal.
    - Stdout callbacks other than P(ansible.builtin.default#callback) have it here to print, and so has that one where
      its O(ansible.builtin.default#callback:result_format) is V(yaml).
  returned: where the module did not print it
  type: str
"""
