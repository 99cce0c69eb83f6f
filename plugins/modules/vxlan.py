#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vxlan
short_description: VXLAN devices with their peers, in one call
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Brings any number of VXLAN devices to the wanted state. A device is created, changed in place without losing
    a packet, or refused. What a peer needs is an FDB entry, permanent neighbours and onlink routes; thousands
    of them are compared and written in one go.
  - All is validated before anything is touched, and all faults are told at once, each with its place, such as
    C(devices[0].peers[3].mac). Should the kernel refuse a change, what was begun is undone, and the message has
    the kernel's own words and the item that failed.
  - Attributes with a default are always brought to it or to what is given. O(devices[].local),
    O(devices[].remote), O(devices[].group), O(devices[].device) and O(devices[].port_range) that are unset are taken
    away. O(devices[].mac), O(devices[].bridge), O(devices[].addresses), O(devices[].peers) and O(devices[].flood)
    that are unset are left as they are found; an empty list means that there are none.
  - What is wanted is taken over whoever put it there, and so repaired after an edit by hand. What is not wanted
    is removed, under O(purge), only where it belongs to this module. See the notes for what that means.
  - The kernel cannot change some attributes of a device that exists. Such a change is refused, unless
    O(recreate=allowed).
  - A state lasts until the next boot, as with all that is set through C(ip).
extends_documentation_fragment:
  - binary_cluster.networking._attributes
  - binary_cluster.networking._attributes.actiongroup_networking
requirements:
  - iproute2 5.0 or newer on the target
