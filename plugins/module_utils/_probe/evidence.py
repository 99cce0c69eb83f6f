# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What a node can say about why packets between two pods do not arrive.

Facts only, gathered from the kernel, systemd and the file system; what follows from the facts of both
nodes of a pair is decided on the controller (plugin_utils/_diagnosis/explanation.py).
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import socket
from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import calico_evidence, flannel
from ansible_collections.binary_cluster.networking.plugins.module_utils._cni import network as cni_network
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import client as etcd
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import systemd
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import STATE_DIRECTORY
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute

Run = Callable[..., "tuple[int, str, str]"]
SYSCTL_FILES = ("/etc/sysctl.conf", "/etc/sysctl.d/*.conf", "/run/sysctl.d/*.conf", "/usr/lib/sysctl.d/*.conf")
FLANNEL_UNIT = "/etc/systemd/system/flanneld.service"


def links(kernel: iproute.IpRoute) -> dict[str, dict[str, Any]]:
    """Links by name, with what matters for carrying pods' packets."""
    found = {}
    for link in kernel.links():
        data = link.get("linkinfo", {}).get("info_data", {})
        found[link["ifname"]] = {
            "mtu": link["mtu"],
            "up": "UP" in link["flags"],
            "mac": link.get("address", ""),
            "kind": link.get("linkinfo", {}).get("info_kind", ""),
            "vni": data.get("id", 0),
            "port": data.get("port", 0),
            "master": link.get("master", ""),
            "addresses": [f"{a['local']}/{a['prefixlen']}" for a in routed(link)],
        }
    return found


def routed(link: dict[str, Any]) -> list[dict[str, Any]]:
    """Addresses of a link, without those of IPv6 that are good on it alone."""
    return [one for one in link["addr_info"] if one["family"] == "inet" or one["scope"] != "link"]


def tunnels(found: dict[str, dict[str, Any]]) -> list[str]:
    """Names of the VXLAN devices."""
    return [name for name, link in found.items() if link["kind"] == "vxlan"]


def route_to(run: Run, address: str) -> dict[str, str]:
    """The entry of the routing table that matches an address; ``error`` holds the kernel's words without one."""
    code, out, err = run(["ip", "-json", "route", "get", "fibmatch", address])
    if code != 0:
        return {"error": err.strip().removeprefix("RTNETLINK answers: ")}
    route = json.loads(out)[0]
    return {key: str(route[key]) for key in ("dst", "type", "gateway", "dev", "protocol") if key in route}


def sysctl(name: str) -> str:
    """Value of a sysctl; empty where there is none."""
    return _text("/proc/sys/" + name.replace(".", "/")).strip()


def rp_filters(names: Iterable[str]) -> dict[str, int]:
    """Reverse path filter that is in force on each link: the larger of its own and of ``all``."""
    general = int(sysctl("net.ipv4.conf.all.rp_filter") or 0)
    return {name: max(general, int(_of_link(name, "rp_filter") or 0)) for name in names}


def _of_link(name: str, key: str) -> str:
    return _text(f"/proc/sys/net/ipv4/conf/{name}/{key}").strip()


def forwarding_files(family: int) -> list[str]:
    """Files of sysctl settings that switch forwarding off."""
    found = []
    names = r"(ip_forward|conf[./]all[./]forwarding)" if family == 4 else r"conf[./]all[./]forwarding"
    pattern = re.compile(rf"^\s*-?net[./]ipv{family}[./]{names}\s*=\s*0\s*$", re.MULTILINE)
    for path in sorted(name for wanted in SYSCTL_FILES for name in glob.glob(wanted)):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as stream:
            if pattern.search(stream.read()):
                found.append(path)
    return found


