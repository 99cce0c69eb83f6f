#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_info
short_description: Members, leader, raft index, database size and alarms of an etcd cluster
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Asks every endpoint at once, so that one sick member does not hide the others.
  - A member that does not answer is listed with its fault; the module fails only where no member answers.
extends_documentation_fragment:
  - binary_cluster.networking._attributes.INFO
  - binary_cluster.networking._etcd
"""

EXAMPLES = r"""
---
- name: Read the state of the cluster
  binary_cluster.networking.etcd_info:
    endpoints:
      - https://192.0.2.11:2379
      - https://192.0.2.12:2379
      - https://192.0.2.13:2379
    ca_cert: /etc/etcd/pki/ca.crt
    client_cert: /etc/etcd/pki/client.crt
    client_key: /etc/etcd/pki/client.key
  register: etcd
"""

RETURN = r"""
healthy:
  description: Whether every endpoint is healthy and no alarm is raised.
  returned: success
  type: bool
leader:
  description: Name of the leader; empty without one.
  returned: success
  type: str
  sample: node1
members:
  description: The members as the cluster lists them.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Id in hexadecimal.
      type: str
    name:
      description: Name; empty for a member that has never started.
      type: str
    peer_urls:
      description: Where other members reach it.
      type: list
      elements: str
    client_urls:
      description: Where clients reach it.
      type: list
      elements: str
    learner:
      description: Whether it does not vote yet.
      type: bool
endpoints:
  description: What each endpoint says of itself, by URL.
  returned: success
  type: dict
  contains:
    healthy:
      description: Whether it answers after a read that needs the quorum.
      type: bool
    fault:
      description: Why it is not healthy.
      type: str
    version:
      description: Version of etcd.
      type: str
    member_id:
      description: Id of the member in hexadecimal.
      type: str
    raft_index:
      description: Last entry of its log.
      type: int
    raft_applied_index:
      description: Last entry it has applied.
      type: int
    raft_term:
      description: Term it is in.
      type: int
    db_size:
      description: Size of the database file in bytes.
      type: int
    db_size_in_use:
      description: Bytes of it that are used.
      type: int
    db_size_quota:
      description: Largest size of it in bytes; 0 where etcd is older than 3.6 and does not say it.
      type: int
alarms:
  description: Raised alarms.
  returned: success
  type: list
  elements: dict
"""

import dataclasses
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import client as etcd
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule


def endpoint_states(client: etcd.Client) -> dict[str, dict[str, Any]]:
    """What each endpoint says of itself, with its fault where it is not healthy."""
    states: dict[str, dict[str, Any]] = {}
    health = client.each(client.health)
    for endpoint, status in client.each(client.status).items():
        sick = health[endpoint]
        state: dict[str, Any] = {"healthy": sick is True, "fault": "" if sick is True else str(sick)}
        if not isinstance(status, etcd.EtcdError):
            state.update(dataclasses.asdict(status))
        states[endpoint] = state
    return states


def main() -> None:
    module = HostModule(argument_spec=dict(etcd.ARGUMENTS), supports_check_mode=True)
    with module.reporting():
        client = etcd.Client.of(module.params)
        members = client.members()
        alarms = client.alarms()
        endpoints = endpoint_states(client)
    names = {member.id: member.name for member in members}
    leaders = {state.get("leader") for state in endpoints.values()} - {None, "0"}
    module.exit_json(
        changed=False,
        healthy=all(state["healthy"] for state in endpoints.values()) and not alarms,
        leader=names.get(str(leaders.pop()), "") if leaders else "",
        members=[dataclasses.asdict(member) for member in members],
        endpoints=endpoints,
        alarms=alarms,
    )


if __name__ == "__main__":
    main()
