#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_key
short_description: Keys of etcd
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Sets or removes keys through etcd's v3 API, over TLS with a client certificate.
  - What etcd would refuse is refused before the first key changes, in check mode too.
  - In check mode, an etcd that is not there yet, or not yet installed, counts as one without keys.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
  - binary_cluster.networking._etcd
options:
  keys:
    description: The keys.
    type: list
    elements: dict
    required: true
    suboptions:
      key:
        description: Name of the key.
        type: str
        required: true
      value:
        description: Value of the key. Required for O(state=present).
        type: str
  state:
    description: Whether the keys are there.
    type: str
    choices: [present, absent]
    default: present
  pending:
    description:
      - Whether the run is to change etcd before, such as its users. In check mode, what it refuses until then counts as
        no keys.
    type: bool
    default: false
"""

EXAMPLES = r"""
---
- name: Write the network configuration to etcd
  binary_cluster.networking.etcd_key:
    endpoints: [https://192.0.2.11:2379]
    ca_cert: /etc/etcd/pki/ca.crt
    client_cert: /etc/etcd/pki/client.crt
    client_key: /etc/etcd/pki/client.key
    keys:
      - key: /coreos.com/network/config
        value: '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}'

- name: Remove a lease
  binary_cluster.networking.etcd_key:
    endpoints: [https://192.0.2.11:2379]
    ca_cert: /etc/etcd/pki/ca.crt
    client_cert: /etc/etcd/pki/client.crt
    client_key: /etc/etcd/pki/client.key
    keys:
      - key: /coreos.com/network/subnets/10.244.7.0-24
    state: absent
"""

RETURN = r"""
changed_keys:
  description: Names of the keys that were changed.
  returned: always
  type: list
  elements: str
  sample: [/coreos.com/network/config]
"""

from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import client as etcd
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule


def plan(wanted: dict[str, str | None], found: dict[str, str | None]) -> dict[str, tuple[str | None, str | None]]:
    """Keys that differ, as ``{key: (before, after)}``; None stands for no such key."""
    return {key: (found[key], value) for key, value in wanted.items() if found[key] != value}


OPTIONS: dict[str, Any] = {
    **etcd.ARGUMENTS,
    "keys": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "no_log": False,
        "options": {
            "key": {"type": "str", "required": True, "no_log": False},
            "value": {"type": "str"},
        },
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "pending": {"type": "bool", "default": False},
}


def main() -> None:
    module = HostModule(
        argument_spec=OPTIONS,
        supports_check_mode=True,
    )
    present = module.params["state"] == "present"
    wanted: dict[str, str | None] = {}
    for number, entry in enumerate(module.params["keys"]):
        if present and entry["value"] is None:
            module.fail_json(msg=f"keys[{number}].value: required for a key that is to be present")
        wanted[entry["key"]] = entry["value"] if present else None
    found: dict[str, str | None] = dict.fromkeys(wanted)
    with module.reporting():
        try:
            client = etcd.Client.of(module.params)
            found = {key: client.get(key) for key in wanted}
            # Each by itself: all values together may be more than etcd takes at once.
            for trial in [True] if module.check_mode else [True, False]:
                for key, (_before, after) in plan(wanted, found).items():
                    client.write({key: after}, trial)
        except etcd.EtcdError as error:
            if not etcd.is_to_come(error, module.check_mode, module.params["pending"]):
                raise
    changes = plan(wanted, found)
    module.exit_json(
        changed=bool(changes),
        changed_keys=list(changes),
        diff=[
            {
                "before_header": key,
                "after_header": key,
                "before": f"{before}\n" if before is not None else "",
                "after": f"{after}\n" if after is not None else "",
            }
            for key, (before, after) in changes.items()
        ],
    )


if __name__ == "__main__":
    main()
