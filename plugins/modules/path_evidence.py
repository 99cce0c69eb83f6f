#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: path_evidence
short_description: Gathers what a node can say about why its pods' packets do not arrive
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Reads links, routes, forwarding database, neighbours, forwarding and reverse path filters, daemons, CNI
    configurations and leases, and watches packets between pods on every interface for a moment, while it sends
    some from this node's probe pod and from the node itself. The kernel's own traces tell which firewall rule
    drops one, and which function of the kernel for which reason (Linux 5.17 and later).
  - The role verify calls it on all nodes of the pairs that failed, at the same time, and
    M(binary_cluster.networking.connectivity_report) tells the cause from what both nodes saw.
  - For the moment of watching it adds an nftables table of its own, which marks these packets for tracing, and an
    instance of the kernel's tracer (tracefs).
extends_documentation_fragment:
  - binary_cluster.networking._attributes.INFO
options:
  name:
    description: Name of this node's probe pod.
    type: str
    required: true
  targets:
    description: Pods to send to.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the pod.
        type: str
        required: true
      address:
        description: Address of the pod.
        type: str
        required: true
      port:
        description: Port of its responder.
        type: int
        default: 18080
      node:
        description: Address of its node, which is sent to as well; of the node's own pod nothing but this.
        type: str
        default: ''
  pods:
    description: Addresses of the pods whose packets are watched.
    type: list
    elements: str
    required: true
  nodes:
    description: Addresses of all nodes on the underlay, by name.
    type: dict
    required: true
  ports:
    description: TCP ports to try on nodes that answer no ICMP echo request, which networks filter.
    type: list
    elements: int
    default: [22]
  routers:
    description: Routers that are meant to lead to other nodes' pods. Routes through them are right.
    type: list
    elements: str
    default: []
  start:
    description: When to begin to watch, on the controller's clock, in seconds since the epoch.
    type: float
    required: true
  controller_time:
    description: The controller's clock when the task was sent, in seconds since the epoch.
    type: float
    required: true
  window:
    description: Seconds to watch.
    type: float
    default: 2.5
"""

EXAMPLES = r"""
---
- name: Collect what the node sees of its pod's packets
  binary_cluster.networking.path_evidence:
    name: probe-node1
    targets:
      - name: probe-node2
        address: 10.244.7.2
    pods: [10.244.3.2, 10.244.7.2]
    nodes:
      node1: 192.0.2.21
      node2: 192.0.2.22
    start: "{{ now().timestamp() + 2 }}"
    controller_time: "{{ now().timestamp() }}"
"""

RETURN = r"""
evidence:
  description:
    - What the node knows and saw, for M(binary_cluster.networking.connectivity_report). C(evidence.underlay) has how
      each node answers, which is empty for one that does not.
  returned: success
  type: dict
"""

import dataclasses
import threading
import time
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import netns
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import capture, nft_trace
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import (
    engine,
    evidence as probe_evidence,
    kernel_drops,
    underlay,
)

INTERFACE = "eth0"
SENT = ("icmp", "tcp", "udp", "bulk", "node", "own")
MARGIN = 60.0  # seconds that probes may go on after the window
PACE = (0.6, 3)  # seconds until an answer, and tries
USUAL_PORTS = (4789, 8472, capture.FLANNEL_UDP_PORT)


class Sender(threading.Thread):
    """Sends from the pod while the host is watched, and reads the pod's counters before and after."""

    def __init__(self, pod: str, targets: list[engine.Target]) -> None:
        super().__init__()
        self.namespace = netns.path("name", pod, ":")
        self.probes = engine.plan(pod, (), targets, SENT)
        self.checksum_errors = 0
        self.outcomes: list[engine.Outcome] = []

    def run(self) -> None:
        try:
            engine.enter(self.namespace)
        except engine.ProbeError:
            return
        before = probe_evidence.checksum_errors()
        self.outcomes = engine.probe_here(INTERFACE, self.probes, None, *PACE)
        self.checksum_errors = probe_evidence.checksum_errors() - before


