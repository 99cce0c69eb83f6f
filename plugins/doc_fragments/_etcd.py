# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This doc fragment is PRIVATE to the collection.

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches etcd."""

    DOCUMENTATION = r"""
options:
  endpoints:
    description: Client URLs of etcd. The first that answers is asked.
    type: list
    elements: str
    default: ["https://127.0.0.1:2379"]
  ca_cert:
    description: CA certificate on the target that signed etcd's certificates.
    type: path
  client_cert:
    description: Client certificate on the target.
    type: path
  client_key:
    description: Key of the client certificate on the target.
    type: path
  timeout:
    description: Seconds to wait for an answer of one endpoint.
    type: int
    default: 5
"""
