#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flannel_info
short_description: Leases of a flannel network beside the kernel's entries, and where they disagree
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Reads the leases of all nodes from etcd, and the routes, neighbours and forwarding database of this host,
    and lists every entry that is not as the leases ask.
extends_documentation_fragment:
  - binary_cluster.networking._attributes.INFO
  - binary_cluster.networking._etcd
options:
  prefix:
    description: Key under which the network lives in etcd.
    type: str
    default: /coreos.com/network
  address:
    description: Address of this node on the underlay. Unset takes it from the lease this host's flanneld holds.
    type: str
    default: ""
"""

EXAMPLES = r"""
---
- name: Read the leases, and whether the kernel follows them
  binary_cluster.networking.flannel_info:
    endpoints: [https://192.0.2.11:2379]
    ca_cert: /etc/flannel/pki/ca.crt
    client_cert: /etc/flannel/pki/client.crt
    client_key: /etc/flannel/pki/client.key
  register: flannel
"""

RETURN = r"""
network:
  description: The network's configuration in etcd.
  returned: success
  type: dict
leases:
  description: Leases of all nodes.
  returned: success
  type: list
  elements: dict
  contains:
    subnet:
      description: Part of the pod network.
      type: str
      sample: 10.244.7.0/24
    address:
      description: Address of the node that holds it.
      type: str
    backend:
      description: Backend of that node.
      type: str
    vtep_mac:
      description: MAC of its VTEP; empty for backends without one.
      type: str
    vni:
      description: VXLAN network identifier; 0 for backends without one.
      type: int
    expires_in:
      description: Seconds until the lease ends, unless it is renewed; -1 for one without an end.
      type: int
fdb:
  description: Forwarding database of flannel's link.
  returned: success
  type: list
  elements: dict
neighbours:
  description: Neighbours on flannel's link.
  returned: success
  type: list
  elements: dict
routes:
  description: Routes of the main table into the pod network.
  returned: success
  type: list
  elements: dict
disagreements:
  description: Entries of the kernel that are not as the leases ask.
  returned: success
  type: list
  elements: dict
  contains:
    lease:
      description: Subnet of the lease.
      type: str
    what:
      description: V(route), V(neighbour) or V(fdb).
      type: str
    wanted:
      description: What the lease asks for.
      type: str
    found:
      description: What the kernel has.
      type: str
"""

import dataclasses
import ipaddress
import json
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import flannel
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import client as etcd
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute

OPTIONS: dict[str, Any] = {
    **etcd.ARGUMENTS,
    "prefix": {"type": "str", "default": "/coreos.com/network"},
    "address": {"type": "str", "default": ""},
}


def main() -> None:
    module = HostModule(
        argument_spec=OPTIONS,
        supports_check_mode=True,
    )
    prefix = module.params["prefix"]
    kernel = iproute.IpRoute(module.run_command)
    with module.reporting():
        client = etcd.Client.of(module.params)
        described = client.get(f"{prefix}/config")
        if described is None:
            raise etcd.EtcdError(f"{prefix}/config: there is no such key: no flannel network is described here")
        network = json.loads(described)
        leases = flannel.leases(client.under(f"{prefix}/subnets/"), prefix)
        told = [
            {
                **dataclasses.asdict(lease),
                "expires_in": client.lease_ttl(lease.lease_id) if lease.lease_id else -1,
            }
            for lease in leases
        ]
        links = {link["ifname"]: link for link in kernel.links()}
        routes, fdb, neighbours = flannel.entries(kernel, network, links)
    held = {address["local"] for link in links.values() for address in link["addr_info"] if "local" in address}
    own = module.params["address"] or next((lease.address for lease in leases if lease.address in held), "")
    pods = ipaddress.ip_network(network["Network"])
    for entry in told:
        del entry["lease_id"]
    module.exit_json(
        changed=False,
        network=network,
        leases=told,
        fdb=fdb,
        neighbours=neighbours,
        routes=[route for route in routes if flannel.within(route.get("dst", ""), pods)],
        disagreements=flannel.disagreements(leases, own, network, routes, fdb, neighbours),
    )


if __name__ == "__main__":
    main()