options:
  devices:
    description: The devices.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the device, of at most 15 characters.
        type: str
        required: true
      vni:
        description: VXLAN network identifier, 1 to 16777215. Required for O(state=present). Unchangeable.
        type: int
      local:
        description:
          - Address of this host on the underlay, IPv4 or IPv6, from which packets are sent. Its IP version is
            that of the device, and unchangeable.
        type: str
      device:
        description:
          - Interface that packets are sent through. Unset lets the host's routes decide. Cannot be taken away
            from a device that has one.
        type: str
      port:
        description: UDP port. V(4789) is IANA's, flannel uses V(8472). Unchangeable.
        type: int
        default: 4789
      remote:
        description: The one address that packets go to whose MAC has no FDB entry, in a tunnel between two.
        type: str
      group:
        description:
          - Multicast group that packets go to whose MAC has no FDB entry. Needs O(devices[].device). Unchangeable
            on kernels before 6.15, which do not join a changed group.
        type: str
      mtu:
        description:
          - MTU of the device. Unset derives it from the underlay, less 50 bytes for IPv4 and 70 for IPv6. The
            underlay is O(devices[].device), else the interface that has O(devices[].local), else the one that leads
            to O(devices[].remote) or to the first peer.
        type: int
      mac:
        description: MAC of the VTEP. Unset keeps the one it has, also when it is made anew.
        type: str
      learning:
        description: Whether FDB entries are learned from packets.
        type: bool
        default: true
      ageing:
        description: Seconds after which a learned entry is forgotten.
        type: int
        default: 300
      ttl:
        description: TTL of outer packets, 1 to 255, V(auto), or V(inherit) from the inner packet. V(inherit) is
          unchangeable.
        type: str
        default: auto
      tos:
        description: TOS byte of outer packets, such as V(0x10), or V(inherit) from the inner packet.
        type: str
        default: "0"
      df:
        description: Whether outer IPv4 packets have DF set, or as the inner packet has it.
        type: str
        choices: [unset, set, inherit]
        default: unset
      udp_checksum:
        description: Whether outer packets over IPv4 carry a UDP checksum. Unchangeable.
        type: bool
        default: true
      udp6_zero_checksum_tx:
        description: Whether outer packets over IPv6 are sent without a UDP checksum. Unchangeable.
        type: bool
        default: false
      udp6_zero_checksum_rx:
        description: Whether packets over IPv6 without a UDP checksum are taken. Unchangeable.
        type: bool
        default: false
      gbp:
        description: Whether the group policy extension is used. Unchangeable.
        type: bool
        default: false
      proxy:
        description: Whether the device answers ARP and neighbour solicitations from its neighbours. Unchangeable.
        type: bool
        default: false
      l2miss:
        description: Whether the kernel tells of MACs without FDB entry by netlink. Unchangeable.
        type: bool
        default: false
      l3miss:
        description: Whether the kernel tells of addresses without neighbour by netlink. Unchangeable.
        type: bool
        default: false
      port_range:
        description: Lowest and highest source port of outer packets. Unset leaves that to the kernel. Unchangeable.
        type: list
        elements: int
      limit:
        description: Most FDB entries the device may hold. V(0) is no limit. Unchangeable.
        type: int
        default: 0
      external:
        description: Not supported. V(true) is refused, as such a device has no VNI and no peers of its own.
        type: bool
        default: false
      vnifilter:
        description: Not supported. V(true) is refused, as such a device has no VNI and no peers of its own.
        type: bool
        default: false
      bridge:
        description: Bridge that the device is a port of. An empty string takes it out of any.
        type: str
      addresses:
        description:
          - Addresses of the device, with their prefix length. A bare address stands for itself alone, as flannel's do.
        type: list
        elements: str
      up:
        description: Whether the device is up.
        type: bool
        default: true
      peers:
        description: VTEPs of other hosts. One given twice counts once.
        type: list
        elements: dict
        suboptions:
          underlay:
            description: Address on the underlay.
            type: str
            required: true
          mac:
            description: MAC of the peer's VTEP. Its FDB entry sends frames for it to O(devices[].peers[].underlay).
            type: str
            required: true
          overlay:
            description:
              - Addresses inside the network that O(devices[].peers[].mac) answers for, a permanent neighbour each. The
                first of an IP version is the gateway of the peer's subnets of that version.
            type: list
            elements: str
            default: []
          subnets:
            description: Networks behind the peer, an onlink route each. Bits beyond the prefix length are cleared.
            type: list
            elements: str
            default: []
      flood:
        description:
          - Underlay addresses that get a copy of each frame whose MAC has no FDB entry, such as broadcasts. They
            are the entries with the zero MAC.
        type: list
        elements: str
  state:
    description:
      - Whether the devices are there. V(absent) looks at O(devices[].name) alone, and removes a device with all
        it holds, whoever put it there.
    type: str
    choices: [present, absent]
    default: present
  recreate:
    description:
      - Whether a device may be made anew where an attribute cannot be changed. What it holds is dropped, and what is
        wanted is put back. The refusal tells what that would be.
    type: str
    choices: [refused, allowed]
    default: refused
  purge:
    description: Whether entries that belong to this module and are not wanted are removed.
    type: bool
    default: true
  protocol:
    description:
      - Number, 5 to 255, that marks routes and neighbours as this module's. It must be nobody else's on the host. See
        C(/etc/iproute2/rt_protos) for those in use.
    type: int
    default: 140
notes:
  - A route belongs to this module if it carries O(protocol), is in the main table and leaves through one device of
    O(devices). A neighbour does if it carries O(protocol) and is permanent on such a device.
  - FDB entries carry no mark of their owner. One belongs to this module if it is C(self) and C(permanent) on a device
    of O(devices) and nothing more, which is all that this module ever writes. One that was learned, that is C(static),
    that names a port, VNI, interface or next hop of its own, or that has the flag of a control plane
    (C(extern_learn)) is foreign, and left alone.
  - The kernel keeps the state once for all entries with the zero MAC, so the flood list of a device has one owner.
    Only a destination with a port, VNI or interface of its own is foreign there.
  - Addresses belong to whoever gives O(devices[].addresses), save those of IPv6 that are link-local, and those
    that are temporary.
  - A change of O(devices[].mac), removal of the last IPv4 address and O(devices[].up=false) make the kernel drop
    neighbours or routes. Those that can be are put back, foreign ones too; the others show in the diff.
seealso:
  - module: binary_cluster.networking.vxlan_info
  - module: binary_cluster.networking.host_routes
