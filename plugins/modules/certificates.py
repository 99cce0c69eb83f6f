# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: An authority and the certificates of all hosts, on the controller
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Makes an authority and every certificate that is asked for, in one call, as files on the controller.
    They reach the hosts with the daemon they belong to (M(binary_cluster.networking.daemon)).
  - A certificate is kept until its subject, names, usages, authority or remaining lifetime ask for another.
    Keys are ECDSA on P-256, mode 0600, and never pass through Ansible's variables or logs.
  - An action plugin. It runs on the controller only.
extends_documentation_fragment:
  - binary_cluster.networking._attributes.CONTROLLER
attributes:
  check_mode:
    description: Says what would be made, and makes nothing.
    support: full
requirements:
  - cryptography on the controller
options:
  directory:
    description: Directory of the authority. A certificate is in C(<directory>/<host>/<name>.crt), its key beside it.
    type: path
    required: true
  authority:
    description: Common name of the authority.
    type: str
    required: true
  authority_days:
    description: Lifetime of the authority in days.
    type: int
    default: 3650
  days:
    description: Lifetime of a certificate in days.
    type: int
    default: 365
  renew_before:
    description: Remaining days at which a certificate is replaced.
    type: int
    default: 30
  passphrase:
    description: Passphrase of the authority's key. A key that is not encrypted is encrypted with it.
    type: str
    default: ""
  new_authority:
    description:
      - Whether the hosts of the O(requests) may get another authority than the one they trust, as
        M(binary_cluster.networking.host_facts) found it.
    type: bool
    default: false
  requests:
    description: The certificates.
    type: list
    elements: dict
    required: true
    suboptions:
      host:
        description: Name of the host, or of whomever it is for.
        type: str
        required: true
      name:
        description: Name of the certificate's file.
        type: str
        required: true
      common_name:
        description: Common name of the subject.
        type: str
        required: true
      organization:
        description: Organization of the subject.
        type: str
        default: ""
      names:
        description: Alternative names, DNS names or addresses.
        type: list
        elements: str
        default: []
      usages:
        description: What it may be used for.
        type: list
        elements: str
        choices: [server, client]
        default: [client]
"""

EXAMPLES = r"""
---
- name: Make a server certificate for each member of etcd
  binary_cluster.networking.certificates:
    directory: "{{ inventory_dir }}-pki/etcd"
    authority: etcd
    requests:
      - host: node1
        name: server
        common_name: node1
        names: [node1, 192.0.2.11, 127.0.0.1]
        usages: [server, client]
"""

RETURN = r"""
reasons:
  description: Why each certificate was made, or would be made in check mode, by its path below the directory.
  returned: success
  type: dict
  sample:
    node1/server: it ends in 12 days
pending:
  description: In check mode, the files that would be made, with which hosts would differ. Otherwise empty.
  returned: success
  type: list
  elements: str
"""
