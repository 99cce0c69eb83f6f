#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Starts, joins, moves and restarts an etcd member without losing the quorum
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - O(state=checked) changes nothing. It refuses what cannot be done - another run that changes the members, a database
    that is full and stays so, new addresses of several members at once, data of another cluster or member, or of a
    member that was removed - and warns of members that the inventory does not have. It may run before etcd is there.
  - O(state=started) may run on all members at once. It bootstraps the cluster, or starts the member of a
    cluster that exists, and waits until it is healthy. What must happen to one member at a time it
    leaves undone and returns in RV(due). The health of a process whose restart is due is not waited for.
  - O(state=repaired) does what is due to a member that is not healthy, and leaves a healthy one to O(state=current).
    It must run on one member at a time (C(throttle) 1), and before O(state=current) runs on the first, which needs
    every other member to be healthy.
  - O(state=current) does what is due. It must run on one member at a time (C(throttle) 1). It restarts a member only
    while every other member is healthy, or where the member serves nobody anyway. It refuses otherwise, naming the
    member that is not healthy.
  - A new member joins as a learner, which does not count for the quorum, and votes once it has caught up. One that
    does not within O(timeout) is taken out of the cluster again. An empty member whose place in the cluster was taken
    before (a replaced machine) is removed from the cluster first.
  - A member whose peer URL is another one than the cluster's list has is updated there, and restarted where its
    process does not listen there yet. An alarm NOSPACE is taken back where the database fits the quota.
  - O(state=pruned) removes the members that O(remove_members) names. It must run on one host only. Members that the
    inventory does not have are never removed else.
  - O(state=settled) waits until the member is healthy, and fails where something is still due.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
options:
  name:
    description: Name of the member.
    type: str
    required: true
  members:
    description: All members of the inventory.
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
        description: Where clients reach it.
        type: str
        required: true
  state:
    description: How far to go.
    type: str
    choices: [checked, started, repaired, pruned, current, settled]
    default: started
  bootstrap:
    description: Whether an empty member may bootstrap a new cluster. Only true while no member holds data.
    type: bool
    default: false
  restart_required:
    description: Whether the running process is not the one the configuration describes.
    type: bool
    default: false
  remove_members:
    description: Members that the inventory does not have and that are to be removed, by name, or by id in hexadecimal.
    type: list
    elements: str
    default: []
  repaired_members:
    description:
      - Members that steps before this one have started, repaired or joined, by name. Check mode takes them for healthy,
        and those in O(remove_members) for removed, as they are in a run.
    type: list
    elements: str
    default: []
  endpoints:
    description:
      - Further client URLs at which members may be asked, such as RV(endpoints) of all of them. They are needed to join
        while the others still serve at a former port.
    type: list
    elements: str
    default: []
  quota:
    description: Largest size of the database in bytes, as configured. V(0) is etcd's default, and less is none.
    type: int
    default: 0
  data_directory:
    description: Data directory of etcd. A member holds data where it has a directory C(member) in it.
    type: path
    default: /var/lib/etcd
  token:
    description: Token of a new cluster.
    type: str
    default: etcd
  bootstrap_file:
    description: Environment file that the unit reads at a member's first start, where it exists.
    type: path
    default: /run/etcd-bootstrap.env
  ca_cert:
    description: CA certificate on the target that signed etcd's certificates.
    type: path
    required: true
  client_cert:
    description: Client certificate on the target.
    type: path
    required: true
  client_key:
    description: Key of the client certificate on the target.
    type: path
    required: true
  timeout:
    description: Seconds to wait for each of an end of the old process, a member that has caught up, and its health.
    type: int
    default: 60
"""

EXAMPLES = r"""
---
- name: Start every member
  binary_cluster.networking.etcd_member: &member
    name: "{{ inventory_hostname }}"
    members:
      - name: node1
        peer_url: https://192.0.2.11:2380
        client_url: https://192.0.2.11:2379
    ca_cert: /etc/etcd/pki/ca.crt
    client_cert: /etc/etcd/pki/client.crt
    client_key: /etc/etcd/pki/client.key
    bootstrap: true
  register: member

- name: Restart members that are not healthy first
  binary_cluster.networking.etcd_member:
    <<: *member
    state: repaired
  throttle: 1
  when: member.due | length > 0

- name: Restart or join one member at a time, where that is due
  binary_cluster.networking.etcd_member:
    <<: *member
    state: current
  throttle: 1
  when: member.due | length > 0
"""

RETURN = r"""
due:
  description:
    - What must happen to this member while the others are healthy, of V(join), V(rejoin), V(readdress), V(restart) and
      V(disarm); V(remove) is for the cluster, and any member's host can do it.
  returned: O(state=started)
  type: list
  elements: str
  sample: [restart]
repair:
  description: Whether something is due to this member and it is not healthy, so that it comes first.
  returned: O(state=started)
  type: bool
member:
  description: Name of the member.
  returned: success
  type: str
  sample: node1
endpoints:
  description: Client URLs that the running process advertises, which may be others than the inventory's.
  returned: O(state=started)
  type: list
  elements: str
  sample: [https://192.0.2.11:2379]
holds_data:
  description: Whether there is a member's data on this host.
  returned: O(state=checked)
  type: bool
cluster:
  description: Cluster that the data on this host are of, by its id in hexadecimal; empty without any.
  returned: O(state=checked)
  type: str
  sample: a71e945d7e0ed2a3
actions:
  description: What was done, or would be done in check mode, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["restart"]
"""

from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import (
    member as etcd_member,
    member_plan as etcd_member_plan,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule

PATH = {"type": "path", "required": True}
OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "members": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "peer_url": {"type": "str", "required": True},
            "client_url": {"type": "str", "required": True},
        },
    },
    "state": {
        "type": "str",
        "choices": ["checked", "started", "repaired", "pruned", "current", "settled"],
        "default": "started",
    },
    "bootstrap": {"type": "bool", "default": False},
    "restart_required": {"type": "bool", "default": False},
    "remove_members": {"type": "list", "elements": "str", "default": []},
    "repaired_members": {"type": "list", "elements": "str", "default": []},
    "endpoints": {"type": "list", "elements": "str", "default": []},
    "quota": {"type": "int", "default": 0},
    "data_directory": {"type": "path", "default": "/var/lib/etcd"},
    "token": {"type": "str", "default": "etcd", "no_log": False},
    "bootstrap_file": {"type": "path", "default": "/run/etcd-bootstrap.env"},
    "ca_cert": PATH,
    "client_cert": PATH,
    "client_key": {**PATH, "no_log": False},
    "timeout": {"type": "int", "default": 60},
}


def main() -> None:
    module = HostModule(
        argument_spec=OPTIONS,
        supports_check_mode=True,
    )
    result: dict[str, Any] = {}
    with module.reporting(f"etcd member {module.params['name']}"):
        actions = etcd_member.run(etcd_member_plan.Here(module), result)
    module.exit_json(changed=bool(actions), actions=actions, **result)


if __name__ == "__main__":
    main()
