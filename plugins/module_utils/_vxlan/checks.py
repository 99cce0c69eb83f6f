# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What a host makes of wanted VXLAN devices: their underlay and MTU, and what it does not allow."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.validation import Faults
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing import routes
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan import link as vxlan_link
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.link import Link
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.spec import Wanted
from ansible_collections.binary_cluster.networking.plugins.module_utils._vxlan.state import State

# What a device that is made anew keeps: fields no option sets.
KEPT = ("gpe", "rsc", "remcsum_tx", "remcsum_rx", "label")


def underlay(device: Wanted, state: State) -> str:
    """Interface whose MTU limits the device's packets; empty where none is known."""
    named = str(device.settings["device"])
    if named:
        return named
    for interface in state.interfaces.values():
        # An address of the loopback interface says nothing about the way out.
        if device.settings["local"] in interface.addresses and not interface.loopback:
            return interface.name
    return state.egress.get(device.name, "")


def unknown_egress(wanted: Iterable[Wanted], state: State) -> dict[str, str]:
    """Addresses, by device, whose route tells the interface that the MTU is to be derived from."""
    asking = [device for device in wanted if device.mtu is None and not underlay(device, state)]
    return {device.name: device.on_underlay() for device in asking if device.on_underlay()}


def link(device: Wanted, state: State) -> Link:
    """The wanted device in full."""
    there = state.links.get(device.name)
    mtu = device.mtu
    if mtu is None:
        mtu = state.interfaces[underlay(device, state)].mtu - vxlan_link.OVERHEAD[device.family]
    return Link(
        name=device.name,
        mac=device.mac or (there.mac if there else ""),
        mtu=mtu,
        up=device.up,
        bridge=device.bridge if device.bridge is not None else there.bridge if there else "",
        **device.settings,
        **({field: getattr(there, field) for field in KEPT} if there else {}),
    )


def judge_names(names: Iterable[tuple[str, str]], state: State, faults: Faults) -> None:
    """Find links of these names that are something else."""
    for name, where in names:
        there = state.interfaces.get(name)
        if there and there.kind != "vxlan":
            kind = f" ({there.kind})" if there.kind else ""
            faults.add(f"{where}.name", f"{name} is there but no VXLAN device{kind}")


def judge(wanted: list[Wanted], state: State, recreate: bool, faults: Faults) -> None:
    """Find what the host does not allow."""
    names = {device.name: device.where for device in wanted}
    judge_names(names.items(), state, faults)
    others = [other for other in state.links.values() if other.name not in names]
    for device in wanted:
        where, name = device.where, device.name
        if _judge_underlay(device, state, faults):
            after = link(device, state)
            _judge_segment(where, after, others, faults)
            if name in state.links and not recreate:
                _judge_recreation(device, state.links[name], after, state, faults)
        bridge = state.interfaces.get(device.bridge or "")
        if device.bridge and (bridge is None or bridge.kind != "bridge"):
            faults.add(f"{where}.bridge", f"there is no bridge {device.bridge}")
        for place, why in routes.conflicts(device.routes or (), state.routes):
            faults.add(place, why)


def _judge_underlay(device: Wanted, state: State, faults: Faults) -> bool:
    """Whether the way out is known and wide enough."""
    where, settings = device.where, device.settings
    before = len(faults.found)
    if settings["device"] and settings["device"] not in state.interfaces:
        faults.add(f"{where}.device", f"there is no interface {settings['device']}")
    local = settings["local"]
    if local and not any(local in interface.addresses for interface in state.interfaces.values()):
        faults.add(f"{where}.local", f"{local} is no address of this host")
    if len(faults.found) > before:
        return False
    out = state.interfaces.get(underlay(device, state))
    overhead = vxlan_link.OVERHEAD[device.family]
    if device.mtu is None and out is None:
        why = (
            "cannot be derived, as neither `device`, `local`, `remote`, `peers` nor `flood` tells the underlay; set it"
        )
        faults.add(f"{where}.mtu", why)
        return False
    # The kernel holds a device to its underlay only where it was told of it.
    if device.mtu is not None and settings["device"] and out and device.mtu > out.mtu - overhead:
        most = out.mtu - overhead
        why = f"{device.mtu} is more than {out.name} carries: {out.mtu} less {overhead} of headers is {most}"
        faults.add(f"{where}.mtu", why)
    return True


def _judge_segment(where: str, after: Link, others: Iterable[Link], faults: Faults) -> None:
    """No device outside this call may hold the VNI."""
    for other in others:
        same = (other.vni, other.port, other.family, other.gbp) == (after.vni, after.port, after.family, after.gbp)
        if same and not other.external:
            faults.add(f"{where}.vni", f"{after.vni} at port {after.port} belongs to {other.name}")


def _judge_recreation(device: Wanted, there: Link, after: Link, state: State, faults: Faults) -> None:
    for field in vxlan_link.unchangeable(there, after, state.kernel):
        option = "group" if field == "remote" and vxlan_link.multicast(after.remote or there.remote) else field
        old, new = (str(getattr(one, field)).lower() or "none" for one in (there, after))
        why = (
            f"{old} cannot become {new} while {device.name} exists; to make it anew drops what it holds now: "
            f"{dropped(state, there)}. Allow that with `recreate: allowed`"
        )
        faults.add(f"{device.where}.{option}", why)


def dropped(state: State, there: Link) -> str:
    """What goes with a device, in words."""
    kinds = {"fdb": "FDB entries", "address": "addresses", "neighbour": "neighbours", "route": "routes"}
    counts = dict.fromkeys(kinds, 0)
    for item in state.held(there.name):
        counts[item.text().split()[0]] += 1
    bridge = [f"its port of bridge {there.bridge}"] if there.bridge else []
    return ", ".join([f"{count} {kinds[kind]}" for kind, count in counts.items()] + bridge)
