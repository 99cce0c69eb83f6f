# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A pod network that needs no daemon: which way leads to each node's pods, and what of it is kept for the next boot.

Everything follows from the inventory. The VTEP of a node has the first address of the node's pod
CIDR, with IPv6 of both, and a MAC made of the IPv4 one, so that nodes need not tell each other.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import contract
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import systemd
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan.changes import Change
from ansible_collections.binary_cluster.networking.plugins.module_utils._routing.routes import Route
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

DEVICE = "vxlan-mesh"
# Marks of the owner on routes and neighbours, none that iproute2 has a name for.
TUNNELLED, DIRECT = "145", "146"
# Address reservations end with the bridge: at the next boot neither is there.
RESERVATIONS = "/run/cni/ipam"
LIMITS = (
    systemd.NETWORK_ONESHOT
    + """\
DevicePolicy=closed
MemoryDenyWriteExecute=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
"""
)
# nftables.service flushes all tables where it is started, stopped, restarted or reloaded. A unit that is active is
# restarted and reloaded with it.
UNIT = f"""\
# Ansible managed
[Unit]
Description=Pod network {{name}}, as it was last applied
Wants=network-online.target
After=network-online.target nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -e {{script}}
ExecReload=/bin/sh -e {{script}}
Restart=on-failure
RestartSec=1

{LIMITS}
[Install]
WantedBy=multi-user.target nftables.service
"""
# With an address that is set again the kernel drops the routes of its interface, and no unit is started or stopped
# by it. Both write their state down after each change.
WATCH = """\
# Ansible managed
[Unit]
Description=Changes of the host's network, with which routes of the pod network {name} may go

[Path]
PathChanged=/run/systemd/netif/state
PathChanged=/run/NetworkManager/devices

[Install]
WantedBy=multi-user.target
"""
# A change is several writes within milliseconds, and one while the unit runs does not start it again: it waits for
# them to be over, and runs twice. Never active for long, it is started with nftables.service where the unit above is
# active already.
AGAIN = f"""\
# Ansible managed
[Unit]
Description=Pod network {{name}} again, after others changed the host's network or firewall
After={{name}}.service nftables.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStartPre=/bin/sleep 0.2
ExecStart=/bin/sh -e {{script}}
# What changed meanwhile has started nothing.
ExecStart=/bin/sleep 1
ExecStart=/bin/sh -e {{script}}
Restart=on-failure
RestartSec=1

{LIMITS}
[Install]
WantedBy=nftables.service
"""


class NetworkError(TaskError):
    """The network cannot be as asked for; the message says why."""


@dataclass(frozen=True)
class Node(contract.Node):
    """A node as the inventory has it."""

    pod_cidr_v6: str = ""

    def cidrs(self) -> list[str]:
        """The networks of its pods."""
        return [self.pod_cidr, *([self.pod_cidr_v6] if self.pod_cidr_v6 else [])]

    @property
    def mac(self) -> str:
        """MAC of the node's VTEP, locally administered."""
        return ":".join(
            f"{byte:02x}" for byte in b"\x02\xbc" + ipaddress.IPv4Network(self.pod_cidr).network_address.packed
        )


@dataclass(frozen=True)
class Underlay:
    """The interface that has this node's address."""

    name: str
    network: ipaddress.IPv4Network
    mtu: int


def first_of(pod_cidr: str) -> str:
    """First address of a pod CIDR, which no pod gets: that of the VTEP."""
    return str(ipaddress.ip_network(pod_cidr).network_address)


def nodes(entries: Iterable[Mapping[str, str]]) -> list[Node]:
    """The nodes in the order of their pod CIDRs, whatever that of the inventory."""
    found = [Node(entry["name"], entry["address"], entry["pod_cidr"], entry["pod_cidr_v6"]) for entry in entries]
    return sorted(found, key=lambda node: ipaddress.IPv4Network(node.pod_cidr))


def underlay(links: Iterable[Mapping[str, Any]], address: str) -> Underlay:
    """The interface that has an address. Raises NetworkError."""
    for link in links:
        for held in link.get("addr_info", ()):
            if held.get("local") == address:
                interface = ipaddress.IPv4Interface(f"{address}/{held['prefixlen']}")
                return Underlay(link["ifname"], interface.network, int(link["mtu"]))
    raise NetworkError(f"{address} is on none of this host's interfaces")