def _text(path: str) -> str:
    """Content of a file; empty where there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except OSError:
        return ""


def units(run: Run) -> list[dict[str, Any]]:
    """Daemons that this collection put on the host, whether they run, and their last log line."""
    found = []
    for path in sorted(glob.glob(f"{STATE_DIRECTORY}/*.json")):
        with open(path, encoding="utf-8") as stream:
            paths = json.load(stream).get("paths", {})
        for name in paths:
            unit = re.fullmatch(r"/etc/systemd/system/([^/]+)\.service", name)
            # What a timer starts does not run in between, and a daemon that gave way to one of these is masked.
            timed = unit and f"/etc/systemd/system/{unit.group(1)}.timer" in paths
            if not unit or timed or os.path.realpath(name) == os.devnull:
                continue
            # A unit that runs once, at boot, is none that runs; only if it failed is something wrong.
            once = re.search(r"^Type=oneshot$", _text(name), re.MULTILINE)
            active = systemd.show(run, unit.group(1)).active or (
                bool(once) and run(["systemctl", "is-failed", "--quiet", unit.group(1)])[0] != 0
            )
            last = ""
            if not active:
                _code, log, _err = run(["journalctl", "-u", unit.group(1), "-n", "1", "--no-pager", "-o", "cat"])
                last = log.strip()
            found.append({"name": unit.group(1), "active": active, "last": last})
    return found


def checksum_errors() -> int:
    """TCP and UDP packets with a wrong checksum that this thread's network namespace has seen."""
    total = 0
    with open("/proc/thread-self/net/snmp", encoding="ascii") as stream:
        lines = [line.split() for line in stream]
    for names, values in zip(lines[::2], lines[1::2]):
        if names[0] in ("Tcp:", "Udp:"):
            total += int(dict(zip(names, values)).get("InCsumErrors", 0))
    # TCP counts both IP versions at once.
    errors = re.search(r"^Udp6InCsumErrors\s+(\d+)$", _text("/proc/thread-self/net/snmp6"), re.MULTILINE)
    return total + int(errors.group(1) if errors else 0)


def interface_of(run: Run, namespace: str, interface: str) -> dict[str, Any] | None:
    """A pod's interface; None where the namespace or the interface is gone."""
    if not os.path.exists(os.path.join(cni_network.NAMESPACES, namespace)):
        return None
    code, out, _err = run(["ip", "-n", namespace, "-json", "address", "show", "dev", interface])
    if code != 0:
        return None
    link = json.loads(out)[0]
    routes = {
        family: json.loads(run(["ip", f"-{family}", "-n", namespace, "-json", "route", "show", "default"])[1] or "[]")
        for family in (4, 6)
    }
    try:
        peer = socket.if_indextoname(link.get("link_index", 0))
    except OSError:
        peer = ""
    return {
        "mtu": link["mtu"],
        "up": "UP" in link["flags"],
        "carrier": "LOWER_UP" in link["flags"],
        "peer": peer,  # the other end of its veth
        "addresses": [a["local"] for a in routed(link)],
        "default_route": bool(routes[4]),
        "default_route_v6": bool(routes[6]),
    }


def flannel_leases() -> list[dict[str, Any]] | None:
    """Leases in etcd, as this node's flanneld sees them; None where it has none or etcd does not answer."""
    try:
        with open(FLANNEL_UNIT, encoding="utf-8") as stream:
            flags = dict(re.findall(r"--([a-z-]+)=(\S+)", stream.read()))
        client = etcd.Client(
            flags["etcd-endpoints"].split(","),
            flags["etcd-cafile"],
            flags["etcd-certfile"],
            flags["etcd-keyfile"],
            2,
        )
        prefix = flags["etcd-prefix"]
        found = flannel.leases(client.under(f"{prefix}/subnets/"), prefix)
    except (OSError, KeyError, etcd.EtcdError):
        return None
    return [{"subnet": lease.subnet, "address": lease.address, "vtep_mac": lease.vtep_mac} for lease in found]


def gather(run: Run, targets: Iterable[str]) -> dict[str, Any]:
    """All facts that do not need packets on their way. ``targets`` are addresses of pods."""
    kernel = iproute.IpRoute(run)
    found = links(kernel)
    return {
        "links": found,
        "route_to": {address: route_to(run, address) for address in targets},
        "neighbours": {
            name: {entry["dst"]: entry.get("lladdr", "") for entry in kernel.neighbours(name)}
            for name in tunnels(found)
        },
        "fdb": {
            name: {entry["mac"]: entry["dst"] for entry in kernel.fdb(name) if entry.get("dst")}
            for name in tunnels(found)
        },
        "ip_forward": sysctl("net.ipv4.ip_forward"),
        "ipv6_forward": sysctl("net.ipv6.conf.all.forwarding"),
        "forwarding": {name: _of_link(name, "forwarding") for name in found},
        "rp_filter": rp_filters(found),
        "forwarding_files": forwarding_files(4),
        "ipv6_forwarding_files": forwarding_files(6),
        "units": units(run),
        "conflists": cni_network.configurations(),
        "leases": flannel_leases(),
        "calico": calico_evidence.gather(run),
    }
