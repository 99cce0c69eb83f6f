#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cni_attachment
short_description: Attaches a network namespace to a pod network through CNI
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Does what a container runtime does for a pod, without one. Makes the network namespace where it does
    not exist, runs CNI ADD through a configuration list installed on the host, and returns the addresses.
  - An attachment that is there is proven by CNI CHECK and by its addresses, since some plugins check nothing.
    One that fails, or was made through another configuration, is made anew.
  - A failed ADD is undone by DEL, and reported with the plugin's own code and message. A namespace that was made for
    it is removed again, and forwarding is as it was. An interface of the same name that is there before ADD is refused.
  - Where a plugin is gone, DEL cannot run. Then the interface and the reservations of C(host-local) that the kept
    result shows are removed without it, and a warning names what may be left.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
options:
  netns:
    description:
      - Name of the network namespace, as C(ip netns) shows it. It consists of letters, digits and C(._-), and begins
        with a letter, a digit or C(_).
    type: str
    required: true
  state:
    description:
      - Whether the namespace is attached. V(absent) also removes the namespace where this collection made it and no
        other interface in it is attached. Another one stays, with a warning.
    type: str
    choices: [present, absent]
    default: present
  configuration:
    description: Path of the configuration list. Unset takes the first in C(/etc/cni/net.d), as runtimes do.
    type: path
    default: ""
  interface:
    description: Name of the interface in the namespace, of at most 15 characters of those of O(netns).
    type: str
    default: eth0
  container_id:
    description:
      - Id to attach under, of characters of those of O(netns). Unset derives one that is unique in the cluster. One
        under which another runtime attached something is refused.
    type: str
    default: ""
  arguments:
    description: CNI_ARGS, by name. Neither names nor values may have C(;), C(=) or control characters.
    type: dict
    default: {}
  capabilities:
    description: Capability arguments for plugins that ask for them, such as C(portMappings).
    type: dict
    default: {}
  labels:
    description:
      - Labels of the pod, by which policies of Calico select it. Other plugins pass them over.
      - A namespace that was attached with others is attached anew.
    type: dict
    default: {}
  plugins:
    description: Directory of the plugins.
    type: path
    default: /opt/cni/bin
"""

EXAMPLES = r"""
---
- name: Attach a namespace to the pod network
  binary_cluster.networking.cni_attachment:
    netns: demo
    labels:
      role: database
  register: pod

- name: Detach it
  binary_cluster.networking.cni_attachment:
    netns: demo
    state: absent
"""

RETURN = r"""
addresses:
  description: Addresses of the interface, with their prefix length.
  returned: O(state=present), not in check mode
  type: list
  elements: str
  sample: [10.244.7.2/24]
gateways:
  description: Gateways of the namespace.
  returned: O(state=present), not in check mode
  type: list
  elements: str
  sample: [10.244.7.1]
network:
  description: Name of the network.
  returned: always, where a configuration is installed
  type: str
  sample: flannel
result:
  description: The last plugin's result, as CNI defines it.
  returned: O(state=present), not in check mode
  type: dict
reason:
  description: Why the namespace was attached anew.
  returned: changed
  type: str
"""

import base64
import os
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._cni import (
    network as cni_network,
    runtime as cni_runtime,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import netns
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule


def attach(module: HostModule, runtime: cni_runtime.Runtime, attachment: cni_network.Attachment) -> dict[str, Any]:
    """Bring the namespace into the network."""
    network = cni_network.load(module.params["configuration"])
    kept = runtime.own(network.name, attachment)
    reason = ""
    if not os.path.exists(attachment.namespace):
        reason = "there is no such namespace"
    elif kept is None:
        reason = "not attached"
    elif base64.b64decode(kept["config"]) != network.source:
        reason = "attached through another configuration"
    elif (kept.get("labels") or {}) != attachment.labels:
        reason = "attached with other labels"
    else:
        try:
            runtime.check(network, attachment)
            cni_network.check_addresses(module.run_command, attachment, kept["result"])
        except cni_network.CniError as error:
            reason = str(error)
    if reason and not module.check_mode:
        for left in runtime.delete(network.name, attachment):
            module.warn(f"{module.params['netns']}: {left}")
        add(module, runtime, network, attachment)
    found = (runtime.cached(network.name, attachment) or {}).get("result")
    told: dict[str, Any] = {"changed": bool(reason), "network": network.name}
    if reason:
        told["reason"] = reason
    if found:
        told.update(result=found, addresses=cni_network.addresses(found), gateways=cni_network.gateways(found))
    return told


def add(
    module: HostModule, runtime: cni_runtime.Runtime, network: cni_network.Network, attachment: cni_network.Attachment
) -> None:
    """Attach the namespace. One that was made for it is removed again where that fails."""
    record, name = netns.record(), module.params["netns"]
    new = not os.path.exists(attachment.namespace)
    if new:
        netns.make(module.run_command, record, name)
    try:
        runtime.add(network, attachment)
    except cni_network.CniError:
        if new:
            netns.remove(module.run_command, record, name)
        raise


def detach(module: HostModule, runtime: cni_runtime.Runtime, attachment: cni_network.Attachment) -> dict[str, Any]:
    """Take the namespace out of every network it is in, and remove it where this collection made it."""
    record, name = netns.record(), module.params["netns"]
    networks, others = runtime.networks(attachment), runtime.others(attachment)
    there, owned = netns.there(name), netns.owned(record, name)
    if not module.check_mode:
        for network in networks:
            for left in runtime.delete(network, attachment):
                module.warn(f"{name}: {left}")
        if owned and not others:
            netns.remove(module.run_command, record, name)
    if there and not owned:
        module.warn(f"{name}: the network namespace stays, because this collection did not make it")
    elif there and others:
        module.warn(f"{name}: the network namespace stays, because {', '.join(others)} in it is attached too")
    removed = there and owned and not others
    return {"changed": bool(networks) or removed, **({"network": networks[0]} if networks else {})}


def main() -> None:
    module = HostModule(
        argument_spec={
            "netns": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "configuration": {"type": "path", "default": ""},
            "interface": {"type": "str", "default": "eth0"},
            "container_id": {"type": "str", "default": ""},
            "arguments": {"type": "dict", "default": {}},
            "capabilities": {"type": "dict", "default": {}},
            "labels": {"type": "dict", "default": {}},
            "plugins": {"type": "path", "default": cni_network.PLUGINS},
        },
        supports_check_mode=True,
    )
    params = module.params
    options = ("netns", "interface", "container_id", "arguments", "capabilities", "labels")
    with module.reporting():
        attachment = cni_network.attachment(*(params[option] for option in options))
    runtime = cni_runtime.Runtime(module.run_command, params["plugins"])
    with module.reporting(params["netns"]):
        told = (attach if params["state"] == "present" else detach)(module, runtime, attachment)
    state = {"before": "attached\n", "after": "\n"} if params["state"] == "absent" else {
        "before": "\n", "after": "attached\n"
    }  # fmt: skip
    module.exit_json(diff=state if told["changed"] else {"before": "", "after": ""}, **told)


if __name__ == "__main__":
    main()
