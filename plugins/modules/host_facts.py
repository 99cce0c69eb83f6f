#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_facts
short_description: All that preflight and the roles need to know of a host, in one call
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Architecture, init system, clock, interfaces, routes, listening ports and which of the other hosts
    answer. A fraction of what gathering all facts costs.
extends_documentation_fragment:
  - binary_cluster.networking._attributes.INFO
attributes:
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: full
options:
  reach:
    description:
      - Addresses that this host should reach; each is sent ICMP echo requests. One that does not answer them is asked
        at O(ports), and then for its MAC where it is in a network of the host.
    type: list
    elements: str
    default: []
  ports:
    description: TCP ports of O(reach) that networks do not filter. A host answers at one that is closed, too.
    type: list
    elements: int
    default: [22]
  sources:
    description: Addresses to tell the source address of, that of packets that this host would send there.
    type: list
    elements: str
    default: []
  claims:
    description: Addresses that no machine should have yet; every link they belong to is asked for them.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
---
- name: Collect host facts
  binary_cluster.networking.host_facts:
    reach: [192.0.2.11, 192.0.2.12]
"""

RETURN = r"""
ansible_facts:
  description: The facts.
  returned: always
  type: dict
  contains:
    cluster_host:
      description: All of them under one name.
      type: dict
      contains:
        architecture:
          description: V(amd64), V(arm64), or the kernel's own word.
          type: str
        run:
          description: Names the run of Ansible that collected the facts, which a fact cache may hand to another one.
          type: str
        python:
          description: Version of Python that runs the modules.
          type: str
        distribution:
          description: The distribution's C(name), and C(families), its own ID and those it is like (os-release(5)).
          type: dict
        unit_python:
          description:
            - Python for services. C(/usr/bin/python3) where it is 3.9 or newer, and otherwise that of the modules.
              Empty where that is in a directory that services do not see, such as a home directory.
          type: str
        systemd:
          description: Whether systemd runs the host.
          type: bool
        clock_skew:
          description: Seconds this clock is ahead of the controller's, measured by the round trip of this task.
          type: float
        clock_error:
          description:
            - Seconds by which RV(ansible_facts.cluster_host.clock_skew) can be wrong at most. Half of the time that
              the task was on its way.
          type: float
        interfaces:
          description:
            - By name, MTU, state, MAC, C(kind) and addresses with their prefix length. Those that this collection
              recorded as its own have the C(owner) of the record and the C(own_addresses) that it gave them.
          type: dict
        nft:
          description: Version of nft; empty without it.
          type: str
        ipip:
          description: Whether this kernel has IP-in-IP tunnels, loaded or as a module that can be.
          type: bool
        default_interface:
          description: Interface of the default route; empty without one.
          type: str
        boot_sysctls:
          description:
            - File and value by name, of the sysctls that other files set after role node's own at the next boot.
          type: dict
        advertised:
          description: Interfaces that take IPv6 routers' advertisements and have routes by them.
          type: list
          elements: str
        ipv6_off:
          description:
            - Where the kernel has IPv6 switched off, by the names it has for that; V(default) stands for interfaces to
              come. V(all) alone where it has no IPv6.
          type: list
          elements: str
        listeners:
          description: Listening sockets, with protocol, address, port and process.
          type: list
          elements: dict
        nameservers:
          description: Name servers that the host's C(/etc/resolv.conf) lists.
          type: list
          elements: str
        answered:
          description: MAC addresses of the other machines that answer for each of O(claims).
          type: dict
        sources:
          description: Source address for each of O(sources) that there is a route to.
          type: dict
        unreachable:
          description: Addresses of O(reach) that did not answer in any way.
          type: list
          elements: str
        without_echo:
          description: How the addresses of O(reach) did answer that answered no ICMP echo request.
          type: dict
          sample: {192.0.2.12: answers at tcp/22, 192.0.2.13: "has the MAC 52:54:00:12:34:56"}
        pod_cidr:
          description: Network of this host's pods, where a backend without a daemon was applied; else empty.
          type: str
        pod_cidrs:
          description: Networks of the pods of all nodes that such a backend was told of, by name.
          type: dict
        authorities:
          description:
            - SHA-256 fingerprints of the certificate authorities that this collection put on the host, by path.
          type: dict
        owners:
          description: Names under which this collection put something on the host.
          type: list
          elements: str
        data_directories:
          description:
            - By owner, the directories of daemons that hold data, by the path in the install record, with the directory
              that each stands for, which is another where it is a symbolic link.
          type: dict
          sample: {etcd: {/var/lib/etcd: /var/lib/etcd}}
        damaged_records:
          description: Install records that cannot be read, by owner, with what is wrong.
          type: dict
        members:
          description:
            - Addresses of the hosts that had a component too when it was applied last, by name under which the
              component is on the host, and by host.
          type: dict
        etcd:
          description:
            - Of the member of etcd that this collection put here, C(data_directory) and C(member) with C(name),
              C(peer_url) and C(client_url), as its configuration has them. Empty without one.
          type: dict
