#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vip_info
short_description: Who holds which virtual address, and whether two machines do
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Asks the keepalived that role C(api_load_balancer) runs on this host for its virtual routers, looks for
    their addresses on the interfaces, and asks the link who else answers for them.
  - An address that this host holds and another machine answers for is a split brain. So is one that two
    other machines answer for. Every balancer sees that by itself; no other host needs to be asked.
  - Listens for VRRP advertisements too, before any firewall. One that comes from no balancer, or from another
    MAC than that balancer has, is forged, or from a balancer whose network card is new and that is not heard
    until the role has run again. More than one sender for a virtual router is a second master.
extends_documentation_fragment:
  - binary_cluster.networking._attributes.INFO
options:
  unit:
    description: The unit of keepalived.
    type: str
    default: api-load-balancer-keepalived
"""

EXAMPLES = r"""
---
# ansible api_load_balancer -b -m binary_cluster.networking.vip_info
- name: Read the virtual addresses
  binary_cluster.networking.vip_info:
  register: vips

- name: Check that every address is on exactly one balancer
  ansible.builtin.assert:
    that:
      - not vips.split_brain
      - ansible_play_hosts | map('extract', hostvars, ['vips', 'held']) | flatten | length == vips.routers | length
"""

RETURN = r"""
held:
  description: Virtual addresses that are on this host.
  returned: success
  type: list
  elements: str
split_brain:
  description: Whether more than one machine has any of the addresses.
  returned: success
  type: bool
second_master:
  description: Whether more than one machine, this one included, advertises any of the virtual routers.
  returned: success
  type: bool
forged:
  description:
    - Whether any of the virtual routers is advertised by a machine that is none of the balancers, by its address and,
      where the role knows it, its MAC.
  returned: success
  type: bool
routers:
  description: Virtual routers of this host's keepalived.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the virtual router.
      type: str
    virtual_router_id:
      description: Identifier of the virtual router.
      type: int
    state:
      description: V(MASTER), V(BACKUP) or V(FAULT).
      type: str
    priority:
      description: Priority of this host now.
      type: int
    since:
      description: Time of the last change of state, in seconds since the epoch.
      type: float
    interface:
      description: Interface of the addresses.
      type: str
    advertised_by:
      description: Other machines that advertised the virtual router while this module listened.
      type: list
      elements: dict
      contains:
        address:
          description: Address of the sender.
          type: str
        mac:
          description: MAC of the sender.
          type: str
        priority:
          description: Priority that it advertised.
          type: int
        balancer:
          description: Whether it is one of the other balancers.
          type: bool
    addresses:
      description: Virtual addresses.
      type: list
      elements: dict
      contains:
        address:
          description: The address.
          type: str
        held:
          description: Whether this host has it.
          type: bool
        answered_by:
          description: MAC addresses of the other machines that answer for it.
          type: list
          elements: str
"""

import json
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import systemd
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import arp_ndp, iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._load_balancer import keepalived

CONFIGURATION = "/etc/api-load-balancer/health.json"
# Advertisements to wait for, so that one that is lost does not hide its sender, and seconds to wait at least.
ADVERTISEMENTS = 3.5
LEAST = 0.4


def known_links() -> dict[str, str]:
    """MAC of each other balancer by its address, as the role has written it; empty where it is not known."""
    try:
        with open(CONFIGURATION, encoding="utf-8") as stream:
            return dict(json.load(stream)["links"])
    except (OSError, ValueError, KeyError):
        return {}


def senders(router: int, heard: list[keepalived.Advertiser], links: dict[str, str]) -> list[dict[str, Any]]:
    """Other machines that advertise a virtual router."""
    return [
        {
            "address": one.address,
            "mac": one.mac,
            "priority": one.priority,
            "balancer": one.address in links and links[one.address] in ("", one.mac),
        }
        for one in heard
        if one.virtual_router_id == router
    ]


def addresses_of(link: dict[str, Any]) -> list[str]:
    """Addresses of a link."""
    return [entry["local"] for entry in link.get("addr_info", ()) if "local" in entry]


def link_local(link: dict[str, Any]) -> str:
    """An IPv6 address to ask from; empty without one."""
    return next((address for address in addresses_of(link) if address.startswith("fe80:")), "")


def look(router: keepalived.Router, links: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Where a router's addresses are."""
    link = links.get(router.interface, {})
    found = []
    for address in router.addresses:
        source = link_local(link)
        can_ask = bool(link) and "UP" in link.get("flags", ()) and (":" not in address or bool(source))
        found.append(
            {
                "address": address,
                "held": address in addresses_of(link),
                "answered_by": arp_ndp.who_has(address, router.interface, source) if can_ask else [],
            }
        )
    return found


def is_split(found: dict[str, Any]) -> bool:
    """Whether more than one machine has an address."""
    return int(found["held"]) + len(found["answered_by"]) > 1


def main() -> None:
    module = HostModule(
        argument_spec={"unit": {"type": "str", "default": "api-load-balancer-keepalived"}},
        supports_check_mode=True,
    )
    name = module.params["unit"]
    unit = systemd.show(module.run_command, name)
    if not unit.active:
        module.fail_json(msg=f"{name}: does not run; see journalctl --unit {name}")
    with module.reporting(name):
        number = int(module.run_command(["keepalived", "--signum=JSON"], check_rc=True)[1])
        links = {link["ifname"]: link for link in iproute.IpRoute(module.run_command).links()}
        asked = keepalived.ask(unit.main_pid, number)
        heard = keepalived.listen(max([LEAST, *(ADVERTISEMENTS * router.interval for router in asked)]))
        known = known_links()
        told: list[dict[str, Any]] = [
            {
                "name": router.name,
                "virtual_router_id": router.virtual_router_id,
                "state": router.state,
                "priority": router.priority,
                "since": router.since,
                "interface": router.interface,
                "advertised_by": senders(router.virtual_router_id, heard, known),
                "addresses": look(router, links),
            }
            for router in asked
        ]
    places = [place for router in told for place in router["addresses"]]
    module.exit_json(
        changed=False,
        held=[place["address"] for place in places if place["held"]],
        split_brain=any(is_split(place) for place in places),
        second_master=any(len(router["advertised_by"]) + int(router["state"] == "MASTER") > 1 for router in told),
        forged=any(not sender["balancer"] for router in told for sender in router["advertised_by"]),
        routers=told,
    )


if __name__ == "__main__":
    main()
