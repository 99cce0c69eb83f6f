#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_probe
short_description: Measures the pod network from inside a probe pod
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - A probe pod is a network namespace attached through the node's own CNI configuration, with a small
    responder in it that answers HTTP, TCP and UDP. It needs no container runtime and no image.
  - O(state=ready) makes the pod, O(state=probed) probes all targets from it at once, O(state=removed)
    detaches it. The pod is scaffolding of the measurement and not part of the host's state, so none of
    the three reports a change. What an interrupted run left is taken over by the next.
  - The responder ends by itself after O(lifetime), whatever becomes of the run.
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
    choices: [ready, probed, removed]
    required: true
  name:
    description:
      - Name of the pod. It must be unique in the cluster. It is that of its network namespace too, so it consists of
        letters, digits and C(._-).
    type: str
    required: true
  count:
    description: How many pods. The second is called by O(name) and V(:2), and so on.
    type: int
    default: 1
  port:
    description: Port of the responder, TCP and UDP.
    type: int
    default: 18080
  lifetime:
    description: Seconds after which the responder ends by itself.
    type: int
    default: 600
  targets:
    description:
      - Pods to probe, for O(state=probed), each address of a pod by itself. Those of this host may be among them.
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
        description:
          - Address of its node, for V(node) and V(own) of O(protocols), which are left out without it. It must be of
            the IP version of O(targets[].address).
        type: str
        default: ""
  protocols:
    description:
      - What to probe with. V(mtu) looks for the largest packet that arrives unfragmented. V(bulk) fetches 64 KiB.
        V(dns) asks for O(names).
      - V(node) probes from the pod to the other pod's node, V(host) from this host to the other pod, V(own) from the
        pod to this host, V(hairpin) from the pod to its own address.
      - V(vip) and V(outside) connect to O(beyond).
    type: list
    elements: str
    choices: [icmp, tcp, udp, http, bulk, mtu, node, host, own, hairpin, dns, vip, outside]
    default: [icmp, tcp, udp, http, bulk, mtu, node, host, own, hairpin, dns, vip, outside]
  beyond:
    description: Addresses that are no pods', to open a TCP connection to from the first pod.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: The address.
        type: str
        required: true
      port:
        description: The port.
        type: int
        required: true
      protocol:
        description: Which of O(protocols) it belongs to.
        type: str
        choices: [vip, outside]
        required: true
  names:
    description: What to ask of a DNS server, over UDP and TCP, where O(protocols) has V(dns). Unset asks nothing.
    type: dict
    suboptions:
      server:
        description: Address of the server.
        type: str
        required: true
      port:
        description: Port of the server.
        type: int
        default: 53
      unit:
        description: systemd unit of the server, if it runs on this host. What it logged of a failure is told with it.
        type: str
        default: ""
      questions:
        description: The names.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: Name to ask for.
            type: str
            required: true
          type:
            description: Type of the record.
            type: str
            choices: [A, AAAA, CNAME, PTR, SRV, TXT]
            default: A
          values:
            description: The values it has. Without them, any will do.
            type: list
            elements: str
            default: []
          exists:
            description: Whether there is such a name; otherwise the answer has to be NXDOMAIN.
            type: bool
            default: true
  timeout:
    description: Seconds to wait for an answer.
    type: float
    default: 1.0
  tries:
    description: How often a probe is tried before it counts as failed.
    type: int
    default: 3
"""

EXAMPLES = r"""
---
- name: Start probe pods and wait until they answer
  binary_cluster.networking.pod_probe:
    name: "probe-{{ inventory_hostname }}"
    state: ready
  register: made

- name: Probe every pod from every other
  binary_cluster.networking.pod_probe:
    name: "probe-{{ inventory_hostname }}"
    state: probed
    targets:
      - name: probe-node2
        address: 10.244.7.2
  register: probed

- name: Remove probe pods
  binary_cluster.networking.pod_probe:
    name: "probe-{{ inventory_hostname }}"
    state: removed
"""

RETURN = r"""
pods:
  description: The pods, in the order of their names.
  returned: O(state=ready)
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    address:
      description: Its address; the IPv4 one where it has one.
      type: str
    subnet:
      description: The network it is in.
      type: str
    ips:
      description: Its first C(address) of each IP version, each with the C(subnet) it is in.
      type: list
      elements: dict
    network:
      description: Name of the CNI network.
      type: str
    configuration:
      description: File that describes it.
      type: str
    port:
      description: Port of its responder.
      type: int
