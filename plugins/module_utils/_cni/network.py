# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Network configurations, attachments and results of the CNI (https://www.cni.dev/docs/spec/, 1.0.0)."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import os
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    links as host_links,
    netns as host_netns,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.waiting import Waiter

CONFIGURATIONS = "/etc/cni/net.d"
PLUGINS = "/opt/cni/bin"
CACHE = "/var/lib/cni/results"
# Where plugins and runtimes keep their state, in directories of their own.
ROOTS = ("/var/lib/cni", "/run/cni")
NAMESPACES = host_netns.NAMESPACES
# The kernel takes 15 bytes for the name of an interface; ids and names of networks become file names.
LONGEST_INTERFACE, LONGEST_ID, LONGEST_NETWORK = 15, 128, 100


class CniError(TaskError):
    """A plugin or a configuration failed; the message has the plugin's own code and words."""


class Run(Protocol):
    """AnsibleModule.run_command, or anything of the same form."""

    def __call__(
        self,
        args: list[str],
        *,
        data: str | None = None,
        environ_update: dict[str, str] | None = None,
    ) -> tuple[int, str, str]: ...


@dataclass(frozen=True)
class Network:
    """A network configuration list."""

    name: str
    version: str
    plugins: tuple[dict[str, Any], ...]
    source: bytes
    path: str
    checks: bool = True


@dataclass(frozen=True)
class Attachment:
    """An interface of a namespace in a network."""

    container_id: str
    namespace: str
    interface: str
    arguments: dict[str, str] = field(default_factory=dict)
    capabilities: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


def attachment(
    netns: str, interface: str, container: str, arguments: dict[str, Any], capabilities: Any, labels: dict[str, Any]
) -> Attachment:
    """An attachment from the options of a module. Raises SpecError where one cannot be a name or an argument."""
    namespace = host_netns.path("netns", netns)
    return Attachment(
        container_id=validation.component("container_id", container, LONGEST_ID) if container else container_id(netns),
        namespace=namespace,
        interface=validation.component("interface", interface, LONGEST_INTERFACE),
        arguments={
            _argument(f"arguments.{key}", key): _argument(f"arguments.{key}", arguments[key]) for key in arguments
        },
        capabilities=capabilities,
        labels={key: str(value) for key, value in labels.items()},
    )


def _argument(where: str, value: Any) -> str:
    """A key or value of CNI_ARGS, which are ``key=value;key=value`` and have no quotes."""
    text = str(value)
    if not text or any(character in ";=" or not character.isprintable() for character in text):
        raise validation.SpecError(
            where, f"{text!r}: take one or more characters, without ; and = and control characters"
        )
    return text


def parse(source: bytes, path: str) -> Network:
    """A configuration list, or a single configuration as a list of one. Raises CniError."""
    try:
        document = json.loads(source)
        plugins = document.get("plugins", [document])
        for plugin in plugins:
            validation.component("type", plugin["type"], LONGEST_ID)
        return Network(
            # It is part of file names.
            name=validation.component("name", document["name"], LONGEST_NETWORK),
            version=document.get("cniVersion", "0.2.0"),
            plugins=tuple(plugins),
            source=source,
            path=path,
            checks=not document.get("disableCheck", False),
        )
    except validation.SpecError as error:
        raise CniError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CniError(f"{path}: not a network configuration: {error!r}") from error


def configurations(directory: str = CONFIGURATIONS) -> list[str]:
    """Files a runtime looks at, in its order: the first one is the node's network."""
    with contextlib.suppress(FileNotFoundError):
        names = sorted(os.listdir(directory))
        return [os.path.join(directory, name) for name in names if name.endswith((".conf", ".conflist", ".json"))]
    return []


def load(path: str = "", directory: str = CONFIGURATIONS) -> Network:
    """The configuration at a path, or the one a runtime would take."""
    if not path:
        found = configurations(directory)
        if not found:
            raise CniError(f"{directory}: there is no network configuration")
        path = found[0]
    try:
        with open(path, "rb") as stream:
            return parse(stream.read(), path)
    except OSError as error:
        raise CniError(f"{path}: {error.strerror}") from error