"""

import contextlib
import glob
import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterable
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    applied as host_applied,
    authorities,
    file_notes,
    install_record,
    links as host_links,
    sysctl_files,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import arp_ndp, iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import underlay
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

IPV6 = "/proc/sys/net/ipv6/conf"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Directories that ProtectHome= and PrivateTmp= take away from a service (systemd.exec(5)).
HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")


def interfaces(
    addresses: list[dict[str, Any]], recorded: dict[str, dict[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """Interfaces by name, from the output of ``ip -json -details address``, with what the records say of each."""
    return {
        link["ifname"]: {
            "mtu": link["mtu"],
            "state": link.get("operstate", "UNKNOWN"),
            "mac": link.get("address", ""),
            "kind": host_links.kind(link),
            "addresses": [
                f"{address['local']}/{address['prefixlen']}"
                for address in link.get("addr_info", ())
                if "local" in address
            ],
            "owner": "",
            "own_addresses": [],
            **(recorded or {}).get(link["ifname"], {}),
        }
        for link in addresses
        if link
    }


def began() -> float:
    """When this process began, on the clock of the host: a slow one takes seconds to load a module."""
    with open("/proc/self/stat", encoding="ascii", errors="replace") as stream:
        # The name of the program, in parentheses, may hold blanks (proc(5)).
        ticks = int(stream.read().rpartition(")")[2].split()[19])
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def has_ipip(module: HostModule) -> bool:
    """Whether the kernel has IPIP. Nothing is loaded to find out: that alone would make a tunl0 everywhere."""
    if os.path.exists("/sys/module/ipip") or os.path.exists("/sys/class/net/tunl0"):
        return True
    modprobe = module.get_bin_path("modprobe", opt_dirs=["/sbin", "/usr/sbin"])
    return bool(modprobe) and module.run_command([modprobe, "--dry-run", "--quiet", "ipip"])[0] == 0


def listeners(lines: str) -> list[dict[str, Any]]:
    """Listening sockets, from the output of ``ss -H -lntup``."""
    found = []
    for line in lines.splitlines():
        words = line.split(None, 6)
        if len(words) < 5:
            continue
        address, _colon, port = words[4].rpartition(":")
        process = re.search(r'\(\("([^"]+)"', words[6] if len(words) > 6 else "")
        found.append(
            {
                "protocol": words[0],
                "address": address.strip("[]").partition("%")[0],
                "port": int(port) if port.isdigit() else 0,
                "process": process.group(1) if process else "",
            }
        )
    return found


def distribution(*paths: str) -> dict[str, Any]:
    """Name and families of the distribution, from its os-release(5); empty ones where there is no such file."""
    lines: list[tuple[str, str, str]] = []
    for path in filter(os.path.exists, paths or ("/etc/os-release", "/usr/lib/os-release")):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as stream:
            lines = [line.strip().partition("=") for line in stream]
            break
    told = {name: value.strip("\"'") for name, _mark, value in lines}
    return {
        "name": told.get("PRETTY_NAME") or told.get("NAME", ""),
        "families": [told.get("ID", ""), *told.get("ID_LIKE", "").split()],
    }


def unit_python(module: HostModule, usual: str = "/usr/bin/python3", own: str = sys.executable) -> str:
    """An interpreter that services can use. The distribution's own is there whatever the modules are run with."""
    for path in (usual, own):
        real = os.path.realpath(path)
        if not path or not os.path.exists(real) or path.startswith(HIDDEN) or real.startswith(HIDDEN):
            continue
        # One that is not the modules' own may be too old, or one that must not be started.
        recent = [path, "-c", "import sys; assert sys.version_info >= (3, 9)"]
        if real == os.path.realpath(own) or module.run_command(recent)[0] == 0:
            return path
    return ""