"""

EXAMPLES = r"""
---
- name: Create a device of a routed overlay, as flannel builds it
  binary_cluster.networking.vxlan:
    devices:
      - name: vxlan1
        vni: 1
        port: 8472
        local: 192.0.2.11
        mac: "02:00:0a:f4:01:00"
        learning: false
        addresses: [10.244.1.0]
        peers:
          - underlay: 192.0.2.12
            mac: "02:00:0a:f4:02:00"
            overlay: [10.244.2.0]
            subnets: [10.244.2.0/24]
          - underlay: 192.0.2.13
            mac: "02:00:0a:f4:03:00"
            overlay: [10.244.3.0, "fd00:244:3::"]
            subnets: [10.244.3.0/24, 10.244.103.0/24, "fd00:244:3::/64"]

- name: Create a device for a bridge that spans three hosts
  binary_cluster.networking.vxlan:
    devices:
      - name: vxlan2
        vni: 2
        local: 192.0.2.11
        bridge: br0
        flood: [192.0.2.12, 192.0.2.13]

- name: Create a tunnel over IPv6, for which the port may change
  binary_cluster.networking.vxlan:
    recreate: allowed
    devices:
      - name: vxlan3
        vni: 3
        port: 4790
        local: "2001:db8::11"
        remote: "2001:db8::12"
        ttl: 64
        addresses: [10.3.0.1/30, "fd00:3::1/64"]

- name: Remove them with all they hold
  binary_cluster.networking.vxlan:
    state: absent
    devices:
      - name: vxlan1
      - name: vxlan2
      - name: vxlan3
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one item each.
  returned: always
  type: list
  elements: str
  sample: ["change vxlan device vxlan1", "add fdb 02:00:0a:f4:02:00 dev vxlan1 dst 192.0.2.12"]
devices:
  description: The devices as they are now. In check mode, as they would be; the MAC of a new one may be empty.
  returned: O(state=present)
  type: list
  elements: dict
  contains:
    name:
      description: Name of the device.
      type: str
    vni:
      description: Its VNI.
      type: int
    port:
      description: Its UDP port.
      type: int
    mac:
      description: Its MAC.
      type: str
    mtu:
      description: Its MTU.
      type: int
  sample:
    - {name: vxlan1, vni: 1, port: 8472, mac: "02:00:0a:f4:01:00", mtu: 1450}
left:
  description: What could not be undone after a failure, as lines of a diff. Empty where all was.
  returned: on a failure of the kernel
  type: list
  elements: str
"""

import contextlib
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import changes as plan_changes, validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.changes import Change
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import (
    checks as vxlan_checks,
    link as vxlan_link,
    plan as vxlan_plan,
    spec as vxlan_spec,
    state as vxlan_state,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.spec import Wanted
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.state import State

RETURNED = ("name", "vni", "port", "mac", "mtu")


class Devices:
    """The devices of this call: what is wanted, and the kernel that is to have it."""

    def __init__(self, module: HostModule) -> None:
        self.module = module
        self.params = module.params
        self.kernel = iproute.IpRoute(module.run_command)
        self.protocol = str(module.params["protocol"])
        self.wanted: list[Wanted] = []
        self.names: list[tuple[str, str]] = []

    def parse(self) -> None:
        """Judge the options by themselves."""
        faults = validation.Faults()
        with faults.noted():
            validation.number("protocol", self.params["protocol"], 5, 255)
        if self.params["state"] == "present":
            self.wanted = vxlan_spec.parse(self.params["devices"], self.protocol, faults)
            self.names = [(device.name, device.where) for device in self.wanted]
        else:
            self.names = vxlan_spec.parse_names(self.params["devices"], faults)
        self.refuse(faults)

    def refuse(self, faults: validation.Faults) -> None:
        """End the module where there are faults."""
        if faults.found:
            self.module.fail_json(msg=faults.text())

    def observe(self) -> State:
        """Read the kernel's state."""
        state = vxlan_state.observe(self.kernel, [name for name, _where in self.names])
        for device, address in vxlan_checks.unknown_egress(self.wanted, state).items():
            state.egress[device] = self.kernel.egress(address).get("dev", "")
        return state

    def judge(self, state: State) -> None:
        """Judge the options by what is there."""
        faults = validation.Faults()
        if self.params["state"] == "present":
            vxlan_checks.judge(self.wanted, state, self.params["recreate"] == "allowed", faults)
        else:
            vxlan_checks.judge_names(self.names, state, faults)
        self.refuse(faults)

    def plan(self, state: State) -> list[Change]:
        """The changes that lead to what is wanted."""
        if self.params["state"] == "present":
            return vxlan_plan.plan(self.wanted, state, self.protocol, self.params["purge"])
        return vxlan_plan.removal(self.names, state)

    def give_up(self, why: str, changes: list[Change], before: State) -> None:
        """End the module after a failure, with what it left behind."""
        names = [name for name, _where in self.names]
        now = self.observe()
        for name in names:
            there, was = now.links.get(name), before.links.get(name)
            if there and was and vxlan_link.unchangeable(there, was, now.kernel):
                with contextlib.suppress(plan_changes.PlanError):
                    plan_changes.apply(self.kernel, vxlan_plan.rebuild(name, before, now))
        left = vxlan_state.residue(names, changes, before, self.observe())
        undone = "What was begun could not be undone in full" if left else "What was begun is undone"
        self.module.fail_json(msg=f"{why}. {undone}.", left=left)


