#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vxlan_info
short_description: VXLAN devices with their FDB entries, neighbours, routes and statistics, as data
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Tells all that the kernel holds of VXLAN devices, whoever put it there, and what it learned.
  - Attributes are named as the options of M(binary_cluster.networking.vxlan) are.
extends_documentation_fragment:
  - binary_cluster.networking._attributes.INFO
  - binary_cluster.networking._attributes.actiongroup_networking
requirements:
  - iproute2 5.0 or newer on the target
options:
  name:
    description: Name of a device. Unset takes all. One that is not there, or is no VXLAN device, gives an empty list.
    type: str
seealso:
  - module: binary_cluster.networking.vxlan
"""

EXAMPLES = r"""
---
- name: Read all VXLAN devices
  binary_cluster.networking.vxlan_info:
  register: overlay

- name: Read one device
  binary_cluster.networking.vxlan_info:
    name: vxlan1
"""

RETURN = r"""
devices:
  description: The devices, by name.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description:
        - Name of the device. The other attributes are options of M(binary_cluster.networking.vxlan) too, save
          C(gpe), C(rsc), C(remcsum_tx), C(remcsum_rx) and C(label), which it leaves as they are.
      type: str
      sample: vxlan1
    remote:
      description: Address or group that packets go to whose MAC has no FDB entry; empty without one.
      type: str
    running:
      description: Whether the device is up and its carrier too.
      type: bool
    addresses:
      description: Addresses with their prefix length.
      type: list
      elements: str
      sample: [10.244.1.0/32]
    fdb:
      description:
        - FDB entries, with RV(devices[].fdb[].mac), RV(devices[].fdb[].destination) and RV(devices[].fdb[].state).
          Where an entry has them, C(port), C(vni), C(interface) and C(flags) too.
      type: list
      elements: dict
      contains:
        mac:
          description: MAC; the zero MAC is that of flooded packets.
          type: str
        destination:
          description: Address on the underlay.
          type: str
        state:
          description: V(permanent), V(static), or V(learned) from packets.
          type: str
      sample: [{mac: "02:00:0a:f4:02:00", destination: 192.0.2.12, state: permanent}]
    neighbours:
      description: Neighbours.
      type: list
      elements: dict
      contains:
        address:
          description: Address.
          type: str
        mac:
          description: Its MAC; empty where it is not known.
          type: str
        state:
          description: State, such as V(permanent) or V(reachable).
          type: str
        protocol:
          description: Number of who put it there; V(0) where it says nothing.
          type: int
      sample: [{address: 10.244.2.0, mac: "02:00:0a:f4:02:00", state: permanent, protocol: 140}]
    routes:
      description: Routes of all tables that leave through the device alone, save those the kernel makes by itself.
      type: list
      elements: dict
      contains:
        destination:
          description: Network.
          type: str
        gateway:
          description: Gateway; empty without one.
          type: str
        onlink:
          description: Whether the gateway is taken to be on the link.
          type: bool
        metric:
          description: Metric.
          type: int
        mtu:
          description: MTU of the route; V(0) for that of the device.
          type: int
        table:
          description: Number of the table.
          type: int
        protocol:
          description: Number of who put it there.
          type: int
      sample:
        - destination: 10.244.2.0/24
          gateway: 10.244.2.0
          onlink: true
          metric: 0
          mtu: 0
          table: 254
          protocol: 140
    statistics:
      description: Counters since the device was made, by direction.
      type: dict
      sample:
        received: {bytes: 7182, packets: 85, errors: 0, dropped: 0}
        sent: {bytes: 7182, packets: 85, errors: 0, dropped: 3}
"""

from dataclasses import asdict
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import routes
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import link as vxlan_link

COUNTERS = ("bytes", "packets", "errors", "dropped")
# Keys of `bridge -json fdb` for what few entries have.
RARE = {"port": "port", "vni": "vni", "viaIf": "interface"}


def attributes(entry: dict[str, Any], link: vxlan_link.Link) -> dict[str, Any]:
    """A device itself, with its counters."""
    counters = entry.get("stats64") or entry.get("stats") or {}
    addresses = [f"{one['local']}/{one['prefixlen']}" for one in entry.get("addr_info", ()) if "local" in one]
    directions = {"received": counters.get("rx", {}), "sent": counters.get("tx", {})}
    told = asdict(link)
    told["port_range"] = [int(port) for port in link.port_range.split()]
    told["running"] = "UP" in entry["flags"] and "LOWER_UP" in entry["flags"]
    told["addresses"] = addresses
    told["statistics"] = {
        direction: {name: int(values.get(name, 0)) for name in COUNTERS} for direction, values in directions.items()
    }
    return told


def fdb_entry(entry: dict[str, Any]) -> dict[str, Any]:
    """An FDB entry."""
    told = {"mac": entry["mac"], "destination": entry.get("dst", ""), "state": entry.get("state") or "learned"}
    told.update({name: entry[key] for key, name in RARE.items() if key in entry})
    flags = [flag for flag in entry.get("flags", ()) if flag != "self"]
    return {**told, **({"flags": flags} if flags else {})}


def neighbour(entry: dict[str, Any], protocols: dict[str, str]) -> dict[str, Any]:
    """A neighbour."""
    protocol = str(entry.get("protocol", "0"))
    return {
        "address": entry["dst"],
        "mac": entry.get("lladdr", ""),
        "state": (entry.get("state") or ["none"])[0].lower(),
        "protocol": number(protocols.get(protocol, protocol)),
    }


def route(found: routes.Route) -> dict[str, Any]:
    """A route."""
    return {
        "destination": found.destination,
        "gateway": found.hops[0].gateway,
        "onlink": found.hops[0].onlink,
        "metric": found.metric,
        "mtu": found.mtu,
        "table": number(found.table),
        "protocol": number(found.protocol),
    }


def number(text: str) -> int:
    """The number that `ip` printed; -1 for a name that nothing on the host explains."""
    return int(text) if text.isdecimal() else -1


def devices(kernel: iproute.IpRoute, only: str | None) -> list[dict[str, Any]]:
    """The devices with all they hold."""
    told: dict[str, dict[str, Any]] = {}
    for entry in kernel.links(statistics=True):
        link = vxlan_link.from_json(entry)
        if link and only in (None, link.name):
            told[link.name] = {**attributes(entry, link), "fdb": [], "neighbours": [], "routes": []}
    if not told:
        return []
    asked = only or ""
    for entry in kernel.fdb(asked):
        device = told.get(asked or entry.get("ifname", ""))
        if device and "self" in entry.get("flags", ()):
            device["fdb"].append(fdb_entry(entry))
    names = routes.Names(iproute.numbers("rt_protos"), iproute.numbers("rt_tables"))
    for entry in kernel.neighbours(asked):
        device = told.get(asked or entry.get("dev", ""))
        if device:
            device["neighbours"].append(neighbour(entry, dict(names.protocols)))
    for family in (4, 6):
        for entry in kernel.routes("all", family):
            found = routes.from_json(entry, family, names)
            device = told.get(found.hops[0].device) if found and len(found.hops) == 1 else None
            if found and device and found.protocol not in routes.BY_ITSELF:
                device["routes"].append(route(found))
    return [told[name] for name in sorted(told)]


def main() -> None:
    module = HostModule(argument_spec={"name": {"type": "str"}}, supports_check_mode=True)
    kernel = iproute.IpRoute(module.run_command)
    with module.reporting():
        kernel.require()
        module.exit_json(changed=False, devices=devices(kernel, module.params["name"]))


if __name__ == "__main__":
    main()
