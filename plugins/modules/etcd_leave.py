#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_leave
short_description: Removes etcd members from their cluster before their hosts are torn down
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Removes all members of O(leaving) from the cluster, through the members that stay. Those that are down go first and
    the leader goes last, after it has handed over to a member that stays.
  - Refuses before the first removal where a removal needs a quorum that is not there, or would leave none.
  - Does nothing where all members of the cluster leave together, or where this host is not a member.
  - It neither stops etcd nor removes its data; that is for M(binary_cluster.networking.daemon).
extends_documentation_fragment:
  - binary_cluster.networking._attributes
  - binary_cluster.networking._etcd
options:
  leaving:
    description: The members that leave in this run, this host's own among them.
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
  data_directory:
    description: Data directory of etcd on this host. Without data a member that nobody knows has nothing to leave.
    type: path
    default: /var/lib/etcd
  wait:
    description: Seconds to wait after each removal until the members that stay are healthy.
    type: int
    default: 60
"""

EXAMPLES = r"""
---
- name: Remove the member from its cluster
  binary_cluster.networking.etcd_leave:
    endpoints: [https://192.0.2.11:2379, https://192.0.2.12:2379, https://192.0.2.13:2379]
    ca_cert: /etc/etcd/pki/ca.crt
    client_cert: /etc/etcd/pki/client.crt
    client_key: /etc/etcd/pki/client.key
    leaving:
      - name: node3
        peer_url: https://192.0.2.13:2380
        client_url: https://192.0.2.13:2379
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["remove member cp-1"]
"""

import os
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import (
    answers as etcd_answers,
    client as etcd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.waiting import Waiter

REMEDY = (
    "Start etcd on the members that stay, or tear down all members in one run. If this cluster is lost for good, "
    "set teardown_etcd_force: true"
)


class LeaveError(TaskError):
    """The members cannot leave; the message says why and what to do."""


def title(member: etcd_answers.Member) -> str:
    """Name of a member; its address where it has never started."""
    return member.name or ",".join(member.peer_urls) or member.id


def quorum(count: int) -> int:
    """How many of a number of voting members must be healthy."""
    return count // 2 + 1


def order(
    members: Sequence[etcd_answers.Member], leaving: Iterable[Mapping[str, str]], sick: Mapping[str, str], leader: str
) -> list[etcd_answers.Member]:
    """Members to remove, the first one first. None where none of them leaves, or all do.

    ``sick`` has the reason by id of each member that is not healthy. Raises LeaveError where a removal could not be
    agreed on, or where the members that stay would be without a quorum.
    """
    told = list(leaving)
    names, urls = {one["name"] for one in told}, {one["peer_url"] for one in told}
    going = [one for one in members if one.name in names or urls & set(one.peer_urls)]
    voters = [one for one in members if not one.learner]
    staying = [one for one in voters if one not in going]
    if not going or not staying:
        return []
    # A member that is down only makes the quorum larger; a leader that goes costs an election.
    steps = sorted(going, key=lambda one: (one.id not in sick, one.id == leader))
    left = list(voters)
    for step in steps:
        for counted in (left, [one for one in left if one != step]):
            healthy = [one for one in counted if one.id not in sick]
            if len(healthy) < quorum(len(counted)):
                down = [f"{title(one)} ({sick[one.id]})" for one in counted if one.id in sick]
                raise LeaveError(
                    f"cannot leave the cluster: {len(healthy)} of {len(counted)} members are healthy, and "
                    f"{quorum(len(counted))} are needed. Not healthy: {'; '.join(down)}",
                    ", ".join(title(one) for one in going),
                    REMEDY,
                )
        left = [one for one in left if one != step]
    return steps


class Cluster:
    """The cluster that this host's member belongs to."""

    def __init__(self, module: HostModule) -> None:
        self.params = module.params
        self.members: list[etcd_answers.Member] = []
        self.sick: dict[str, str] = {}
        self.leader = ""

    def client(self, endpoints: Iterable[str]) -> etcd.Client:
        """A client of some endpoints."""
        return etcd.Client.of({**self.params, "endpoints": list(endpoints)})

    def look(self, endpoints: Iterable[str]) -> None:
        """Read the members, their health and who leads. Raises EtcdError where no endpoint answers."""
        self.members = self.client(endpoints).members(linearizable=False)
        urls = {one.client_urls[0]: one.id for one in self.members if one.client_urls}
        self.sick = {one.id: "never started" for one in self.members if not one.client_urls}
        client = self.client(urls)
        health = client.each(client.health)
        self.sick.update({urls[url]: str(state) for url, state in health.items() if state is not True})
        well = [url for url, state in health.items() if state is True]
        self.leader = client.status(well[0]).leader if well else ""

    def endpoints(self, without: Sequence[etcd_answers.Member] = ()) -> list[str]:
        """Client URLs of the healthy members, but for some."""
        return [one.client_urls[0] for one in self.members if one.id not in self.sick and one not in without]

    def hand_over(self, leader: etcd_answers.Member, to: etcd_answers.Member) -> None:
        """Have the leader hand over to another member."""
        client = self.client([leader.client_urls[0]])
        client.call("/v3/maintenance/transfer-leadership", {"targetID": str(int(to.id, 16))})

    def settle(self, without: Sequence[etcd_answers.Member]) -> None:
        """Wait until those that were healthy are so without the members that are gone."""
        client = self.client(self.endpoints(without))

        def unhealthy() -> str:
            found = {url: state for url, state in client.each(client.health).items() if state is not True}
            return "; ".join(f"{url}: {state}" for url, state in found.items())

        if told := Waiter(self.params["wait"], pause=0.2).until_done(unhealthy):
            raise LeaveError(f"after {self.params['wait']} s the members that stay are not healthy: {told}")


def known(cluster: Cluster) -> bool:
    """Read the cluster; return whether there is one to leave. Raises LeaveError where that cannot be told."""
    params = cluster.params
    ours = {one["client_url"] for one in params["leaving"]}
    try:
        cluster.look([*ours, *params["endpoints"]])
        return True
    except etcd.EtcdError as error:
        if set(params["endpoints"]) <= ours:
            return False  # nobody stays
        if not os.path.isdir(os.path.join(params["data_directory"], "member")):
            return False  # it never was a member
        names = ", ".join(one["name"] for one in params["leaving"])
        raise LeaveError(f"cannot leave the cluster: no member answers: {error}", names, REMEDY) from error


def plan(cluster: Cluster) -> list[etcd_answers.Member]:
    """Members to remove, in order. Members that elect a leader, or have just started, get the time for it.

    Raises LeaveError where they cannot leave.
    """

    def steps() -> list[etcd_answers.Member]:
        if not known(cluster):
            return []
        return order(cluster.members, cluster.params["leaving"], cluster.sick, cluster.leader)

    return Waiter(etcd.SETTLING, pause=1).retry(steps, LeaveError)


def leave(cluster: Cluster, steps: Sequence[etcd_answers.Member]) -> None:
    """Remove the members, one after the other."""
    gone: list[etcd_answers.Member] = []
    for step in steps:
        staying = [
            one for one in cluster.members if one not in steps and one.id not in cluster.sick and not one.learner
        ]
        if step.id == cluster.leader:
            cluster.hand_over(step, staying[0])
        cluster.client(cluster.endpoints(steps)).remove_member(step.id)
        gone.append(step)
        cluster.settle([*gone, *(one for one in steps if one not in gone)])


def main() -> None:
    module = HostModule(
        argument_spec={
            **etcd.ARGUMENTS,
            "leaving": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "peer_url": {"type": "str", "required": True},
                    "client_url": {"type": "str", "required": True},
                },
            },
            "data_directory": {"type": "path", "default": "/var/lib/etcd"},
            "wait": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    with module.reporting("etcd"):
        cluster = Cluster(module)
        steps = plan(cluster)
        if not module.check_mode:
            leave(cluster, steps)
    module.exit_json(changed=bool(steps), actions=[f"remove member {title(one)}" for one in steps])


if __name__ == "__main__":
    main()