outcomes:
  description: What each probe found.
  returned: O(state=probed)
  type: list
  elements: dict
  contains:
    target:
      description: Name of the probed pod, the name that was asked for, or the address and port.
      type: str
    source:
      description: Name of the probing pod; empty for V(host) of O(protocols).
      type: str
    protocol:
      description: What it was probed with.
      type: str
    family:
      description: IP version of the address that was probed, V(4) or V(6).
      type: int
    ok:
      description: Whether it answered as it should.
      type: bool
    rtt_ms:
      description: Time until the answer in milliseconds.
      type: float
    mtu:
      description: Largest packet in bytes that arrived unfragmented, for V(mtu).
      type: int
    packet:
      description: Largest TCP packet in bytes that came, for V(bulk).
      type: int
    cause:
      description: What went wrong.
      type: str
    tries:
      description: How many tries it took.
      type: int
    source_seen:
      description:
        - Address the probed pod saw the request come from. For O(beyond) the address under which it left this host,
          where it did and where the probing pod is among O(targets).
      type: str
duration:
  description: Seconds the probing took.
  returned: O(state=probed)
  type: float
"""

import concurrent.futures
import contextlib
import dataclasses
import ipaddress
import multiprocessing
import sys
import time
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._cni import (
    network as cni_network,
    runtime as cni_runtime,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import netns
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import nft_trace, trace_instance
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import engine
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import egress_source

INTERFACE = "eth0"
QUESTIONS = ("A", "AAAA", "CNAME", "PTR", "SRV", "TXT")


class Pod:
    """A probe pod of this host."""

    def __init__(self, module: HostModule, name: str) -> None:
        self.module = module
        self.name = name
        self.unit = f"binary-cluster-{name}"
        self.runtime = cni_runtime.Runtime(module.run_command)
        self.attachment = cni_network.Attachment(
            container_id=cni_network.container_id(name),
            # Further pods of a node have a colon in their name.
            namespace=netns.path("name", name, ":"),
            interface=INTERFACE,
        )

    def make(self) -> dict[str, Any]:
        """Attach the pod and start its responder."""
        network = cni_network.load()
        record = netns.record()
        netns.make(self.module.run_command, record, self.name)
        try:
            with cni_runtime.forwarding_kept():
                result = self.runtime.add(network, self.attachment)
        except cni_network.CniError:
            netns.remove(self.module.run_command, record, self.name)
            raise
        for one in cni_network.second_addresses(self.module.run_command, result):
            self.module.warn(one)
        cni_network.settle(self.module.run_command, cni_network.gateways(result))
        self._respond()
        held = [ipaddress.ip_interface(address) for address in cni_network.first_addresses(result)]
        ips = [{"address": str(one.ip), "subnet": str(one.network)} for one in held]
        return {
            "name": self.name,
            **ips[0],
            "ips": ips,
            "network": network.name,
            "configuration": network.path,
            "port": self.module.params["port"],
        }

    def _respond(self) -> None:
        params = self.module.params
        code, _out, err = self.module.run_command(
            [
                "systemd-run", "--quiet", "--collect", f"--unit={self.unit}",
                f"--description=Probe pod {self.name}",
                "--property=Type=notify",
                f"--property=NetworkNamespacePath={self.attachment.namespace}",
                f"--property=RuntimeMaxSec={params['lifetime']}",
                "--property=DynamicUser=yes",
                sys.executable, engine.RESPONDER, self.name, str(params["port"]),
            ]
        )  # fmt: skip
        if code != 0:
            raise cni_network.CniError(f"the responder does not start: {err.strip()}")

    def remove(self) -> None:
        """Stop the responder, detach the pod and remove its namespace, which is to be one that this collection made."""
        run = self.module.run_command
        run(["systemctl", "stop", f"{self.unit}.service"])
        for network in self.runtime.networks(self.attachment):
            for left in self.runtime.delete(network, self.attachment, finish=True):
                self.module.warn(f"{self.name}: {left}")
        netns.clear(run, netns.record(), self.name)


class Measurement:
    """The probe pods of this host together."""

    def __init__(self, module: HostModule) -> None:
        self.module = module
        name = module.params["name"]
        numbers = range(1, module.params["count"] + 1)
        self.pods = [Pod(module, name if number == 1 else f"{name}:{number}") for number in numbers]

    def make(self) -> list[dict[str, Any]]:
        """Attach all pods."""
        self.remove()  # what an interrupted run left
        engine.install_responder()
        return [pod.make() for pod in self.pods]

    def remove(self) -> None:
        """Detach all pods, and those of an interrupted run that had more."""
        recorded = netns.record().names(netns.KIND)
        more = {name for name in recorded if name.startswith(f"{self.module.params['name']}:")}
        for pod in [*self.pods, *(Pod(self.module, name) for name in sorted(more - {pod.name for pod in self.pods}))]:
            pod.remove()
        nft_trace.sweep(self.module.run_command)
        trace_instance.clean()
        engine.remove_responder()

    def probe(self) -> list[engine.Outcome]:
        """Probe all targets from every pod; from the first ask for all names and connect to all addresses."""
        params = self.module.params
        timing = (params["timeout"], params["tries"])
        targets = [engine.Target(**target) for target in params["targets"]]
        siblings = [pod.name for pod in self.pods]
        strangers = [target for target in targets if target.name not in siblings]
        beyond = [
            (engine.Target(f"{one['address']}:{one['port']}", one["address"], one["port"]), one["protocol"])
            for one in params["beyond"]
            if one["protocol"] in params["protocols"]
        ]
        asked = params["names"] if "dns" in params["protocols"] else None
        names = asked and engine.Names(
            server=asked["server"],
            port=asked["port"],
            questions=tuple(
                engine.Question(one["name"], one["type"], tuple(one["values"]), one["exists"])
                for one in asked["questions"]
            ),
        )
        jobs = [
            (
                pod.attachment.namespace,
                INTERFACE,
                engine.plan(pod.name, siblings, targets, params["protocols"]) + ([] if number else beyond),
                None if number else names,
                *timing,
            )
            for number, pod in enumerate(self.pods)
        ]
        outcomes = engine.probe_from_host(strangers, *timing) if "host" in params["protocols"] else []
        with contextlib.ExitStack() as stack:
            departures = stack.enter_context(egress_source.Departures()) if beyond else None
            # In processes, so that pods do not wait for one another, and this one stays in the host's namespace.
            context = multiprocessing.get_context("fork")
            with concurrent.futures.ProcessPoolExecutor(len(self.pods), context) as processes:
                for pod, found in zip(self.pods, processes.map(engine.probe_from, *zip(*jobs))):
                    outcomes += [dataclasses.replace(outcome, source=pod.name) for outcome in found]
            if departures:
                own = [target.address for target in targets if target.name == self.pods[0].name]
                left = departures.sources(own[0]) if own else {}
                for outcome in outcomes:
                    if outcome.protocol in engine.BEYOND:
                        outcome.source_seen = left.get(outcome.target)
        if asked and asked["unit"]:
            self._quote(asked["unit"], [outcome for outcome in outcomes if outcome.cause == "SERVFAIL"])
        return outcomes

    def _quote(self, unit: str, failed: list[engine.Outcome]) -> None:
        """Add what the server logged of a failure to its cause."""
        if not failed:
            return
        _code, log, _err = self.module.run_command(
            ["journalctl", f"--unit={unit}", "--since=-1min", "--output=cat", "--no-pager"]
        )
        for outcome in failed:
            lines = [line for line in log.splitlines() if "[ERROR]" in line and f"{outcome.target}." in line]
            outcome.cause = (
                f"SERVFAIL: {lines[-1].partition('[ERROR] ')[2]}" if lines else "SERVFAIL; nothing is logged of it"
            )


OPTIONS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["ready", "probed", "removed"], "required": True},
    "name": {"type": "str", "required": True},
    "count": {"type": "int", "default": 1},
    "port": {"type": "int", "default": 18080},
    "lifetime": {"type": "int", "default": 600},
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
    "protocols": {
        "type": "list",
        "elements": "str",
        "choices": list(engine.PROTOCOLS),
        "default": list(engine.PROTOCOLS),
    },
    "beyond": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "protocol": {"type": "str", "choices": list(engine.BEYOND), "required": True},
        },
    },
    "names": {
        "type": "dict",
        "options": {
            "server": {"type": "str", "required": True},
            "port": {"type": "int", "default": 53},
            "unit": {"type": "str", "default": ""},
            "questions": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "type": {"type": "str", "choices": list(QUESTIONS), "default": "A"},
                    "values": {"type": "list", "elements": "str", "default": []},
                    "exists": {"type": "bool", "default": True},
                },
            },
        },
    },
    "timeout": {"type": "float", "default": 1.0},
    "tries": {"type": "int", "default": 3},
}


def main() -> None:
    module = HostModule(argument_spec=OPTIONS, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=False)
    with module.reporting():
        netns.path("name", module.params["name"], ":")
    told: dict[str, Any] = {}
    with module.reporting(module.params["name"]):
        measurement = Measurement(module)
        if module.params["state"] == "ready":
            told["pods"] = measurement.make()
        elif module.params["state"] == "removed":
            measurement.remove()
        else:
            began = time.monotonic()
            told["outcomes"] = [dataclasses.asdict(outcome) for outcome in measurement.probe()]
            told["duration"] = round(time.monotonic() - began, 3)
    module.exit_json(changed=False, **told)


if __name__ == "__main__":
    main()