def seconds_until(start: float, controller_time: float, now: float) -> float:
    """Seconds until the nodes begin together.

    Where this clock agrees with the controller's, the difference is the time the task took to arrive.
    Where it does not, that time is unknown and passes for none.
    """
    agrees = 0 <= now - controller_time < 10
    return start - (now if agrees else controller_time)


def observe(module: HostModule, evidence: dict[str, Any]) -> None:
    """Watch packets between the pods for a moment, and add what was seen to the evidence."""
    params = module.params
    ports = {link["port"] for link in evidence["links"].values() if link["port"]} | set(USUAL_PORTS)
    targets = [engine.Target(**target) for target in params["targets"]]
    sender = Sender(params["name"], targets)
    others = [target for target in targets if target.name != params["name"]]
    host = threading.Thread(target=engine.probe_from_host, args=(others, *PACE))
    wait = max(0.0, seconds_until(params["start"], params["controller_time"], time.time()))
    began = time.monotonic() + wait
    errors = probe_evidence.checksum_errors()
    lifetime = wait + params["window"] + MARGIN
    place = kernel_drops.place(evidence, params["nodes"], INTERFACE)
    with (
        kernel_drops.tracing(params["name"], others, params["pods"], evidence, place) as drops,
        nft_trace.tracing(module.run_command, params["pods"], params["nodes"].values(), ports, lifetime) as tracer,
    ):
        while time.monotonic() < began:
            time.sleep(0.02)
        sender.start()
        host.start()
        drops.start()
        seen = capture.watch(
            params["pods"], ports, began + params["window"], tracer.collect if tracer else (lambda: None)
        )
        sender.join()
        host.join()
        measured = drops.result(module.run_command, evidence["route_to"])
    dropped = []
    for one in tracer.found if tracer else ():
        rule, hook = nft_trace.words(module.run_command, one), nft_trace.hook_of(module.run_command, one)
        dropped.append({**dataclasses.asdict(one), "rule": rule, "hook": hook})
    evidence.update(
        sightings=[dataclasses.asdict(one) for one in seen],
        dropped=dropped,
        traced=tracer is not None,
        drops=measured,
        tcp_packets={to.address: one.packet for (to, _sent), one in zip(sender.probes, sender.outcomes) if one.packet},
        checksum_errors={"host": probe_evidence.checksum_errors() - errors, "pod": sender.checksum_errors},
    )


OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "targets": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "default": 18080},
            "node": {"type": "str", "default": ""},
        },
    },
    "pods": {"type": "list", "elements": "str", "required": True},
    "nodes": {"type": "dict", "required": True},
    "ports": {"type": "list", "elements": "int", "default": [22]},
    "routers": {"type": "list", "elements": "str", "default": []},
    "start": {"type": "float", "required": True},
    "controller_time": {"type": "float", "required": True},
    "window": {"type": "float", "default": 2.5},
}


def main() -> None:
    module = HostModule(argument_spec=OPTIONS, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=False)
    nodes = module.params["nodes"]
    with module.reporting():
        netns.path("name", module.params["name"], ":")
        routers = module.params["routers"]
        for where, addresses in (("pods", module.params["pods"]), ("nodes", nodes.values()), ("routers", routers)):
            for address in addresses:
                validation.address(where, address)
        evidence = probe_evidence.gather(module.run_command, module.params["pods"])
        evidence["routers"] = routers
        evidence["pod"] = probe_evidence.interface_of(module.run_command, module.params["name"], INTERFACE)
        observe(module, evidence)
        answers = underlay.answers(list(nodes.values()), module.params["ports"], evidence["links"])
    evidence["underlay"] = {name: answers.get(address, "") for name, address in nodes.items()}
    module.exit_json(changed=False, evidence=evidence)


if __name__ == "__main__":
    main()
