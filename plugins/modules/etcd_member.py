#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Starts, joins and restarts an etcd member without losing the quorum
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - O(state=started) may run on all members at once. It founds the cluster, or starts the member of a
    cluster that exists, and waits until it is healthy. What must happen to one member at a time it
    leaves undone and returns in RV(due).
  - O(state=current) does what is due. It must run on one member at a time (C(throttle) 1). It restarts only
    while every other member is healthy, and joins only while the members that stay are a quorum of the cluster
    to be; both asked through etcd itself. It refuses otherwise, naming the sick member.
  - An empty member whose place in the cluster was taken before (a replaced machine) is removed from the
    cluster and joins anew. Members that the inventory no longer has and that are dead are removed then too.
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
    choices: [started, current]
    default: started
  found:
    description: Whether an empty member may found a new cluster. Only true while no member holds data.
    type: bool
    default: false
  restart_required:
    description: Whether the running process is not the one the configuration describes.
    type: bool
    default: false
  data_directory:
    description: Data directory of etcd.
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
    description: Seconds to wait until the member is healthy.
    type: int
    default: 60
"""

EXAMPLES = r"""
---
- name: Every member runs
  binary_cluster.networking.etcd_member: &member
    name: "{{ inventory_hostname }}"
    members:
      - name: node1
        peer_url: https://192.0.2.11:2380
        client_url: https://192.0.2.11:2379
    ca_cert: /etc/etcd/pki/ca.crt
    client_cert: /etc/etcd/pki/client.crt
    client_key: /etc/etcd/pki/client.key
    found: true
  register: member

- name: One member at a time is restarted or joined, where that is due
  binary_cluster.networking.etcd_member:
    <<: *member
    state: current
  throttle: 1
  when: member.due != ''
"""

RETURN = r"""
due:
  description: What must happen to this member while the others are healthy; V(restart), V(join), V(rejoin) or empty.
  returned: O(state=started)
  type: str
  sample: restart
actions:
  description: What was done, or would be done in check mode, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["restart"]
"""

import contextlib
import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.binary_cluster.networking.plugins.module_utils import _etcd, _systemd

UNIT = "etcd"


class MemberError(Exception):
    """The member cannot be brought to the wanted state; the message says what is in the way."""


class Here:
    """The member on this host, the other members, and how to ask them."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        by_name = {member["name"]: member for member in self.params["members"]}
        if self.params["name"] not in by_name:
            raise MemberError(f"members: {', '.join(by_name)}: {self.params['name']} is not among them")
        self.own = by_name[self.params["name"]]
        self.others = [member for member in by_name.values() if member is not self.own]
        self.has_data = os.path.isdir(os.path.join(self.params["data_directory"], "member"))
        self.active = _systemd.show(module.run_command, UNIT).active
        # In check mode a new member has no certificates yet to ask the others with.
        self.can_ask = not module.check_mode or os.path.exists(self.params["client_cert"])

    def client(self, members: list[dict[str, str]], timeout: float = 5) -> _etcd.Client:
        """A client of the given members."""
        return _etcd.Client(
            [member["client_url"] for member in members],
            self.params["ca_cert"],
            self.params["client_cert"],
            self.params["client_key"],
            timeout,
        )

    def wait_until_healthy(self) -> None:
        """Wait until this member answers after a read that needs the quorum."""
        client = self.client([self.own], timeout=2)
        until = time.monotonic() + self.params["timeout"]
        while True:
            try:
                client.health(self.own["client_url"])
                return
            except _etcd.EtcdError as error:
                unit = _systemd.show(self.module.run_command, UNIT)
                if time.monotonic() > until:
                    _code, log, _err = self.module.run_command(
                        ["journalctl", "--unit", UNIT, "--lines", "8", "--no-pager", "--output", "cat"]
                    )
                    state = "runs" if unit.active else "does not run"
                    raise MemberError(
                        f"not healthy after {self.params['timeout']} s: {error}; the unit {state}; "
                        f"its last lines:\n{log.strip()}"
                    ) from error
                time.sleep(0.1)


def plan(here: Here) -> tuple[list[str], str]:
    """What can be done now, and what is due one member at a time."""
    if here.active:
        return [], "restart" if here.params["restart_required"] else ""
    if here.has_data:
        return ["start"], ""
    if here.params["found"]:
        return ["found the cluster"], ""
    if not here.can_ask:
        return [], "join"
    own = listed(here)
    if own is None:
        return [], "join"
    return ([], "rejoin") if own.name else (["start as a new member"], "")


def listed(here: Here) -> _etcd.Member | None:
    """This member as the cluster lists it; None for one it does not know."""
    try:
        members = here.client(here.others).members(linearizable=False)
    except _etcd.EtcdError as error:
        raise MemberError(
            f"this member is empty, and no other member answers to let it join: {error}. "
            "If there is a cluster, start its members first; if there is none, remove what is left in "
            "their data directories."
        ) from error
    return next((one for one in members if here.own["peer_url"] in one.peer_urls), None)


def sick_of(here: Here, names: dict[str, str]) -> dict[str, str]:
    """Members that are not healthy, with the reason. ``names`` are names by client URL."""
    client = here.client([{"client_url": url} for url in names])
    health = client.each(client.health)
    return {names[url]: str(state) for url, state in health.items() if state is not True}


