#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_throughput
short_description: Measures what a pod network costs in throughput and latency
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Measures with iperf3 from this host's probe pod to that of another, and from this host to the other, one after the
    other. The ratio is what the way through the pod network costs.
  - Before that, while the network is idle, the time of a round trip is measured on both ways with ICMP echo.
  - O(state=serving) starts a server in the probe pod and one on the host, O(state=measured) is the client,
    O(state=stopped) ends the servers. They end by themselves after O(lifetime). They are scaffolding of the
    measurement and not part of the host's state, so none of the three reports a change.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
    details:
      - Does nothing in check mode, because there may be no network to measure yet.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in
      diff mode.
    support: N/A
options:
  state:
    description: Step of the measurement.
    type: str
    choices: [serving, measured, stopped]
    required: true
  name:
    description: Name of the probe pod of this host, which M(binary_cluster.networking.pod_probe) has made.
    type: str
    required: true
  pod:
    description: Address of that pod, for O(state=serving).
    type: str
    default: ""
  node:
    description: Address of this host, for O(state=serving).
    type: str
    default: ""
  port:
    description: Port of the servers.
    type: int
    default: 15201
  target:
    description: Where to measure to, for O(state=measured).
    type: dict
    suboptions:
      name:
        description: Name of the node.
        type: str
        required: true
      pod:
        description: Address of its probe pod.
        type: str
        required: true
      node:
        description: Its own address.
        type: str
        required: true
  seconds:
    description: Seconds of each of the two measurements.
    type: int
    default: 1
  lifetime:
    description: Seconds after which the servers end by themselves.
    type: int
    default: 600
notes:
  - The host needs iperf3.
"""

EXAMPLES = r"""
---
- name: Measure what node1 sends to node2
  binary_cluster.networking.pod_throughput:
    state: measured
    name: probe-node1
    target:
      name: node2
      pod: 10.244.7.2
      node: 192.0.2.22
  register: measured
"""

RETURN = r"""
throughput:
  description: What arrived.
  returned: O(state=measured)
  type: dict
  contains:
    target:
      description: Name of the node it was measured to.
      type: str
    pods_mbit_s:
      description: Megabits a second from pod to pod.
      type: float
    hosts_mbit_s:
      description: Megabits a second from host to host.
      type: float
    pods_rtt_ms:
      description: Milliseconds of a round trip from pod to pod and back. None where no echo was answered.
      type: float
    hosts_rtt_ms:
      description: Milliseconds of a round trip from host to host and back. None where no echo was answered.
      type: float
"""

from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import netns
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import throughput

OPTIONS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["serving", "measured", "stopped"], "required": True},
    "name": {"type": "str", "required": True},
    "pod": {"type": "str", "default": ""},
    "node": {"type": "str", "default": ""},
    "port": {"type": "int", "default": 15201},
    "target": {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "pod": {"type": "str", "required": True},
            "node": {"type": "str", "required": True},
        },
    },
    "seconds": {"type": "int", "default": 1},
    "lifetime": {"type": "int", "default": 600},
}


def main() -> None:
    module = HostModule(
        argument_spec=OPTIONS,
        required_if=[("state", "serving", ("pod", "node")), ("state", "measured", ("target",))],
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False)
    params = module.params
    run, port = module.run_command, params["port"]
    with module.reporting():
        namespace = netns.path("name", params["name"], ":")
    units = [f"binary-cluster-throughput-{where}-{params['name']}" for where in ("pod", "host")]
    told = {}
    with module.reporting(params["name"]):
        if params["state"] != "measured":  # serving begins with what an interrupted run left
            run(["systemctl", "stop", *(f"{unit}.service" for unit in units)])
        if params["state"] == "serving":
            for unit, where, address in zip(units, (namespace, None), (params["pod"], params["node"])):
                throughput.serve(run, unit, where, address, port, params["lifetime"])
        elif params["state"] == "measured":
            target, seconds = params["target"], params["seconds"]
            told["throughput"] = {
                "target": target["name"],
                "pods_rtt_ms": throughput.round_trip(namespace, target["pod"]),
                "hosts_rtt_ms": throughput.round_trip(None, target["node"]),
                "pods_mbit_s": throughput.measure(run, namespace, target["pod"], port, seconds),
                "hosts_mbit_s": throughput.measure(run, None, target["node"], port, seconds),
            }
    module.exit_json(changed=False, **told)


if __name__ == "__main__":
    main()
