#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_lock
short_description: Lets one run at a time change the members of an etcd cluster
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Puts a file into C(/run) of the host, which says who changes the members and since when. All runs must use the same
    host, such as the first member.
  - Fails where another run has the lock. It counts for O(seconds), so that a run that was killed keeps nobody out
    for ever.
  - In check mode nothing is taken, and another's lock is no failure. A lock is no change of the host, and is not
    reported as one.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
attributes:
  action:
    description: Has an action plugin of the same name, which says on the controller who holds the lock.
    support: full
options:
  state:
    description: Whether the lock is taken or given back. A lock of another run stays.
    type: str
    choices: [taken, released]
    required: true
  seconds:
    description: How long the lock counts.
    type: int
    default: 900
  holder:
    description: Who holds the lock. The action plugin sets it to the user, the controller and the process there.
    type: str
    default: ""
"""

EXAMPLES = r"""
---
- name: Keep other runs from changing the members
  binary_cluster.networking.etcd_lock:
    state: taken
    seconds: 600
  run_once: true
  delegate_to: "{{ groups['etcd'] | first }}"
"""

RETURN = r"""
holder:
  description: Who holds the lock, or held it.
  returned: success
  type: str
  sample: ops@controller, process 4711
"""

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import run_lock
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule


def main() -> None:
    module = HostModule(
        argument_spec={
            "state": {"type": "str", "choices": ["taken", "released"], "required": True},
            "seconds": {"type": "int", "default": 900},
            "holder": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    with module.reporting():
        if module.check_mode:
            pass
        elif params["state"] == "taken":
            run_lock.take(params["holder"], params["seconds"])
        else:
            run_lock.release(params["holder"])
    module.exit_json(changed=False, holder=params["holder"])


if __name__ == "__main__":
    main()
