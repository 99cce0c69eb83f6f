# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: binary_cache
short_description: Verified artifacts in a cache on the controller
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Fetches or builds every artifact that the cache does not hold, side by side, and says how far it is,
    after a few seconds and then ever more rarely. An interrupted fetch leaves nothing half and is taken up again.
  - Everything that cannot be had is reported at once, before any host is touched.
  - An action plugin. It runs on the controller only.
extends_documentation_fragment:
  - binary_cluster.networking._attributes.CONTROLLER
attributes:
  check_mode:
    description: Nothing is fetched or built. Artifacts that the cache does not hold have empty digests, and no
      directory.
    support: full
options:
  names:
    description: Names of the artifacts.
    type: list
    elements: str
    required: true
  architectures:
    description: Architectures of the hosts, as V(amd64) or V(arm64).
    type: list
    elements: str
    required: true
  manifest:
    description: What is known of each artifact, as in the variables of the role binaries.
    type: dict
    required: true
  source:
    description: Where to take the artifacts from. V(auto) takes the first that can serve, in the order
      V(directory), V(release), V(go).
    type: str
    choices: [auto, directory, release, go]
    default: auto
  directory:
    description: Directory written by the bundle playbook, for V(directory).
    type: path
    default: ""
  mirror:
    description: Base URL to take the files of V(release) from, in place of their own.
    type: str
    default: ""
  versions:
    description: Other versions than those of the manifest, by name.
    type: dict
    default: {}
  sha256:
    description: sha256 of release files the manifest has none for, by name and architecture.
    type: dict
    default: {}
  go_modules:
    description: Directory with a C(go.mod) and C(go.sum) for each artifact, for V(go).
    type: path
    required: true
  cache:
    description: Directory of the cache.
    type: path
    required: true
  bundle:
    description: Directory to write the artifacts to, in the form that O(directory) reads.
    type: path
    default: ""
"""

EXAMPLES = r"""
---
- name: Fetch etcd into the cache
  binary_cluster.networking.binary_cache:
    names: [etcd]
    architectures: [amd64]
    manifest: "{{ (lookup('ansible.builtin.file', role ~ '/vars/main.yml') | from_yaml)._binaries_manifest }}"
    go_modules: "{{ role }}/files/go"
    cache: ~/.cache/binary_cluster
  vars:
    # Where the collection is, here beside the playbook.
    role: "{{ playbook_dir }}/collections/ansible_collections/binary_cluster/networking/roles/binaries"
"""

RETURN = r"""
artifacts:
  description: The artifacts by architecture, each in the form M(binary_cluster.networking.binaries) takes.
  returned: success
  type: dict
  sample:
    amd64:
      - name: etcd
        version: 3.6.14
        source: go
"""