def nameservers(path: str = "/etc/resolv.conf") -> list[str]:
    """Name servers of a resolv.conf(5); none where there is no such file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            words = [line.split() for line in stream]
    except OSError:
        return []
    return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]


def applied(pattern: str = "/etc/binary_cluster/*/nodes.json") -> tuple[str, dict[str, str]]:
    """Pod CIDR of this host, and those of all nodes by name, as module routed_node keeps them."""
    own, known = "", {}
    for path in sorted(glob.glob(pattern)):
        with open(path, encoding="utf-8") as stream:
            kept = json.load(stream)
        own = kept["pod_cidrs"][kept["node"]]
        known.update(kept["pod_cidrs"])
    return own, known


def installed(directory: str = install_record.STATE_DIRECTORY) -> dict[str, Any]:
    """What the install records tell: their owners, where daemons have data, and which records are damaged."""
    owners, data, damaged = [], {}, {}
    for owner, ledger in install_record.all_of(directory):
        owners.append(owner)
        try:
            if isinstance(ledger, install_record.LedgerError):
                raise ledger
            if found := file_notes.data_directories(ledger):
                data[owner] = found
        except install_record.FileError as error:
            damaged[owner] = str(error)
    return {"owners": owners, "data_directories": data, "damaged_records": damaged}


def etcd_member(path: str = "/etc/etcd/etcd.env") -> dict[str, Any]:
    """The member of etcd whose configuration is here; empty where there is none, or not all of it."""
    try:
        with open(path, encoding="utf-8") as stream:
            held = dict(line.rstrip("\n").split("=", 1) for line in stream if re.match("ETCD_[A-Z_]+=", line))
    except OSError:
        return {}
    wanted = {
        "name": "ETCD_NAME",
        "peer_url": "ETCD_INITIAL_ADVERTISE_PEER_URLS",
        "client_url": "ETCD_ADVERTISE_CLIENT_URLS",
    }
    if not held.keys() >= {*wanted.values(), "ETCD_DATA_DIR"}:
        return {}
    member = {name: held[setting].strip('"').partition(",")[0] for name, setting in wanted.items()}
    return {"member": member, "data_directory": held["ETCD_DATA_DIR"].strip('"')}


def advertised(routes: list[dict[str, Any]], links: Iterable[str], root: str = IPV6) -> list[str]:
    """Interfaces that take routers' advertisements and have routes by them, or that take them whatever the kernel does.

    The kernel's accept_ra is 1 where it takes them while it does not forward, and 2 where it always does.
    """
    hops = [hop for route in routes if route.get("protocol") == "ra" for hop in route.get("nexthops", [route])]
    by_them = {hop.get("dev") for hop in hops}
    taken = {name: setting(f"{root}/{name}/accept_ra") for name in links}
    return sorted(name for name, told in taken.items() if told == "2" or (told == "1" and name in by_them))


def ipv6_off(root: str = IPV6) -> list[str]:
    """Where the kernel has IPv6 switched off: interfaces, ``default`` for those to come, ``all`` where it has none."""
    if not os.path.isdir(root):
        return ["all"]
    return sorted(name for name in os.listdir(root) if setting(f"{root}/{name}/disable_ipv6") == "1")


def setting(path: str) -> str:
    """A setting of the kernel; empty where there is none."""
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def output(module: HostModule, *command: str) -> str:
    """What a command prints. Raises TaskError where it fails."""
    code, out, err = module.run_command(list(command))
    if code != 0:
        raise TaskError(err.strip(), " ".join(command))
    return str(out)


def machine(module: HostModule) -> dict[str, Any]:
    """Facts of the host's kernel, distribution and programs."""
    architecture, nft = platform.machine(), module.get_bin_path("nft")
    version = re.search(r"v([0-9.]+)", output(module, nft, "--version")) if nft else None
    return {
        "architecture": ARCHITECTURES.get(architecture, architecture),
        "python": platform.python_version(),
        "distribution": distribution(),
        "unit_python": unit_python(module),
        "systemd": os.path.isdir("/run/systemd/system"),
        "nft": version.group(1) if version else "",
        "ipip": has_ipip(module),
        "boot_sysctls": sysctl_files.read_after("90-binary-cluster-node.conf"),
    }


