#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: api_load_balancer_member
short_description: A balancer that runs with its current configuration, one at a time
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - O(state=started) starts what does not run and, where nothing is due, waits until every address is held
    and answers. It restarts nothing, so it may happen to all balancers at once.
  - O(state=current) reloads or restarts what is due, and is for one balancer at a time. It refuses to
    while no other balancer answers. Before a restart the addresses are handed over, and they stay where
    they are afterwards.
  - Before anything is stopped, keepalived gives the addresses up while this host goes on answering at them.
    Where no other balancer takes them, it gets them back and nothing is restarted. Whatever happens after
    that, keepalived is started again.
  - An address answers when a backend answers at it. While no backend answers anywhere, because there is
    none yet, it is enough that the balancer accepts connections at it.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
options:
  state:
    description: What to do.
    type: str
    choices: [started, current]
    default: started
  addresses:
    description: The addresses that clients come to.
    type: list
    elements: str
    required: true
  port:
    description: The port that they come to.
    type: int
    required: true
  peers:
    description: Addresses of the other balancers.
    type: list
    elements: str
    required: true
  due:
    description: What the configuration asks for, V(reload) or V(restart), by V(nginx), V(health) and V(keepalived).
    type: dict
    default: {}
  timeout:
    description: Seconds to wait until the addresses answer.
    type: int
    default: 60
"""

EXAMPLES = r"""
---
- name: Start every balancer
  binary_cluster.networking.api_load_balancer_member: &member
    addresses: [192.0.2.100]
    port: 6443
    peers: [192.0.2.12]
    due:
      nginx: reload
  register: member

- name: Reload or restart one balancer at a time
  binary_cluster.networking.api_load_balancer_member:
    <<: *member
    state: current
  throttle: 1
  when: member.due | length > 0
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["start nginx"]
due:
  description: What is left to do one balancer at a time.
  returned: O(state=started)
  type: list
  elements: str
  sample: ["reload nginx"]
"""

import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import systemd
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._load_balancer import keepalived
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.waiting import Waiter

# In the order they start.
DAEMONS = ("nginx", "health", "keepalived")
HEALTH = "/usr/local/libexec/api-load-balancer-health"
HAND_OVER = "/usr/local/libexec/api-load-balancer-hand-over"
CONFIGURATION = "/etc/api-load-balancer/health.json"
# The tracked file that makes keepalived give the addresses up.
LEAVE = "leave"
# Exit code of HAND_OVER where the running keepalived is of an older configuration, which does not track it.
DEAF = 3


class MemberError(TaskError):
    """The balancer cannot be brought to the wanted state; the message says what is in the way."""


def unit(daemon: str) -> str:
    """Name of a daemon's unit, and of its ledger."""
    return f"api-load-balancer-{daemon}"


def to_start(active: dict[str, bool]) -> list[str]:
    """Actions for what does not run."""
    return [f"start {daemon}" for daemon in DAEMONS if not active[daemon]]


def to_refresh(active: dict[str, bool], due: dict[str, str]) -> list[str]:
    """Actions for what runs with an older configuration.

    A restart of nginx or keepalived is done with the addresses handed over.
    """
    wanted = {daemon: due.get(daemon, "") for daemon in DAEMONS if active[daemon] and due.get(daemon)}
    actions = [f"{what} {daemon}" for daemon, what in wanted.items()]
    if "restart" in (wanted.get("nginx"), wanted.get("keepalived")):
        return ["hand over", *actions, "take part again"]
    return actions


