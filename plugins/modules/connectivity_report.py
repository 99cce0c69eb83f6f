# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: connectivity_report
short_description: The matrix of a pod network, as text, JSON, JUnit and a page
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Gathers what M(binary_cluster.networking.pod_probe) found on every node, shows the matrix, writes
    C(connectivity.json), C(connectivity.xml) (JUnit), C(connectivity.html) and C(connectivity.txt), and fails
    where a pair failed.
  - Tells the cause of a failed pair from what both nodes know and saw, and a line that mends it.
  - A run of a single node of several verifies no pair, and fails.
  - A node whose probe pod could not be made counts as failed to and from every other node.
  - An action plugin. It runs on the controller only.
extends_documentation_fragment:
  - binary_cluster.networking._attributes.CONTROLLER
options:
  backend:
    description: Name of the network backend.
    type: str
    required: true
  addresses:
    description: Addresses of the nodes on the underlay, by name.
    type: dict
    required: true
  prepared:
    description: Results of what a node did before its pods were asked for, by node; of those that failed, the reason.
    type: dict
    default: {}
  ready:
    description: Results of O(binary_cluster.networking.pod_probe#module:state=ready), by node.
    type: dict
    required: true
  probed:
    description: Results of O(binary_cluster.networking.pod_probe#module:state=probed), by node.
    type: dict
    required: true
  elsewhere:
    description: Nodes that are not in this run. Where they leave a single one, nothing is verified, which is an error.
    type: list
    elements: str
    default: []
  evidence:
    description: Results of M(binary_cluster.networking.path_evidence), by node.
    type: dict
    default: {}
  throughput:
    description: Results of M(binary_cluster.networking.pod_throughput), by node.
    type: dict
    default: {}
  protocols:
    description: What was probed with.
    type: list
    elements: str
    required: true
  started:
    description: When the verification began, in ISO 8601.
    type: str
    required: true
  directory:
    description: Directory of the reports, relative to where the playbook was called.
    type: path
    required: true
  template:
    description:
      - The page without its data. C({{ report }}) stands where the JSON goes, C({{ summary }}) and C({{ matrix }})
        where the text goes.
    type: path
    required: true
  compare:
    description:
      - An earlier C(connectivity.json), relative to where the playbook was called. The report then says what got
        worse and what got better. It may be the one that this report replaces.
    type: path
    default: ""
  prometheus_file:
    description:
      - File for the metrics of the report, relative to where the playbook was called, put into place in one step.
        The textfile collector of node_exporter reads it where its name ends in C(.prom).
    type: path
    default: ""
"""

EXAMPLES = r"""
---
# After the pods were made and probed, as in the examples of pod_probe.
- name: Write the report, and fail where a pair failed
  binary_cluster.networking.connectivity_report:
    backend: flannel
    addresses: "{{ groups['nodes'] | binary_cluster.networking.node_addresses(hostvars) }}"
    ready: "{{ groups['nodes'] | binary_cluster.networking.registered(hostvars, 'made') }}"
    probed: "{{ groups['nodes'] | binary_cluster.networking.registered(hostvars, 'probed') }}"
    protocols: [icmp, tcp]
    started: "{{ now().isoformat() }}"
    directory: report
    template: "{{ role }}/files/connectivity.html"
  run_once: true
  vars:
    # Where the collection is, here beside the playbook.
    role: "{{ playbook_dir }}/collections/ansible_collections/binary_cluster/networking/roles/verify"
"""

RETURN = r"""
report:
  description: Verdict, backend, start and duration, and what changed where O(compare) was given.
  returned: success
  type: dict
text:
  description:
    - The matrix, the summary and the page's path, for a terminal.
    - Stdout callbacks other than P(ansible.builtin.default#callback) have it here to print, and so has that one where
      its O(ansible.builtin.default#callback:result_format) is V(yaml).
  returned: where the module did not print it
  type: str
"""