def network(module: HostModule) -> dict[str, Any]:
    """Facts of the host's links, routes and ports, and of what answers around it."""
    kernel = iproute.IpRoute(module.run_command)
    routes = json.loads(output(module, "ip", "-json", "route", "show", "default") or "[]")
    seen = json.loads(output(module, "ip", "-json", "-details", "address", "show"))
    recorded = host_links.recorded(install_record.STATE_DIRECTORY, [link["ifname"] for link in seen if link])
    links = interfaces(seen, recorded)
    routes_v6 = json.loads(output(module, "ip", "-6", "-json", "route", "show") or "[]") if os.path.isdir(IPV6) else []
    return {
        "interfaces": links,
        "advertised": advertised(routes_v6, links),
        "ipv6_off": ipv6_off(),
        "default_interface": routes[0].get("dev", "") if routes else "",
        "listeners": listeners(output(module, "ss", "-H", "-lntup")),
        "nameservers": nameservers(),
        "sources": {
            address: route["prefsrc"]
            for address in module.params["sources"]
            if "prefsrc" in (route := kernel.egress(address))
        },
        **reached(module.params, links),
    }


def reached(params: dict[str, Any], links: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Facts of the addresses that are asked for."""
    try:
        answers = underlay.answers(params["reach"], params["ports"], links)
        claimed = arp_ndp.on_links(params["claims"], links)
    except PermissionError as error:
        raise TaskError(f"{error}: this module needs root", "raw socket") from error
    return {
        "answered": claimed,
        "unreachable": [address for address in params["reach"] if address not in answers],
        "without_echo": {address: how for address, how in answers.items() if how != underlay.ECHO},
    }


def components() -> dict[str, Any]:
    """Facts of what the collection put on the host."""
    records, (pod_cidr, pod_cidrs) = installed(), applied()
    return {
        **records,
        "pod_cidr": pod_cidr,
        "pod_cidrs": pod_cidrs,
        "members": host_applied.members(),
        "etcd": etcd_member() if "etcd" in records["owners"] else {},
        "authorities": authorities.installed(),
    }


def main() -> None:
    module = HostModule(
        argument_spec={
            "reach": {"type": "list", "elements": "str", "default": []},
            "ports": {"type": "list", "elements": "int", "default": [22]},
            "sources": {"type": "list", "elements": "str", "default": []},
            "claims": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    since = began()
    with module.reporting():
        facts = {**machine(module), **network(module), **components()}
    # The clock is for the action plugin, which makes clock_skew of it.
    module.exit_json(ansible_facts={"cluster_host": facts}, clock={"began": since, "ended": time.time()})


if __name__ == "__main__":
    main()
