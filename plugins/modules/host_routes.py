#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_routes
short_description: A set of routes of one owner, and the way out of the cluster for pods
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Brings a set of routes to the wanted state in one call, and removes what the same owner has beyond it.
  - Keeps a table of nftables that masquerades what pods send to anywhere but the cluster's own networks. Nothing
    else of the firewall is touched.
  - All is validated before anything is touched, and all faults are told at once, each with its place, such as
    C(routes[3].gateway). Should the kernel refuse a change, what was begun is undone, and the message has
    the kernel's own words and the item that failed.
  - A state lasts until the next boot, as with all that is set through C(ip) and C(nft).
extends_documentation_fragment:
  - binary_cluster.networking._attributes
  - binary_cluster.networking._attributes.actiongroup_networking
requirements:
  - iproute2 5.0 or newer on the target
  - nftables on the target, and Linux 5.2 or newer, for O(masquerade)
options:
  routes:
    description:
      - The routes. One that is given twice counts once. Unset leaves them as they are, an empty list means that
        there are none.
    type: list
    elements: dict
    suboptions:
      destination:
        description: Network, IPv4 or IPv6. Bits beyond its prefix length are cleared.
        type: str
        required: true
      gateway:
        description:
          - Address of the next hop. It must be on a network of this host, unless O(routes[].onlink), and none of its
            own.
        type: str
      device:
        description: Interface to leave through. Unset takes the one that leads to O(routes[].gateway).
        type: str
      onlink:
        description: Whether O(routes[].gateway) is taken to be on the link of O(routes[].device), whatever its network.
        type: bool
        default: false
      metric:
        description: Of routes with one destination the one with the lowest metric counts. Unset is 0 for IPv4 and 1024
          for IPv6.
        type: int
      table:
        description: Table, by number or by its name in C(/etc/iproute2/rt_tables).
        type: str
        default: main
      mtu:
        description: Largest packet of the route. Unset takes the device's.
        type: int
  masquerade:
    description: Masquerading of what pods send out of the cluster. Unset leaves the table as it is.
    type: dict
    suboptions:
      pods:
        description: Networks of the pods whose packets are masqueraded. An empty list removes the table.
        type: list
        elements: str
        required: true
      networks:
        description:
          - Networks to which the pods' packets keep their source, such as those of services. Those in
            O(masquerade.pods) are always among them.
        type: list
        elements: str
        default: []
  masquerade_table:
    description: Name of the table of nftables, of family C(inet). It is wholly this module's.
    type: str
    default: binary-cluster-masquerade
  state:
    description:
      - V(absent) removes all routes that carry O(protocol), and O(masquerade_table).
    type: str
    choices: [present, absent]
    default: present
  purge:
    description: Whether routes that carry O(protocol) and are not in O(routes) are removed.
    type: bool
    default: true
  protocol:
    description:
      - Number, 5 to 255, that marks the routes as this owner's, in all tables. It must be nobody else's on the host,
        M(binary_cluster.networking.vxlan) included. See C(/etc/iproute2/rt_protos) for those in use.
    type: int
    default: 141
notes:
  - A wanted route takes the place of one of somebody else with the same destination, metric and table, save that the
    kernel made for a network of this host. That is refused.
  - A table of nftables that was changed by hand is written anew as a whole, in one transaction.
seealso:
  - module: binary_cluster.networking.vxlan
"""

EXAMPLES = r"""
---
- name: Route to the pods of the other nodes, and masquerade what leaves the cluster
  binary_cluster.networking.host_routes:
    routes:
      - destination: 10.244.2.0/24
        gateway: 192.0.2.12
      - destination: 10.244.3.0/24
        gateway: 192.0.2.13
      - destination: "fd00:244:3::/64"
        gateway: "2001:db8::13"
    masquerade:
      pods: [10.244.0.0/16]
      networks: [10.96.0.0/12]

- name: Route to a node behind a router, with smaller packets, as an owner of its own
  binary_cluster.networking.host_routes:
    protocol: 142
    routes:
      - destination: 10.244.9.0/24
        gateway: 198.51.100.1
        device: eth0
        onlink: true
        metric: 50
        mtu: 1400

- name: Stop masquerading, and keep the routes
  binary_cluster.networking.host_routes:
    masquerade:
      pods: []

- name: Remove the routes of the first owner
  binary_cluster.networking.host_routes:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one item each.
  returned: always
  type: list
  elements: str
  sample: ["add route 10.244.2.0/24 via 192.0.2.12 dev eth0 protocol 141"]