def by_path(
    backend: contract.HostBackend, own: Node, every: Iterable[Node], network: ipaddress.IPv4Network
) -> tuple[list[Node], list[tuple[Node, str]]]:
    """Nodes that are reached through the tunnel, and those reached by a plain route with its next hop."""
    tunnelled, routed = [], []
    for node in every:
        if node == own:
            continue
        path = backend.expected_path(node)
        if path is None:
            raise NetworkError(f"{node.name} ({node.address}) is outside of {network}, and there is no gateway to it")
        if path.encapsulation:
            tunnelled.append(node)
        else:
            routed.append((node, path.next_hop))
    return tunnelled, routed


def route(node: Node, gateway: str) -> dict[str, Any]:
    """A plain route in the form of the options of module host_routes."""
    return {
        "destination": node.pod_cidr, "gateway": gateway,
        "device": None, "onlink": False, "metric": None, "table": "main", "mtu": None,
    }  # fmt: skip


def conflist(name: str, bridge: str, pod_cidrs: Iterable[str], mtu: int) -> dict[str, Any]:
    """The CNI configuration list of a node."""
    ranges = [[{"subnet": pod_cidr}] for pod_cidr in pod_cidrs]
    return {
        "cniVersion": "1.0.0",
        "name": name,
        "plugins": [
            {
                "type": "bridge",
                "bridge": bridge,
                "isDefaultGateway": True,
                "hairpinMode": True,
                "mtu": mtu,
                "ipam": {"type": "host-local", "dataDir": RESERVATIONS, "ranges": ranges},
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def gateway_of(pod_cidr: str) -> str:
    """Address of the bridge, as the plugin bridge gives it."""
    network = ipaddress.ip_network(pod_cidr)
    return f"{network.network_address + 1}/{network.prefixlen}"


def record(own: Node, every: Iterable[Node]) -> str:
    """What the next run reads: the pod CIDRs that this node knows of, and under which name its own is."""
    return json.dumps({"node": own.name, "pod_cidrs": {node.name: node.pod_cidr for node in every}}, indent=2) + "\n"


def units(name: str, script: str) -> dict[str, str]:
    """Files of systemd by name, which put the network back at boot and after what others do to the host's network."""
    return {
        f"{name}.service": UNIT.format(name=name, script=script),
        f"{again(name)}.service": AGAIN.format(name=name, script=script),
        f"{again(name)}.path": WATCH.format(name=name),
    }


def again(name: str) -> str:
    """Name of the units, without their endings, that put a network back while it is in use."""
    return f"{name}-restore"


def script(name: str, changes: Sequence[Change]) -> str:
    """Changes from nothing as a shell script for boot, which also adds what is missing of a network in use.

    It may be cut short, and run again; what is there already goes on.
    """
    lines = ["# Ansible managed", f"# Puts back what is missing of the pod network {name}."]
    # A line that is refused, such as a route over an interface that is down, does not keep back the other lines of its
    # program. The script fails all the same, and is run again.
    takers = {"ip": "ip -force -batch -", "bridge": "bridge -force -batch -", "nft": "nft --file -"}
    unless_there = f"ip link show dev {DEVICE} >/dev/null 2>&1 || ip -batch -"
    taking = ""
    # Masquerading needs nothing of the rest.
    for change in sorted(changes, key=lambda one: one.item.program != "nft"):
        for line in _repeatable(change):
            taker = unless_there if line.startswith("link add ") else takers[change.item.program]
            if taker != taking:
                lines += (["EOF"] if taking else []) + [f"{taker} <<'EOF'"]
                taking = taker
            lines.append(line.rstrip("\n"))
    return "\n".join(lines + (["EOF"] if taking else [])) + "\n"


def _repeatable(change: Change) -> list[str]:
    """Lines of a change that the kernel takes a second time too, save for a link's first."""
    if isinstance(change.after, Route) and not change.implied:
        return change.after.put(change.after)
    return change.lines()
