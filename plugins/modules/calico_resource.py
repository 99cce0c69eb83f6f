#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: calico_resource
short_description: Resources in Calico's datastore
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Makes, changes and removes resources such as IP pools, BGP peers and policies. A list of any length and of any
    kinds is one call; policies are made before the host endpoints that would shut a host without them.
  - Of kinds into which Calico itself writes, C(BGPConfiguration), C(FelixConfiguration), C(IPPool), C(Node) and
    C(Profile), only the fields and labels that are named are changed; a field that is null is removed. All other
    resources are kept as they are described, and what is not named goes.
  - Values that Calico writes in another way, such as a duration of C(90s) or a port as a string, count as equal.
  - Unknown kinds and fields are refused with their place before anything is written. Should Calico refuse a
    resource later, what was begun is undone, and the message has calicoctl's own words.
  - In check mode, a datastore that is not there yet, or a calicoctl that is not, counts as one without resources.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
  - binary_cluster.networking._calico
notes:
  - No secret is in these resources. A C(BGPPeer) names the key of a Kubernetes secret, not a password.
options:
  resources:
    description:
      - The resources, as C(calicoctl) takes them, with C(kind), C(metadata) of C(name), C(namespace), C(labels) and
        C(annotations), and C(spec). Without C(apiVersion), it is C(projectcalico.org/v3).
      - With O(state=absent), C(kind) and C(metadata) are enough.
    type: list
    elements: dict
    default: []
  state:
    description: Whether the resources are there.
    type: str
    choices: [present, absent]
    default: present
  purge_label:
    description:
      - Labels that every one of the O(resources) gets that is of one of the O(purge_kinds). Others of these kinds
        that bear them are removed.
      - Only with O(state=present).
    type: dict
  purge_kinds:
    description: Kinds to which O(purge_label) applies.
    type: list
    elements: str
    choices: [IPPool, IPReservation, BGPConfiguration, BGPFilter, FelixConfiguration, Node, BGPPeer, Profile,
      GlobalNetworkSet, NetworkSet, GlobalNetworkPolicy, NetworkPolicy, HostEndpoint]
"""

EXAMPLES = r"""
---
- name: Give the nodes of a rack an IP pool of their own, and advertise pods with BGP
  binary_cluster.networking.calico_resource:
    resources:
      - kind: IPPool
        metadata: {name: rack-a}
        spec: {cidr: 10.245.0.0/16, nodeSelector: rack == 'a', vxlanMode: CrossSubnet, natOutgoing: true}
      - kind: BGPConfiguration
        metadata: {name: default}
        spec: {nodeToNodeMeshEnabled: true, asNumber: 64512}
      - kind: Node
        metadata: {name: node1, labels: {rack: a}}
        spec: {bgp: {ipv4Address: 192.0.2.11/24}}

- name: Write the policies of the shop, and remove all others that it had
  binary_cluster.networking.calico_resource:
    purge_label: {owner: shop}
    purge_kinds: [GlobalNetworkPolicy]
    resources:
      - kind: GlobalNetworkPolicy
        metadata: {name: database}
        spec:
          selector: role == 'database'
          ingress:
            - {action: Allow, protocol: TCP, source: {selector: role == 'shop'}, destination: {ports: [5432]}}

- name: Remove the node from the datastore
  binary_cluster.networking.calico_resource:
    state: absent
    resources:
      - {kind: Node, metadata: {name: node1}}
"""

RETURN = r"""
actions:
  description: What was done, in its order.
  returned: always
  type: list
  elements: str
  sample: [create IPPool pods, patch Node node1, delete NetworkPolicy default/shop]
"""

from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._calico import (
    calicoctl as calico_calicoctl,
    resources as calico_resources,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._calico.calicoctl import (
    Calicoctl,
    CalicoctlError,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule


def difference(change: calico_resources.Change) -> dict[str, str]:
    """A change as a diff."""
    return {
        "before_header": str(change.key),
        "after_header": str(change.key),
        "before": change.before.text() if change.before else "",
        "after": change.after.text() if change.after else "",
    }


def refuse_unreadable(calicoctl: Calicoctl, changes: list[calico_resources.Change]) -> None:
    """Raise CalicoctlError for resources that calicoctl cannot read, with the place of each."""
    by_key = {change.key: change.where for change in changes}
    refused = calicoctl.unreadable([change.after for change in changes if change.after])
    if refused:
        told = (f"{calico_calicoctl.field_place(said, one, by_key[one.key])}: {said}" for one, said in refused)
        raise CalicoctlError("\n".join(told))


OPTIONS: dict[str, Any] = {
    **calico_calicoctl.ARGUMENTS,
    "resources": {"type": "list", "elements": "dict", "default": []},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "purge_label": {"type": "dict"},
    "purge_kinds": {"type": "list", "elements": "str", "choices": list(calico_resources.KINDS)},
}


def main() -> None:
    module = HostModule(
        argument_spec=OPTIONS,
        required_together=[("purge_label", "purge_kinds")],
        supports_check_mode=True,
    )
    params = module.params
    label, purged, present = params["purge_label"], params["purge_kinds"] or (), params["state"] == "present"
    if label is not None and not (label and present):
        module.fail_json(msg=f"purge_label: {label}: give at least one label, and only with state: present")
    wanted, places, faults = calico_resources.read(params["resources"], partial=not present)
    if faults:
        module.fail_json(msg="\n".join(map(str, faults)))
    calicoctl = Calicoctl(module.run_command, params)
    with module.reporting():
        try:
            found = calicoctl.found({key.kind for key in wanted} | set(purged))
            reached = True
        except CalicoctlError:
            if not module.check_mode:
                raise
            found, reached = {}, False
        if present:
            changes = calico_resources.plan(wanted, places, found, label, purged)
        else:
            changes = calico_resources.plan_absent(places, found)
        if reached:
            refuse_unreadable(calicoctl, changes)
        if not module.check_mode:
            calicoctl.carry_out(changes)
    module.exit_json(
        changed=bool(changes),
        actions=[str(change) for change in changes],
        diff=[difference(change) for change in changes],
    )


if __name__ == "__main__":
    main()