left:
  description: What could not be undone after a failure, as lines of a diff. Empty where all was.
  returned: on a failure of the kernel
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import changes as plan_changes, validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.changes import Change
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import host_routes, masquerade
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing.host_routes import Placed, State


class Routes:
    """The routes and the table of this call."""

    def __init__(self, module: HostModule) -> None:
        self.module = module
        self.params = module.params
        self.absent = module.params["state"] == "absent"
        self.kernel = host_routes.Kernel(module.run_command)
        self.protocol = str(module.params["protocol"])
        self.keep_table = not self.absent and module.params["masquerade"] is None
        self.wanted: Placed | None = None
        self.masquerade: masquerade.Masquerade | None = None

    def parse(self) -> None:
        """Judge the options by themselves."""
        faults = validation.Faults()
        with faults.noted():
            validation.number("protocol", self.params["protocol"], 5, 255)
        if not masquerade.TABLE.fullmatch(self.params["masquerade_table"]):
            faults.add("masquerade_table", f"{self.params['masquerade_table']!r} is no name of a table")
        if self.absent:
            self.wanted = []
        elif self.params["routes"] is not None:
            self.wanted = host_routes.parse(self.params["routes"], self.protocol, self.kernel.names, faults)
        if not self.absent and self.params["masquerade"]:
            given: dict[str, list[str]] = {"pods": [], "networks": []}
            for option, texts in given.items():
                for number, text in enumerate(self.params["masquerade"][option]):
                    with faults.noted():
                        texts.append(validation.network(f"masquerade.{option}[{number}]", text))
            if given["pods"]:
                self.masquerade = masquerade.masquerade(self.params["masquerade_table"], **given)
        self.refuse(faults)

    def refuse(self, faults: validation.Faults) -> None:
        """End the module where there are faults."""
        if faults.found:
            self.module.fail_json(msg=faults.text())

    def observe(self) -> State:
        """Read the kernel's state."""
        return self.kernel.observe("" if self.keep_table else self.params["masquerade_table"])

    def judge(self, state: State) -> None:
        """Judge the options by what is there."""
        faults = validation.Faults()
        if self.wanted:
            self.wanted = host_routes.located(self.wanted, state, faults)
        self.refuse(faults)

    def plan(self, state: State) -> list[Change]:
        """The changes that lead to what is wanted."""
        purge = self.absent or self.params["purge"]
        return host_routes.plan(self.wanted, self.masquerade, self.keep_table, state, self.protocol, purge)

    def give_up(self, why: str, changes: list[Change], before: State) -> None:
        """End the module after a failure, with what it left behind."""
        keys = {change.item.key for change in changes if change.item.program == "ip"}
        left = host_routes.residue(keys, before, self.observe())
        undone = "What was begun could not be undone in full" if left else "What was begun is undone"
        self.module.fail_json(msg=f"{why}. {undone}.", left=left)


OPTIONS: dict[str, Any] = {
    "routes": {
        "type": "list",
        "elements": "dict",
        "options": {
            "destination": {"type": "str", "required": True},
            "gateway": {"type": "str"},
            "device": {"type": "str"},
            "onlink": {"type": "bool", "default": False},
            "metric": {"type": "int"},
            "table": {"type": "str", "default": "main"},
            "mtu": {"type": "int"},
        },
    },
    "masquerade": {
        "type": "dict",
        "options": {
            "pods": {"type": "list", "elements": "str", "required": True},
            "networks": {"type": "list", "elements": "str", "default": []},
        },
    },
    "masquerade_table": {"type": "str", "default": "binary-cluster-masquerade"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "purge": {"type": "bool", "default": True},
    "protocol": {"type": "int", "default": 141},
}


def main() -> None:
    module = HostModule(
        argument_spec=OPTIONS,
        supports_check_mode=True,
    )
    with module.reporting():
        routes = Routes(module)
        routes.parse()
        routes.kernel.routes.require()
        if routes.masquerade:
            routes.kernel.nft.require()
        before = routes.observe()
        routes.judge(before)
        changes = routes.plan(before)
        after = before.copy()
        for change in changes:
            after.apply(change)
        if changes and not module.check_mode:
            try:
                after = plan_changes.converge(routes.kernel, changes, routes.observe, routes.plan)
            except plan_changes.PlanError as error:
                routes.give_up(str(error), changes, before)
    result: dict[str, Any] = {"changed": bool(changes), "actions": [change.text() for change in changes]}
    if module._diff:
        result["diff"] = host_routes.diff(changes, before, after, routes.protocol)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
