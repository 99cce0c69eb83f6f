#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_peers
short_description: Checks that etcd members present certificates for peers
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Reads the certificate that each member presents on its peer port. A member that accepts only certificates with
    O(common_name) cannot reach a member that presents another one.
  - Fails where a member presents a certificate with another common name. A member that does not answer is left out.
extends_documentation_fragment:
  - binary_cluster.networking._attributes.INFO
options:
  members:
    description: Members to check.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the member.
        type: str
        required: true
      peer_url:
        description: Where other members reach it.
        type: str
        required: true
      client_url:
        description: Where clients reach it. Not used.
        type: str
  common_name:
    description: Common name of the members' certificates.
    type: str
    required: true
  timeout:
    description: Seconds to wait for an answer of one member.
    type: int
    default: 2
"""

EXAMPLES = r"""
---
- name: Check that the other members have certificates for peers
  binary_cluster.networking.etcd_peers:
    members:
      - name: node2
        peer_url: https://192.0.2.12:2380
    common_name: etcd-peer
"""

RETURN = r"""
presented:
  description: Common name by name of the member, of those that answered.
  returned: success
  type: dict
  sample: {"node2": "etcd-peer"}
"""

import concurrent.futures
import socket
import ssl
import urllib.parse

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule

# The object identifier 2.5.4.3, commonName, in DER (X.520); a string's tag and length follow it.
COMMON_NAME = b"\x06\x03\x55\x04\x03"


def common_name(certificate: bytes) -> str:
    """Common name of the subject of a certificate in DER; empty where it has none."""
    _issuer, found, rest = certificate.rpartition(COMMON_NAME)
    return rest[2 : 2 + rest[1]].decode() if found else ""


def presented(peer_url: str, timeout: float) -> str | None:
    """Common name of the certificate that a server presents; None where none answers."""
    url = urllib.parse.urlsplit(peer_url)
    # Nothing is sent and nothing is believed: what is read can only stop a run.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    address = (url.hostname or "", url.port or 2380)
    try:
        with socket.create_connection(address, timeout) as connection, context.wrap_socket(connection) as secured:
            return common_name(secured.getpeercert(binary_form=True) or b"")
    except OSError:
        return None


def main() -> None:
    required = {"type": "str", "required": True}
    module = HostModule(
        argument_spec={
            "members": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"name": required, "peer_url": required, "client_url": {"type": "str"}},
            },
            "common_name": required,
            "timeout": {"type": "int", "default": 2},
        },
        supports_check_mode=True,
    )
    params = module.params
    members = params["members"]
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(members))) as pool:
        names = pool.map(lambda member: presented(member["peer_url"], params["timeout"]), members)
        answered = {member["name"]: name for member, name in zip(members, names) if name is not None}
    wrong = {member: name for member, name in answered.items() if name != params["common_name"]}
    if wrong:
        told = "; ".join(f"{member} presents a certificate of {name or 'nobody'}" for member, name in wrong.items())
        module.fail_json(
            msg=f"members: {told} on its peer port, and this run would accept {params['common_name']} only. "
            "Run once for all members, without --limit; they get such certificates then."
        )
    module.exit_json(changed=False, presented=answered)


if __name__ == "__main__":
    main()
