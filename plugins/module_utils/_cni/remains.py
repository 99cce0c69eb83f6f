# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""What is left of an attachment whose plugins are gone, removed by what its kept result shows.

A kept result is that of ADD (CNI specification, section 5): interfaces with their MAC, and addresses. Reservations are
those of the plugin ``host-local``, a file for each address with the container's id in it
(github.com/containernetworking/plugins, plugins/ipam/host-local/backend/disk).
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Run = Callable[..., "tuple[int, str, str]"]
NAMESPACES = ("/run/netns", "/var/run/netns")
RESERVATIONS = "/var/lib/cni/networks"
# Where the plugin ``flannel`` keeps the configuration it delegated to, by the container's id.
DELEGATED = "/var/lib/cni/flannel"


def remove(run: Run, network: str, plugins: Sequence[Mapping[str, Any]], kept: Mapping[str, Any]) -> list[str]:
    """Remove an attachment's interface and reservations; return what may be left, a sentence each."""
    result = kept.get("result") or {}
    left = _remove_interface(run, kept, result)
    remaining = _addresses(result)
    for directory in _directories(network, plugins):
        remaining -= _release(directory, remaining, str(kept["containerId"]), str(kept["ifName"]))
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(DELEGATED, os.path.basename(str(kept["containerId"]))))
    if remaining and not _local(plugins):
        left.append(f"{', '.join(sorted(remaining))} may stay reserved: only reservations of host-local are known here")
    return left


def _local(plugins: Sequence[Mapping[str, Any]]) -> bool:
    """Whether host-local alone gave the addresses. The plugin ``flannel`` has it where it is not told otherwise."""
    every = [one for plugin in plugins for one in (plugin, plugin.get("delegate") or {})]
    types = {str(one["ipam"].get("type")) for one in every if one.get("ipam")}
    return types == {"host-local"} or (not types and any(one.get("type") == "flannel" for one in plugins))


def _remove_interface(run: Run, kept: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """Remove the interface where it is still the one of the result; the host's end of a veth goes with it."""
    directory, namespace = os.path.split(str(kept.get("netns", "")))
    name = str(kept["ifName"])
    if directory not in NAMESPACES or not namespace:
        return [f"{name} in {kept.get('netns')} may stay: only named network namespaces are known here"]
    code, out, _err = run(["ip", "-n", namespace, "-json", "address", "show"])
    link = next((one for one in json.loads(out or "[]") if one.get("ifname") == name), None) if code == 0 else None
    if link is None:
        return []
    macs = [one.get("mac", "").lower() for one in result.get("interfaces", ()) if one.get("name") == name]
    held = {one.get("local") for one in link.get("addr_info", ())}
    if not (link.get("address") in macs if any(macs) else held & _addresses(result)):
        return [f"{name} in {namespace} stays: it is not the interface that was attached"]
    code, _out, err = run(["ip", "-n", namespace, "link", "delete", "dev", name])
    return [] if code == 0 else [f"{name} in {namespace} stays: {err.strip()}"]


def _addresses(result: Mapping[str, Any]) -> set[str]:
    texts = [str(one.get("address", "")) for one in result.get("ips", ())]
    texts += [str(result[key].get("ip", "")) for key in ("ip4", "ip6") if key in result]
    found = set()
    for text in texts:
        with contextlib.suppress(ValueError):
            found.add(str(ipaddress.ip_interface(text).ip))
    return found


def _directories(network: str, plugins: Iterable[Mapping[str, Any]]) -> list[str]:
    """Directories of host-local in which plugins of a network reserve."""
    found = [os.path.join(RESERVATIONS, network)]
    for plugin in plugins:
        for one in (plugin, plugin.get("delegate") or {}):
            directory = (one.get("ipam") or {}).get("dataDir")
            found += [os.path.join(str(directory), network)] if directory else []
    return found


def _release(directory: str, addresses: Iterable[str], container: str, interface: str) -> set[str]:
    """Remove the reservations of addresses that are the container's; return the addresses."""
    released = set()
    for address in addresses:
        path = os.path.join(directory, address)
        with contextlib.suppress(OSError):
            with open(path, encoding="utf-8", errors="replace") as stream:
                holder = stream.read().split()
            if holder in ([container], [container, interface]):
                os.unlink(path)
                released.add(address)
    return released