def refusal(sick: dict[str, str]) -> MemberError:
    """Why a member is not touched."""
    told = "; ".join(f"{name} is not healthy ({why})" for name, why in sick.items())
    return MemberError(
        f"not touched, because the cluster would lose its quorum or its spare member: {told}. "
        "Heal that member, then run again."
    )


def require_others(here: Here) -> None:
    """Refuse to restart unless every other member is healthy."""
    sick = sick_of(here, {member["client_url"]: member["name"] for member in here.others})
    if sick:
        raise refusal(sick)


def require_quorum(here: Here) -> None:
    """Refuse to join unless the members that stay are a quorum of the cluster as it will be.

    Others that are about to join too are not members yet, and dead ones may be about to be replaced.
    """
    by_peer = {member["peer_url"]: member for member in here.others}
    stay = [by_peer[url] for one in here.client(here.others).members() for url in one.peer_urls if url in by_peer]
    sick = sick_of(here, {member["client_url"]: member["name"] for member in stay})
    healthy = len(stay) - len(sick)
    quorum = (len(stay) + 1) // 2 + 1
    # A single member cannot be a quorum of two; etcd lets it grow all the same.
    if healthy < quorum and not (len(stay) == 1 and healthy == 1):
        raise refusal(sick)


def start(here: Here, cluster: dict[str, str] | None, state: str) -> None:
    """Start the unit and wait for its health.

    ``cluster`` (peer URL by name) and ``state`` are for a member's first start.
    """
    file = here.params["bootstrap_file"]
    if cluster is not None:
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(
                f"ETCD_INITIAL_CLUSTER={','.join(f'{name}={url}' for name, url in cluster.items())}\n"
                f"ETCD_INITIAL_CLUSTER_STATE={state}\n"
                f"ETCD_INITIAL_CLUSTER_TOKEN={here.params['token']}\n"
            )
    try:
        # A notify-type unit is up once the quorum is: waiting for it here would keep
        # one member from starting until the others have.
        _systemd.command(here.module.run_command, "start", "--no-block", UNIT)
        here.wait_until_healthy()
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file)


def initial_cluster(here: Here, members: list[_etcd.Member]) -> dict[str, str]:
    """Peer URL by name of the members of a cluster that exists."""
    names = {member["peer_url"]: member["name"] for member in here.params["members"]}
    return {one.name or names.get(one.peer_urls[0], one.id): one.peer_urls[0] for one in members if one.peer_urls}


def begin(here: Here, action: str) -> None:
    """Do what may happen to all members at once."""
    if action == "start":
        start(here, None, "")
    elif action == "found the cluster":
        start(here, {member["name"]: member["peer_url"] for member in here.params["members"]}, "new")
    else:
        members = here.client(here.others).members(linearizable=False)
        start(here, initial_cluster(here, members), "existing")


def join(here: Here) -> list[str]:
    """Join the cluster of the other members; return what was done."""
    client = here.client(here.others)
    wanted = {member["peer_url"] for member in here.others}
    done = []
    for one in client.members():
        ours = here.own["peer_url"] in one.peer_urls
        if not ours and wanted & set(one.peer_urls):
            continue
        if not ours and any(_answers(here, url) for url in one.client_urls):
            continue  # unknown to the inventory, but alive: not ours to remove
        client.remove_member(one.id)
        done.append(f"remove member {one.name or one.id}")
    members = client.add_member(here.own["peer_url"])
    start(here, initial_cluster(here, members), "existing")
    return [*done, "join"]


def _answers(here: Here, client_url: str) -> bool:
    client = here.client([{"client_url": client_url}])
    try:
        return client.health(client_url)
    except _etcd.EtcdError:
        return False


def bring_up_to_date(here: Here, due: str) -> list[str]:
    """Do what is due to one member at a time; return what was done."""
    if here.can_ask:
        (require_others if due == "restart" else require_quorum)(here)
    if here.module.check_mode:
        return [due]
    if due != "restart":
        return join(here)
    _systemd.command(here.module.run_command, "restart", UNIT)
    here.wait_until_healthy()
    return [due]


def main() -> None:
    path = {"type": "path", "required": True}
    module = AnsibleModule(
        argument_spec={
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
            "state": {"type": "str", "choices": ["started", "current"], "default": "started"},
            "found": {"type": "bool", "default": False},
            "restart_required": {"type": "bool", "default": False},
            "data_directory": {"type": "path", "default": "/var/lib/etcd"},
            "token": {"type": "str", "default": "etcd", "no_log": False},
            "bootstrap_file": {"type": "path", "default": "/run/etcd-bootstrap.env"},
            "ca_cert": path,
            "client_cert": path,
            "client_key": {**path, "no_log": False},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    result: dict[str, Any] = {}
    try:
        here = Here(module)
        actions, due = plan(here)
        if module.params["state"] == "current":
            actions = bring_up_to_date(here, due) if due else []
        else:
            result["due"] = due
            if actions and not module.check_mode:
                begin(here, actions[0])
            elif here.active and not module.check_mode:
                here.wait_until_healthy()
    except (MemberError, _etcd.EtcdError, _systemd.ServiceError) as error:
        module.fail_json(msg=f"etcd member {module.params['name']}: {error}")
    module.exit_json(changed=bool(actions), actions=actions, **result)


if __name__ == "__main__":
    main()