def container_id(namespace: str) -> str:
    """An id for a namespace that no other host uses too: IPAM of a whole cluster keys on it.

    Plugins name links after its first characters, so that these tell namespaces apart.
    """
    name = f"{socket.gethostname()}/{namespace}"
    return f"{hashlib.sha256(name.encode()).hexdigest()[:20]}-netns"


def addresses(result: dict[str, Any]) -> list[str]:
    """Addresses of a result, with their prefix length, in all forms the specification has had."""
    if "ips" in result:
        return [entry["address"] for entry in result["ips"]]
    return [result[key]["ip"] for key in ("ip4", "ip6") if key in result]


def first_addresses(result: dict[str, Any]) -> list[str]:
    """The first address of each IP version that a result has, with its prefix length: IPv4 before IPv6."""
    every = [ipaddress.ip_interface(address) for address in addresses(result)]
    found = (next((one for one in every if one.version == version), None) for version in (4, 6))
    return [str(one) for one in found if one]


def gateways(result: dict[str, Any]) -> list[str]:
    """Gateways of a result."""
    if "ips" in result:
        return [entry["gateway"] for entry in result["ips"] if entry.get("gateway")]
    return [result[key]["gateway"] for key in ("ip4", "ip6") if result.get(key, {}).get("gateway")]


def forget(paths: Sequence[str], check_mode: bool) -> list[str]:
    """Remove directories in which plugins and daemons kept a network's state, and those of CNI that are empty then.

    Returns what was done, or would be in check mode.
    """
    there = [path for path in paths if os.path.exists(path)]
    if not check_mode:
        for path in there:
            shutil.rmtree(path)
        for path in (*(os.path.dirname(path) for path in paths), CACHE):
            while path.startswith(ROOTS):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
                path = os.path.dirname(path)
    return [f"remove {path}" for path in there]


def check_addresses(run: Run, attachment: Attachment, result: dict[str, Any]) -> None:
    """Raise CniError unless the interface has the addresses of the result."""
    namespace = os.path.basename(attachment.namespace)
    code, out, err = run(["ip", "-n", namespace, "-json", "address", "show", "dev", attachment.interface])
    if code != 0:
        raise CniError(err.strip())
    found = {f"{a['local']}/{a['prefixlen']}" for link in json.loads(out) for a in link.get("addr_info", ())}
    missing = [address for address in addresses(result) if address not in found]
    if missing:
        raise CniError(f"{attachment.interface} has lost {', '.join(missing)}")


def second_addresses(run: Run, result: dict[str, Any]) -> list[str]:
    """What is wrong with the bridges of a result: IPv4 addresses besides the gateway's, with routes of their own."""
    wanted = [f"{gateway}/{address.partition('/')[2]}" for gateway, address in zip(gateways(result), addresses(result))]
    bridges = {one.get("name") for one in result.get("interfaces", ()) if not one.get("sandbox")}
    found = []
    for link in iproute.IpRoute(run).links():
        if wanted and link["ifname"] in bridges:
            further = host_links.competing(link, wanted, ["0.0.0.0/0"])
            name = str(link["ifname"])
            found += [f"{name}: {host_links.second_address(name, address, wanted[0])}" for address in further]
    return found


def settle(run: Run, gateways: Sequence[str], seconds: float = 3.0) -> None:
    """Wait until the host's links that are IPv6 gateways are ready, which a bridge is not in its first two seconds.

    Until then it looks for duplicates of its addresses (RFC 4862), and asks for no neighbour.
    """
    wanted = {address for address in gateways if ":" in address}
    for _look in Waiter(seconds) if wanted else ():
        links = [link["addr_info"] for link in iproute.IpRoute(run).links()]
        held = [one for link in links if wanted & {one.get("local", "") for one in link} for one in link]
        if not any(one.get("tentative") and not one.get("dadfailed") for one in held):
            return
