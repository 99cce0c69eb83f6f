# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: etcd_client_files
short_description: Files on the controller with which a role is a client of etcd
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - The one place where roles get the certificate of a client of etcd. It is that of the controller's authority, or
    that of an etcd that somebody else runs.
positional: host, directory, given
options:
  _input:
    description: Name of the client, which is the name of its certificate.
    type: str
    required: true
  host:
    description: Name of the host that is the client.
    type: str
    required: true
  directory:
    description: The variable C(cluster_certificates_directory); empty where it is not set.
    type: str
    required: true
  given:
    description: The variable C(cluster_etcd_client_files); empty where it is not set.
    type: dict
    default: {}
"""

EXAMPLES = r"""
---
- name: Show the files of flannel
  ansible.builtin.debug:
    msg: >-
      {{ 'flannel' | binary_cluster.networking.etcd_client_files(
           inventory_hostname, cluster_certificates_directory | default(''), cluster_etcd_client_files | default({})) }}
"""

RETURN = r"""
_value:
  description: Paths of C(ca), C(certificate) and C(key).
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any


def etcd_client_files(client: str, host: str, directory: str, given: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Paths of the CA, the certificate and the key of a client of etcd on a host."""
    if given:
        return {name: str(given.get(name, "")) for name in ("ca", "certificate", "key")}
    pki = f"{directory}/etcd"
    return {"ca": f"{pki}/ca.crt", "certificate": f"{pki}/{host}/{client}.crt", "key": f"{pki}/{host}/{client}.key"}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"etcd_client_files": etcd_client_files}
