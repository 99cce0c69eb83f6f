#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: calico_ipam
short_description: Releases what lost nodes hold in Calico's datastore
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - A node that was lost leaves its entry, blocks of addresses, addresses with their handles, workload endpoints,
    host endpoints and BGP peers behind. The other nodes keep their routes to it, and the addresses are nobody's.
  - Finds everything of nodes that are not among O(nodes), and releases it. What nodes among them hold is never
    touched, and neither is an address that an endpoint of theirs uses.
  - With check mode, tells what is held.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
  - binary_cluster.networking._calico
options:
  nodes:
    description: Names of all nodes that the cluster has, as Calico knows them. All others are taken for lost.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
---
- name: Release what nodes hold that are not in the inventory
  binary_cluster.networking.calico_ipam:
    nodes: "{{ groups['nodes'] }}"
  run_once: true
"""

RETURN = r"""
lost:
  description: What lost nodes held, by their names.
  returned: always
  type: dict
  contains:
    addresses:
      description: Addresses of pods and tunnels.
      type: list
      elements: str
    blocks:
      description: Blocks of addresses.
      type: list
      elements: str
    endpoints:
      description: Workload endpoints, with their namespaces.
      type: list
      elements: str
  sample:
    node3:
      addresses: [10.244.3.1]
      blocks: [10.244.3.0/26]
      endpoints: [default/node3-cni-p3-eth0]
"""

import json
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._calico import calicoctl as calico_calicoctl
from ansible_collections.binary_cluster.networking.plugins.module_utils._calico.calicoctl import (
    Calicoctl,
    CalicoctlError,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule

BLOCK = re.compile(r"^ IPAM block (\S+) affinity=host:(.+):$", re.MULTILINE)


@dataclass(frozen=True)
class Holdings:
    """What the datastore holds: nodes, blocks and endpoints each with its node, and calicoctl's report on addresses."""

    nodes: Sequence[str]
    blocks: Sequence[tuple[str, str]]
    endpoints: Sequence[tuple[str, str]]
    report: Mapping[str, Any]

    def addresses(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Addresses, each with the node it was given to."""
        for allocations in self.report["allocations"].values():
            for allocation in allocations:
                yield allocation["ip"], allocation

    def of_others(self, known: Collection[str]) -> dict[str, dict[str, list[str]]]:
        """What belongs to nodes that are not known, by the node."""
        held = [
            *(("addresses", ip, allocation.get("node", "")) for ip, allocation in self.addresses()),
            *(("blocks", block, node) for block, node in self.blocks),
            *(("endpoints", endpoint, node) for endpoint, node in self.endpoints),
            *(("", "", node) for node in self.nodes),
        ]
        lost: dict[str, dict[str, list[str]]] = {}
        # An address of no node is none that a lost node would have left.
        for what, name, node in sorted(held):
            if node and node not in known:
                of_node = lost.setdefault(node, {"addresses": [], "blocks": [], "endpoints": []})
                if what:
                    of_node[what].append(name)
        return lost

    def leaked(self, among: Collection[str]) -> dict[str, Any]:
        """calicoctl's report, with nothing but those addresses that nobody uses, and handles that bear none."""
        left = {ip: [one] for ip, one in self.addresses() if ip in among and not one["inUse"]}
        return {**self.report, "allocations": left, "leakedHandles": []}


def look(calicoctl: Calicoctl, scratch: Path) -> Holdings:
    """What the datastore holds now. Raises CalicoctlError."""
    report = scratch / "report.json"
    told = calicoctl.run("ipam", "check", "-o", str(report))
    endpoints = json.loads(calicoctl.run("get", "workloadendpoint", "-A", "-o", "json"))["items"]
    return Holdings(
        [key.name for key in calicoctl.found(["Node"])],
        BLOCK.findall(told),
        [(f"{item['metadata']['namespace']}/{item['metadata']['name']}", item["spec"]["node"]) for item in endpoints],
        json.loads(report.read_text()),
    )


def release(calicoctl: Calicoctl, lost: Mapping[str, Mapping[str, Sequence[str]]], scratch: Path) -> None:
    """Release what lost nodes hold. Raises CalicoctlError."""
    for node in lost:
        try:
            # Endpoints, their addresses, blocks, peers and configuration of the node go along, also where it has
            # no entry any more; only of that does calicoctl complain then.
            calicoctl.run("delete", "node", node)
        except CalicoctlError as error:
            if f"resource does not exist: Node({node})" not in str(error):
                raise CalicoctlError(f"{node}: {error}") from error
    # What is left was given by a CNI plugin that did not come to make the endpoint.
    among = {address for held in lost.values() for address in held["addresses"]}
    rest = look(calicoctl, scratch).leaked(among)
    if rest["allocations"]:
        report = scratch / "leaked.json"
        report.write_text(json.dumps(rest))
        # The report has been cut down to what is lost for certain, so nobody need be locked out meanwhile.
        calicoctl.run("ipam", "release", f"--from-report={report}", "--force")


def main() -> None:
    module = HostModule(
        argument_spec={
            **calico_calicoctl.ARGUMENTS,
            "nodes": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    known = set(module.params["nodes"])
    if not known:
        module.fail_json(msg="nodes: []: name the nodes that the cluster has; all others would be released")
    calicoctl = Calicoctl(module.run_command, module.params)
    with module.reporting(), tempfile.TemporaryDirectory(dir=module.tmpdir) as scratch:
        lost = look(calicoctl, Path(scratch)).of_others(known)
        if lost and not module.check_mode:
            release(calicoctl, lost, Path(scratch))
            left = look(calicoctl, Path(scratch)).of_others(known)
            if left:
                module.fail_json(msg=f"calicoctl refused nothing, but these are held still: {json.dumps(left)}")
    module.exit_json(
        changed=bool(lost),
        lost=lost,
        diff={"before": f"{json.dumps(lost, indent=2)}\n" if lost else "", "after": ""},
    )


if __name__ == "__main__":
    main()