class Here:
    """The balancer on this host."""

    def __init__(self, module: HostModule) -> None:
        self.module = module
        self.params = module.params
        self.run = module.run_command
        self.active = {daemon: systemd.show(self.run, unit(daemon)).active for daemon in DAEMONS}

    def answering(self, addresses: list[str]) -> list[str]:
        """Those of the addresses at which a backend answers."""
        if not addresses:
            return []
        _code, out, _err = self.run([sys.executable, HEALTH, CONFIGURATION, *addresses])
        return [line.split()[0] for line in out.splitlines() if line.endswith(" answers")]

    def served(self, addresses: list[str]) -> list[str]:
        """Those of the addresses that do for clients what can be done for them now."""
        answering = self.answering([*addresses, "127.0.0.1", *self.params["peers"]])
        if answering:
            return [address for address in addresses if address in answering]
        return [address for address in addresses if _accepts(address, self.params["port"])]

    def wait_for(self, done: Callable[[], str]) -> None:
        """Wait until there is nothing left to say against going on."""
        if problem := Waiter(self.params["timeout"]).until_done(done):
            raise MemberError(f"{problem}, after {self.params['timeout']} s{self._last_words()}")

    def _last_words(self) -> str:
        units = [word for daemon in DAEMONS for word in ("--unit", unit(daemon))]
        _code, log, _err = self.run(["journalctl", *units, "--lines", "12", "--no-pager", "--output", "short-iso"])
        return f"; last lines of the daemons here:\n{log.strip()}"

    def addresses_answer(self) -> str:
        """What is wrong with the addresses; empty where they all answer."""
        served = self.served(self.params["addresses"])
        silent = [address for address in self.params["addresses"] if address not in served]
        return f"no answer at {', '.join(silent)}" if silent else ""

    def takes_part(self) -> str:
        """What keeps this balancer from holding the addresses; empty where nothing does."""
        if not self.served(["127.0.0.1"]):
            return "no answer through the listener here"
        try:
            number = int(self.run(["keepalived", "--signum=JSON"])[1])
            found = keepalived.ask(systemd.show(self.run, unit("keepalived")).main_pid, number)
        except (keepalived.KeepalivedError, ValueError, OSError) as error:
            return str(error)
        out = [f"{router.name} is {router.state}" for router in found if router.state not in ("MASTER", "BACKUP")]
        return ", ".join(out)

    def do(self, action: str) -> None:
        """Carry out one action."""
        what, _space, daemon = action.partition(" ")
        if action == "hand over":
            self.hand_over()
        elif action == "take part again":
            self.take_part()
        else:
            systemd.command(self.run, what, unit(daemon))
            systemd.refreshed(Ledger(unit(daemon)))

    def hand_over(self) -> None:
        """Let another balancer take the addresses. Raises MemberError where none does; nothing was stopped then."""
        code, out, err = self.run([sys.executable, HAND_OVER, CONFIGURATION, LEAVE])
        if code == 0 or not self.params["peers"]:
            return  # without another balancer there is nobody to hand anything to
        if code == DEAF:
            systemd.command(self.run, "stop", unit("keepalived"))
            self.wait_for(self.addresses_answer)
            return
        raise MemberError(f"not restarted: {(out or err).strip()}{self.why_nobody_took_over()}")

    def why_nobody_took_over(self) -> str:
        """What is known here of each of the other balancers."""
        peers = self.params["peers"]
        answering = self.answering(peers)
        said = [
            f"{peer} passes connections to a backend, so its keepalived does not run, is in state FAULT, "
            "or does not hear this host"
            if peer in answering
            else f"{peer} does not answer at port {self.params['port']}"
            for peer in peers
        ]
        return f"; {'; '.join(said)}. See module vip_info and journalctl --unit {unit('keepalived')} there"

    def take_part(self) -> None:
        """Let keepalived run, and take an address when it is its turn."""
        if not systemd.show(self.run, unit("keepalived")).active:
            systemd.command(self.run, "start", unit("keepalived"))
            systemd.refreshed(Ledger(unit("keepalived")))
        code, out, err = self.run([sys.executable, HAND_OVER, CONFIGURATION, LEAVE, "--back"])
        if code != 0:
            raise MemberError(f"keepalived is kept from the addresses: {(err or out).strip()}")


def _accepts(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def bring_up(here: Here, actions: list[str], due: list[str]) -> None:
    """Start what does not run, and wait until the addresses answer.

    While something is due that is not waited for: an address may be one that nobody has been told of yet.
    """
    for action in actions:
        here.do(action)
    if due:
        return
    here.wait_for(here.takes_part)
    here.wait_for(here.addresses_answer)


def bring_up_to_date(here: Here, actions: list[str]) -> None:
    """Reload and restart while another balancer can take over."""
    peers = here.params["peers"]
    if peers:
        here.wait_for(
            lambda: "" if here.served(peers) else f"not touched, because no other balancer answers ({', '.join(peers)})"
        )
    try:
        for action in actions:
            here.do(action)
    except BaseException:
        # Whatever went wrong, the addresses are worth more than a configuration that is not read yet.
        if "take part again" in actions:
            here.take_part()
        raise
    here.wait_for(here.takes_part)
    here.wait_for(here.addresses_answer)


def main() -> None:
    module = HostModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "current"], "default": "started"},
            "addresses": {"type": "list", "elements": "str", "required": True},
            "port": {"type": "int", "required": True},
            "peers": {"type": "list", "elements": "str", "required": True},
            "due": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    result: dict[str, Any] = {}
    with module.reporting("load balancer"):
        here = Here(module)
        due = to_refresh(here.active, module.params["due"])
        started = module.params["state"] == "started"
        actions = to_start(here.active) if started else due
        if started:
            result["due"] = due
        # In check mode there may be nothing to ask yet.
        if module.check_mode or not os.path.exists(HEALTH):
            pass
        elif started:
            bring_up(here, actions, due)
        else:
            bring_up_to_date(here, actions)
    module.exit_json(changed=bool(actions), actions=actions, **result)


if __name__ == "__main__":
    main()
