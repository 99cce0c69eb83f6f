#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_users
short_description: Manages users of etcd and what each may read and write
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Makes a user of etcd for each entry of O(users), with a role of the same name, and the user C(root); then enables
    authentication. A user has no password. It is whoever has a certificate with its name as common name.
  - It records in etcd which users and roles it made, and whether it enabled authentication. It changes and removes
    only those. A user or role that was there before is used if it has the permissions, and otherwise refused.
  - The client must be C(root) once authentication is enabled.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
  - binary_cluster.networking._etcd
options:
  users:
    description: All users besides C(root). Users that this module made and that are not listed are removed.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the user and of its role; the common name of its certificates.
        type: str
        required: true
      permissions:
        description: What the user may do.
        type: list
        elements: dict
        required: true
        suboptions:
          prefix:
            description: Beginning of the keys.
            type: str
            required: true
          access:
            description: What it may do with them.
            type: str
            choices: [read, write, readwrite]
            default: readwrite
  state:
    description:
      - V(enabled) makes the users and enables authentication. V(disabled) disables authentication where this module
        enabled it, and removes what it made.
    type: str
    choices: [enabled, disabled]
    default: enabled
  bootstrap:
    description: Whether the run makes the cluster. In check mode there is nothing to ask then, and nothing there yet.
    type: bool
    default: false
"""

EXAMPLES = r"""
---
- name: Let flannel read and write its own keys only
  binary_cluster.networking.etcd_users:
    ca_cert: /etc/etcd/pki/ca.crt
    client_cert: /etc/etcd/pki/client.crt
    client_key: /etc/etcd/pki/client.key
    users:
      - name: flannel
        permissions:
          - prefix: /coreos.com/network/
  run_once: true
"""

RETURN = r"""
actions:
  description: What was changed, or would be changed in check mode, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["add user flannel", "enable authentication"]
"""

from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import client as etcd, users as etcd_users
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule

REQUIRED = {"type": "str", "required": True}
PERMISSION = {
    "prefix": REQUIRED,
    "access": {"type": "str", "choices": list(etcd_users.ACCESS), "default": "readwrite"},
}
OPTIONS: dict[str, Any] = {
    **etcd.ARGUMENTS,
    "users": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": REQUIRED,
            "permissions": {"type": "list", "elements": "dict", "required": True, "options": PERMISSION},
        },
    },
    "state": {"type": "str", "choices": ["enabled", "disabled"], "default": "enabled"},
    "bootstrap": {"type": "bool", "default": False},
}


def main() -> None:
    module = HostModule(
        argument_spec=OPTIONS,
        supports_check_mode=True,
    )
    params = module.params
    enabled = params["state"] == "enabled"
    with module.reporting():
        wanted = etcd_users.wanted_permissions(params["users"])
        try:
            client = etcd.Client.of(params)
            state = etcd_users.read(client)
        except etcd.EtcdError:
            if not module.check_mode:
                raise
            state = etcd_users.State()
            if not params["bootstrap"]:
                module.exit_json(changed=False, actions=[])
        steps = etcd_users.enable(state, wanted) if enabled else etcd_users.disable(state)
        if steps and not module.check_mode:
            etcd_users.apply(client, state, steps)
    actions = [step.text for step in steps]
    module.exit_json(
        changed=bool(actions),
        actions=actions,
        diff={"before": "", "after": "".join(f"{action}\n" for action in actions)},
    )


if __name__ == "__main__":
    main()