OPTIONS: dict[str, Any] = {
    "devices": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "vni": {"type": "int"},
            "local": {"type": "str"},
            "device": {"type": "str"},
            "port": {"type": "int", "default": 4789},
            "remote": {"type": "str"},
            "group": {"type": "str"},
            "mtu": {"type": "int"},
            "mac": {"type": "str"},
            "learning": {"type": "bool", "default": True},
            "ageing": {"type": "int", "default": 300},
            "ttl": {"type": "str", "default": "auto"},
            "tos": {"type": "str", "default": "0"},
            "df": {"type": "str", "choices": ["unset", "set", "inherit"], "default": "unset"},
            "udp_checksum": {"type": "bool", "default": True},
            "udp6_zero_checksum_tx": {"type": "bool", "default": False},
            "udp6_zero_checksum_rx": {"type": "bool", "default": False},
            "gbp": {"type": "bool", "default": False},
            "proxy": {"type": "bool", "default": False},
            "l2miss": {"type": "bool", "default": False},
            "l3miss": {"type": "bool", "default": False},
            "port_range": {"type": "list", "elements": "int"},
            "limit": {"type": "int", "default": 0},
            "external": {"type": "bool", "default": False},
            "vnifilter": {"type": "bool", "default": False},
            "bridge": {"type": "str"},
            "addresses": {"type": "list", "elements": "str"},
            "up": {"type": "bool", "default": True},
            "peers": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "underlay": {"type": "str", "required": True},
                    "mac": {"type": "str", "required": True},
                    "overlay": {"type": "list", "elements": "str", "default": []},
                    "subnets": {"type": "list", "elements": "str", "default": []},
                },
            },
            "flood": {"type": "list", "elements": "str"},
        },
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "recreate": {"type": "str", "choices": ["refused", "allowed"], "default": "refused"},
    "purge": {"type": "bool", "default": True},
    "protocol": {"type": "int", "default": 140},
}


def main() -> None:
    module = HostModule(
        argument_spec=OPTIONS,
        supports_check_mode=True,
    )
    with module.reporting():
        devices = Devices(module)
        devices.parse()
        devices.kernel.require()
        before = devices.observe()
        devices.judge(before)
        changes = devices.plan(before)
        after = vxlan_state.planned(before, changes)
        if changes and not module.check_mode:
            try:
                after = plan_changes.converge(devices.kernel, changes, devices.observe, devices.plan)
            except plan_changes.PlanError as error:
                devices.give_up(str(error), changes, before)
    result: dict[str, Any] = {
        "changed": bool(changes),
        "actions": [change.text() for change in changes if change.before != change.after],
    }
    if module.params["state"] == "present":
        links = [after.links[name] for name, _where in devices.names]
        result["devices"] = [{field: getattr(link, field) for field in RETURNED} for link in links]
    if module._diff:
        result["diff"] = vxlan_state.diff([name for name, _where in devices.names], changes, before, after)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
